// Scenario loading-back: a lost grid made anew from its database, beside a raw SELECT of the same
// rows with the same driver.
// Owns: rounds, ratios, their words, the one large grid. Does not own: a window
// (loading-back-process.ts).
import { chmodSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../src/base/assert.ts";
import { spread } from "../src/base/spread.ts";
import { PostgresServer } from "../src/faults/postgres-server.ts";
import type { Sample } from "../src/report/report.ts";
import { goalOf, goalOfCount } from "../src/report/verdict.ts";
import { runChild } from "./child.ts";
import type { LoadingJob, LoadingWindow } from "./loading-back-process.ts";
import { disturbedLine, probed, type Probes } from "./machine.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";

const program = fileURLToPath(new URL("./loading-back-process.ts", import.meta.url));
const full = { rows: 2_000_000, largeRows: 10_000_000 };
const smoke: typeof full = { rows: 20_000, largeRows: 50_000 };
const ofSelectMin = 0.5;

/** Who reads the table in each round, in this order. */
const candidates = {
  select: "one SELECT",
  pages: "SELECT, page by page",
  memory: "grid in memory",
  lmdb: "grid on LMDB",
} as const;
type Candidate = keyof typeof candidates;

type ProbedWindow = LoadingWindow & { readonly probes: Probes };
type Round = Readonly<Record<Candidate, ProbedWindow>>;

export interface LoadingFigures {
  readonly rows: number;
  readonly rounds: readonly Round[];
  /** The large grid, loaded once on LMDB. */
  readonly large: LoadingWindow;
}

export const loadingBack: Scenario = {
  name: "loading-back",
  summary: "a grid made anew from its database, beside a raw SELECT; once with 10 million rows",
  takes: "about 5 minutes",
  roundsDefault: 5,
  run: measureLoadingBack,
};

async function measureLoadingBack(options: ScenarioOptions): Promise<ScenarioResult> {
  const folder = resolve(options.folder);
  chmodSync(folder, 0o755); // PostgreSQL runs as another user
  const server = await PostgresServer.start(folder);
  const { rows, largeRows } = options.smoke ? smoke : full;
  const job = { database: server.url, store: "memory:", rows };
  const lmdb = join(folder, "grid");
  try {
    await run({ ...job, kind: "fill" });
    const rounds: Round[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const measured = await measureRound(job, lmdb);
      rounds.push(measured);
      options.progress(roundLine(round, measured));
    }
    await run({ ...job, kind: "fill", rows: largeRows });
    options.progress(`${largeRows.toLocaleString("en")} rows are there`);
    const large = await rebuildOnLmdb({ ...job, rows: largeRows }, lmdb);
    return result({ rows, rounds, large }, largeRows);
  } finally {
    await server.close();
  }
}

async function measureRound(job: Omit<LoadingJob, "kind">, lmdb: string): Promise<Round> {
  const select = await probed(() => window({ ...job, kind: "select" }));
  const pages = await probed(() => window({ ...job, kind: "pages" }));
  const memory = await probed(() => window({ ...job, kind: "rebuild" }));
  return { select, pages, memory, lmdb: await probed(() => rebuildOnLmdb(job, lmdb)) };
}

async function rebuildOnLmdb(
  job: Omit<LoadingJob, "kind">,
  folder: string,
): Promise<LoadingWindow> {
  try {
    return await window({ ...job, kind: "rebuild", store: `lmdb:${folder}` });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(job: LoadingJob): Promise<string> {
  const { code, stdout, stderr } = await runChild(program, [JSON.stringify(job)]);
  if (code !== 0) throw new Error(`${job.kind}: ${stderr}`);
  return stdout;
}

async function window(job: LoadingJob): Promise<LoadingWindow> {
  return JSON.parse(await run(job)) as LoadingWindow;
}

function rateOf({ rows, seconds }: LoadingWindow): number {
  return rows / seconds;
}

function ratios(rounds: readonly Round[], above: Candidate, below: Candidate): number[] {
  return rounds.map((round) => rateOf(round[above]) / rateOf(round[below]));
}

function roundLine(round: number, measured: Round): string {
  const rates = Object.entries(candidates).map(([name, title]) => {
    return `${title} ${Math.round(rateOf(measured[name as Candidate])).toLocaleString("en")}/s`;
  });
  return `round ${String(round + 1)}: ${rates.join(", ")}`;
}

function result(figures: LoadingFigures, largeRows: number): ScenarioResult {
  const { rows, rounds, large } = figures;
  const windows = rounds.flatMap((round) => Object.values(round));
  const problems = [
    ...rounds.flatMap((round, index) =>
      Object.entries(round).flatMap(([name, measured]) =>
        problemsOf(`round ${String(index + 1)}, ${name}`, measured, rows),
      ),
    ),
    ...problemsOf("the large grid", large, largeRows),
  ];
  const goals = [
    goalOf({
      name: "loading back on LMDB ÷ one SELECT, rows a second",
      values: ratios(rounds, "lmdb", "select"),
      atLeast: ofSelectMin,
    }),
    goalOfCount({ name: "rows of the large grid", count: large.rows, atLeast: full.largeRows }),
  ];
  const samples: Sample[] = (Object.keys(candidates) as Candidate[]).map((name) => ({
    name: `${candidates[name]}, rows a second`,
    unit: "1/s",
    better: "more",
    values: rounds.map((round) => rateOf(round[name])),
  }));
  const report = `${tableOf(rounds)}\n\n${wordsOf(large, windows)}`;
  return { problems, report, figures, goals, samples, charts: [] };
}

/** What is wrong with what was read. */
function problemsOf(what: string, measured: LoadingWindow, rows: number): string[] {
  const sum = (rows * (rows - 1)) / 2;
  const isRight = measured.rows === rows && (measured.sum === null || measured.sum === sum);
  if (isRight) return [];
  const found = `${String(measured.rows)} rows with the sum ${String(measured.sum)}`;
  return [`${what}: ${found}, not ${String(rows)} with ${String(sum)}`];
}

function tableOf(rounds: readonly Round[]): string {
  const names = Object.keys(candidates) as Candidate[];
  const text = (values: readonly number[], digits: number) => {
    const { median, min, max } = spread(values);
    return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
  };
  const lines = names.map((name) => {
    const windows = rounds.map((round) => round[name]);
    const first = must(windows[0], "a round was measured");
    return [
      candidates[name],
      text(windows.map(rateOf), 0),
      text(ratios(rounds, name, "select"), 2),
      text(ratios(rounds, name, "pages"), 2),
      text(
        windows.map(({ cpuUs, rows }) => cpuUs / rows),
        2,
      ),
      first.peakMiB.toFixed(0),
    ];
  });
  const head = ["", "rows a second", "÷ one SELECT", "÷ pages", "CPU µs a row", "peak MiB"];
  return textTable([head, ...lines]);
}

function wordsOf(large: LoadingWindow, windows: readonly ProbedWindow[]): string {
  const count = large.rows.toLocaleString("en");
  return [
    `${count} rows on LMDB: ${large.seconds.toFixed(1)} s, ` +
      `${(large.cpuUs / large.rows).toFixed(2)} µs of CPU a row, ` +
      `${large.peakMiB.toFixed(0)} MiB of memory at most (the store's pages among them)`,
    "Each grid was read again from its store: every row is there once, in its partition.",
    disturbedLine(windows),
    "Not measured: rows of more than 100 bytes, spaces that are mended, a database on a machine of",
    "its own (here it shares the processors), the time until lanes serve the new grid.",
  ].join("\n");
}
