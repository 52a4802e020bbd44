// Scenario micro: what the parts of the engine cost by themselves, in processor time: transaction,
// record, append to each store, hop between lanes, checkpoint, matching, reading a request.
// Owns: rounds, a process for each group of operations, the goal for matching, the words.
// Does not own: operations (micro-transactions.ts and so on), what one process does
// (micro-process.ts).
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../src/base/assert.ts";
import { spread } from "../src/base/spread.ts";
import { HazelcastMembers, missingForHazelcast } from "../src/faults/hazelcast-members.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { figure, goalOf } from "../src/report/verdict.ts";
import { disturbedWindows, probed, type Probes } from "./machine.ts";
import { microSeed } from "./micro-bids.ts";
import type { LogJob } from "./micro-log.ts";
import { matchingName, matchings, type MatchingSizes } from "./micro-matching.ts";
import type { MicroFigure } from "./micro-operation.ts";
import type { MicroGroupName, MicroJob, MicroResult } from "./micro-process.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";

const program = fileURLToPath(new URL("./micro-process.ts", import.meta.url));
const full = {
  size: { warmUpMs: 300, sampleMs: 30, samples: 7 },
  campaigns: { few: 1000, many: 100_000 },
};
const smoke: typeof full = {
  size: { warmUpMs: 0, sampleMs: 1, samples: 1 },
  campaigns: { few: 100, many: 1000 },
};
const ratioMost = 1.2;
const javaOptions = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC"];

export const micro: Scenario = {
  name: "micro",
  summary: "what the parts cost: transaction, codec, log append, hop, checkpoint, matching",
  takes: "about 4 minutes",
  roundsDefault: 7,
  run: measureMicro,
};

/** One group in one round. */
interface Window extends MicroResult {
  readonly group: string;
  readonly round: number;
  readonly probes: Probes;
}

async function measureMicro(options: ScenarioOptions): Promise<ScenarioResult> {
  const noMembers = options.smoke ? "smoke size" : missingForHazelcast();
  const windows: Window[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const folder = join(options.folder, `round-${String(round)}`);
    for (const [group, logs] of groupsOf(folder)) {
      windows.push(await measureWindow(group, group, logs, round, options));
    }
    if (noMembers === null) windows.push(await measureMembers(round, options));
    options.progress(`round ${String(round + 1)} of ${String(options.rounds)}`);
  }
  return result(windows, noMembers, options);
}

function groupsOf(folder: string): [MicroGroupName, LogJob[]][] {
  const inFlight = [1, 32];
  const embedded = [
    { name: "memory", store: "memory:", inFlight },
    { name: "LMDB unsynced", store: `lmdb:${join(folder, "unsynced")}?sync=off`, inFlight },
    { name: "LMDB synced", store: `lmdb:${join(folder, "synced")}`, inFlight },
  ];
  return [
    ["transactions", []],
    ["records", []],
    ["routing", []],
    ["matching", []],
    ["logs", embedded],
  ];
}

async function measureMembers(round: number, options: ScenarioOptions): Promise<Window> {
  const { folder } = options;
  // Two, because the store takes no fewer. Anew for each round: the logs begin empty.
  const members = await HazelcastMembers.start({ folder, members: 2, javaOptions });
  try {
    const logs = [{ name: "Hazelcast, two members", store: members.url, inFlight: [1, 32] }];
    return await measureWindow("members", "logs", logs, round, options);
  } finally {
    await members.stop();
  }
}

async function measureWindow(
  name: string,
  group: MicroGroupName,
  logs: readonly LogJob[],
  round: number,
  options: ScenarioOptions,
): Promise<Window> {
  options.progress(`round ${String(round + 1)}: ${name}`);
  const job = { group, logs, ...(options.smoke ? smoke : full) };
  return { group: name, round, ...(await probed(() => runProcess(job))) };
}

function runProcess(job: MicroJob): Promise<MicroResult> {
  return new Promise((resolve, reject) => {
    // Set up as the launcher sets up a unit's (bin/orrery.cjs).
    const env = { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true" };
    const args = ["--expose-gc", program, JSON.stringify(job)];
    execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as MicroResult);
      else reject(new Error(`${job.group}: ${stderr}`, { cause: error }));
    });
  });
}

/** One operation over the rounds. */
interface Measured {
  readonly name: string;
  readonly cpuNs: readonly number[];
  readonly wallNs: readonly number[];
}

function result(
  windows: readonly Window[],
  noMembers: string | null,
  options: ScenarioOptions,
): ScenarioResult {
  const { size, campaigns } = options.smoke ? smoke : full;
  const disturbed = disturbedWindows(windows);
  const measured = operationsOf(windows);
  const calm = operationsOf(windows.filter((window) => !disturbed.has(window)));
  const facts = Object.assign({}, ...windows.map((window) => window.facts)) as MicroResult["facts"];
  const results = resultsHash(windows);
  const notes = [
    `results ${results.hash} (the same in each run of one commit)`,
    ...(noMembers === null ? [] : [`left out: log append on Hazelcast: ${noMembers}`]),
    ...(disturbed.size === 0
      ? []
      : [
          `beside ${String(disturbed.size)} of ${String(windows.length)} windows a probe took 15 % ` +
            "longer than usual: they count for no goal",
        ]),
    ...notMeasured,
  ];
  const factLines = Object.entries(facts).map(([name, value]) => [
    name,
    value.toLocaleString("en"),
  ]);
  return {
    problems: results.problems,
    report: [tableOf(measured), textTable(factLines), notes.join("\n")].join("\n\n"),
    figures: { size, campaigns, operations: measured, facts, hash: results.hash },
    goals: matchings.map((matching) => matchingGoal(matching, campaigns, calm)),
    samples: measured.map(sampleOf),
    charts: [chartOf(measured)],
    seeds: { campaigns: microSeed },
  };
}

const notMeasured = [
  "NOT measured: HTTP; what a lane does around a command (admission, dedupe, the answer); the way",
  "to the store's thread; commands that share a record; misses of a processor's caches that other",
  "work causes between two calls; more than one thing at a time. These figures do not add up to",
  "those of a request.",
];

function operationsOf(windows: readonly Window[]): Measured[] {
  const byName = new Map<string, MicroFigure[]>();
  for (const { figures } of windows) {
    for (const one of figures) byName.set(one.name, [...(byName.get(one.name) ?? []), one]);
  }
  return [...byName].map(([name, figures]) => ({
    name,
    cpuNs: figures.map((one) => one.cpuNs),
    wallNs: figures.map((one) => one.wallNs),
  }));
}

/** One for all groups; and whether a group gave the same in each round. */
function resultsHash(windows: readonly Window[]): { hash: string; problems: string[] } {
  const byGroup = new Map<string, string>();
  const problems: string[] = [];
  for (const { group, round, hash } of windows) {
    const first = byGroup.get(group) ?? hash;
    byGroup.set(group, first);
    if (hash !== first) problems.push(`round ${String(round + 1)}: ${group} gave another result`);
  }
  const all = createHash("sha256").update([...byGroup.values()].join());
  return { hash: all.digest("hex").slice(0, 16), problems };
}

/** Matching among many campaigns ÷ among few, both in one process, sample by sample. */
function matchingGoal(
  matching: string,
  { few, many }: MatchingSizes,
  measured: readonly Measured[],
): Goal {
  const of = (campaigns: number) =>
    measured.find(({ name }) => name === matchingName(matching, campaigns))?.cpuNs ?? [];
  const base = of(few);
  const values = of(many).map((cpuNs, round) => cpuNs / must(base[round], "of one process"));
  const among = [many, few].map((campaigns) => `among ${campaigns.toLocaleString("en")} campaigns`);
  return goalOf({ name: `${matching}: CPU ${among.join(" ÷ ")}`, values, atMost: ratioMost });
}

function sampleOf({ name, cpuNs }: Measured): Sample {
  return { name, unit: "µs", better: "less", values: cpuNs.map((one) => one / 1000) };
}

function chartOf(measured: readonly Measured[]): Chart {
  const values = measured.map(({ cpuNs }) => spread(cpuNs).median / 1000);
  return {
    title: "Processor time of one operation",
    xLabel: "operation",
    x: measured.map(({ name }) => name),
    yLabel: "µs",
    isLog: true,
    series: [{ name: "median of rounds", values }],
  };
}

function tableOf(measured: readonly Measured[]): string {
  const us = (ns: number) => figure(ns / 1000);
  const rows = measured.map(({ name, cpuNs, wallNs }) => {
    const { median, min, max } = spread(cpuNs);
    return [name, us(median), us(min), us(max), us(spread(wallNs).median)];
  });
  return textTable([["µs each", "CPU", "least", "most", "time"], ...rows]);
}
