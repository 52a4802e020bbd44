// Scenario write-behind: what the way to the database carries and costs: rows a second beside the
// same statement fed raw; a lane's CPU without a database, with it, with one that is stopped; the
// time from journaled to written at half load.
// Owns: rounds, ratios, their words. Does not own: a window (write-behind-process.ts).
import { chmodSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../src/base/assert.ts";
import { limits } from "../src/base/limits.ts";
import { PostgresServer } from "../src/faults/postgres-server.ts";
import { spread } from "../src/base/spread.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { goalOf } from "../src/report/verdict.ts";
import { runChild } from "./child.ts";
import { disturbedLine, probed, type Probes } from "./machine.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";
import type { WriteBehindJob, WriteBehindWindow } from "./write-behind-process.ts";

const program = fileURLToPath(new URL("./write-behind-process.ts", import.meta.url));
const full = { warmUpMs: 3000, windowMs: 8000, awayMs: 30_000 };
const smoke: typeof full = { warmUpMs: 300, windowMs: 700, awayMs: 700 };
const goals = { ofRaw: 0.6, cpuRatio: 1.1, rowUs: 3, syncP99Ms: 100 };
/** What is not written meanwhile stays below the limit of a backlog: nothing is refused. */
const awayPerSecondMax = 150_000;
/** More of the paced commands than this were due while the machine stood still. */
const notSentMax = 0.01;

export const writeBehind: Scenario = {
  name: "write-behind",
  summary: "the way to the database: rows a second beside raw, a lane's CPU, how far it is behind",
  takes: "about 11 minutes",
  roundsDefault: 5,
  run: measureWriteBehind,
};

type ProbedWindow = WriteBehindWindow & { readonly probes: Probes };

interface Round {
  readonly raw: ProbedWindow;
  readonly rows: ProbedWindow;
  readonly without: ProbedWindow;
  readonly with: ProbedWindow;
  /** The database was stopped; a window as long without one, before it or after it in turn. */
  readonly away: ProbedWindow;
  readonly besideAway: ProbedWindow;
  readonly half: ProbedWindow;
}

async function measureWriteBehind(options: ScenarioOptions): Promise<ScenarioResult> {
  const folder = resolve(options.folder);
  chmodSync(folder, 0o755); // PostgreSQL runs as another user
  const server = await PostgresServer.start(folder);
  try {
    const rounds: Round[] = [];
    for (let round = 0; round < options.rounds; round++) {
      rounds.push(await measureRound(server, options.smoke ? smoke : full, round % 2 === 0));
      options.progress(roundLine(round, must(rounds.at(-1), "a round was measured")));
    }
    return result(rounds);
  } finally {
    await server.close();
  }
}

async function measureRound(
  server: PostgresServer,
  size: typeof full,
  isAwayFirst: boolean,
): Promise<Round> {
  const { warmUpMs, windowMs } = size;
  const job = { database: server.url, perSecond: 0, warmUpMs, windowMs } as const;
  const raw = await measure({ ...job, kind: "raw" });
  const rows = await measure({ ...job, kind: "rows" });
  const without = await measure({ ...job, kind: "commands", database: null });
  const withDatabase = await measure({ ...job, kind: "commands" });
  const awayPerSecond = Math.min(perSecondOf(without.commands, without) / 2, awayPerSecondMax);
  const long = { ...job, kind: "paced", perSecond: awayPerSecond, windowMs: size.awayMs } as const;
  const measureBeside = () => measure({ ...long, database: null });
  const before = isAwayFirst ? null : await measureBeside();
  await server.stop();
  const away = await measure({ ...long, isAway: true });
  const besideAway = before ?? (await measureBeside());
  await server.start();
  const perSecond = perSecondOf(withDatabase.commands, withDatabase) / 2;
  const half = await measure({ ...job, kind: "paced", perSecond });
  return { raw, rows, without, with: withDatabase, away, besideAway, half };
}

function measure(job: WriteBehindJob): Promise<ProbedWindow> {
  return probed(() => run(job));
}

async function run(job: WriteBehindJob): Promise<WriteBehindWindow> {
  const nodeArguments = ["--max-old-space-size=3072"];
  const { code, stdout, stderr } = await runChild(program, [JSON.stringify(job)], {
    nodeArguments,
  });
  if (code !== 0) throw new Error(`${job.kind}: ended with ${String(code)}\n${stderr}`);
  return JSON.parse(stdout) as WriteBehindWindow;
}

function perSecondOf(count: number, { seconds }: WriteBehindWindow): number {
  return count / seconds;
}

function cpuOf({ cpuUs, commands }: WriteBehindWindow): number {
  return cpuUs / commands;
}

/** What a written row costs the lane beyond 1.1 times the commands without a database. */
function rowUsOf({ with: window, without }: Round): number {
  const allowedUs = goals.cpuRatio * cpuOf(without) * window.commands;
  return (window.cpuUs - allowedUs) / window.rows;
}

function awayOf(one: Round): number {
  return cpuOf(one.away) / cpuOf(one.besideAway);
}

function roundLine(round: number, one: Round): string {
  const rate = (count: number, window: WriteBehindWindow) => perSecondOf(count, window).toFixed(0);
  return (
    `round ${String(round + 1)}: raw ${rate(one.raw.rows, one.raw)} rows/s, ` +
    `pump ${rate(one.rows.rows, one.rows)}; CPU µs a command ${cpuOf(one.without).toFixed(1)} ` +
    `without, ${cpuOf(one.with).toFixed(1)} with, ${cpuOf(one.away).toFixed(1)} stopped ` +
    `(${cpuOf(one.besideAway).toFixed(1)} beside it); at ` +
    `${rate(one.half.commands, one.half)}/s written after ${one.half.syncP50Ms.toFixed(0)} ms ` +
    `(p50), ${one.half.syncP99Ms.toFixed(0)} ms (p99)`
  );
}

function result(rounds: readonly Round[]): ScenarioResult {
  const ofRaw = spread(rounds.map(ofRawOf));
  const row = (name: string, pick: (one: Round) => number, digits = 0) => {
    const { median, min, max } = spread(rounds.map(pick));
    return [name, ...[median, min, max].map((figure) => figure.toFixed(digits))];
  };
  const table = textTable([
    ["", "median", "least", "most"],
    row("raw, rows a second", (one) => perSecondOf(one.raw.rows, one.raw)),
    row("pump, rows a second", (one) => perSecondOf(one.rows.rows, one.rows)),
    ["pump ÷ raw", ...[ofRaw.median, ofRaw.min, ofRaw.max].map((ratio) => ratio.toFixed(2))],
    row("pump, rows a transaction", (one) => one.rows.rows / one.rows.transactions),
    row("commands a second, no database", (one) => perSecondOf(one.without.commands, one.without)),
    row("commands a second, database", (one) => perSecondOf(one.with.commands, one.with)),
    row("rows a second of these", (one) => perSecondOf(one.with.rows, one.with)),
    row("CPU µs a command, no database", (one) => cpuOf(one.without), 1),
    row("CPU µs a command, database", (one) => cpuOf(one.with), 1),
    row("CPU µs a command, database stopped", (one) => cpuOf(one.away), 1),
    row("CPU µs a command, none, as long a window", (one) => cpuOf(one.besideAway), 1),
    row("CPU µs a row beyond 1.1 × its commands", rowUsOf, 1),
    row("stopped ÷ none, as long a window, CPU", awayOf, 2),
    row("half load, commands a second", (one) => perSecondOf(one.half.commands, one.half)),
    row("half load, journaled to written ms, p50", (one) => one.half.syncP50Ms, 1),
    row("half load, journaled to written ms, p99", (one) => one.half.syncP99Ms, 1),
  ]);
  const problems = rounds.flatMap((one, round) =>
    Object.entries(one).flatMap(([name, window]: [string, ProbedWindow]) => {
      const { failures, missing, notSent, commands } = window;
      const where = `round ${String(round + 1)}, ${name}`;
      const isComplete = missing === null || missing === 0;
      return [
        ...(Object.keys(failures).length > 0 ? [`${where}: ${JSON.stringify(failures)}`] : []),
        ...(notSent > notSentMax * commands
          ? [`${where}: ${String(notSent)} not sent in time`]
          : []),
        ...(isComplete ? [] : [`${where}: ${String(missing)} rows are not in the table`]),
      ];
    }),
  );
  const disturbed = disturbedLine(rounds.flatMap((one) => Object.values<ProbedWindow>({ ...one })));
  const report = `${table}\n\n${words}\n${disturbed}`;
  const figures = { goals, ofRaw, rounds };
  return {
    problems,
    report,
    figures,
    goals: goalsOf(rounds),
    samples: samplesOf(rounds),
    charts: [chartOf(rounds)],
  };
}

const gatherMs = String(limits.pumpGatherMs);
const transactionMs = String(limits.pumpTransactionMs);
const words = [
  `Journaled to written: a small transaction waits ${gatherMs} ms for more rows; one that runs`,
  `makes the next one wait, and is sized to take ${transactionMs} ms; its COMMIT waits for the`,
  "flush of the database's log. At half load the gathering bounds the median, two transactions the",
  "tail. Half load is half of what lane and pump both kept up with.",
  `Stopped: nothing answers at its address for the whole window; the ratio is that of two windows of`,
  "one length, one round and one pace, half of what a lane can and below the limit of a backlog;",
  "which of them comes first alternates. A change beyond noise would be one",
  `of more than ${String(goals.cpuRatio)}: compare how far windows without a database differ among themselves.`,
  "Not measured: what the moment costs in which the database stops; a database on a machine of its",
  "own (here it shares the processors), wide rows.",
].join("\n");

function ofRawOf({ rows, raw }: Round): number {
  return perSecondOf(rows.rows, rows) / perSecondOf(raw.rows, raw);
}

function goalsOf(rounds: readonly Round[]): Goal[] {
  const values = (pick: (one: Round) => number) => rounds.map(pick);
  return [
    goalOf({ name: "pump, rows of raw", values: values(ofRawOf), atLeast: goals.ofRaw }),
    goalOf({
      name: "CPU of a row beyond 1.1 × its commands",
      ...{ values: values(rowUsOf), atMost: goals.rowUs, unit: "µs" },
    }),
    goalOf({
      name: "CPU, database stopped ÷ none, windows of one length",
      ...{ values: values(awayOf), atMost: goals.cpuRatio },
    }),
    goalOf({
      name: "journaled to written at half load, p99",
      ...{ values: values(({ half }) => half.syncP99Ms), atMost: goals.syncP99Ms, unit: "ms" },
    }),
  ];
}

function samplesOf(rounds: readonly Round[]): Sample[] {
  const rowsPerSecond = ({ rows }: Round) => perSecondOf(rows.rows, rows);
  const less = { better: "less" } as const;
  const cpu = { unit: "µs", ...less };
  return [
    { name: "pump, rows", unit: "/s", better: "more", values: rounds.map(rowsPerSecond) },
    { name: "pump, rows of raw", unit: "", better: "more", values: rounds.map(ofRawOf) },
    { name: "CPU, no database", ...cpu, values: rounds.map((one) => cpuOf(one.without)) },
    { name: "CPU, database", ...cpu, values: rounds.map((one) => cpuOf(one.with)) },
    { name: "CPU, database stopped", ...cpu, values: rounds.map((one) => cpuOf(one.away)) },
    {
      name: "journaled to written, p99",
      ...{ unit: "ms", ...less, values: rounds.map(({ half }) => half.syncP99Ms) },
    },
  ];
}

function chartOf(rounds: readonly Round[]): Chart {
  const median = (pick: (one: Round) => WriteBehindWindow) =>
    spread(rounds.map((one) => cpuOf(pick(one)))).median;
  return {
    title: "Processor time of the lane for a command",
    xLabel: "database",
    x: ["none", "there", "stopped"],
    yLabel: "µs",
    series: [
      {
        name: "median of rounds",
        values: [
          median((one) => one.without),
          median((one) => one.with),
          median((one) => one.away),
        ],
      },
    ],
  };
}
