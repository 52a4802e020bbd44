// Report of floor and throughput: from windows to medians, ratios, goals and the words around them.
// Owns: the shape of the figures, the tables, what makes a run invalid. Does not own: measuring,
// verdicts (src/report/verdict.ts).
import { spread, type Spread } from "../src/base/spread.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { goalOf, goalOfCount } from "../src/report/verdict.ts";
import { disturbedWindows } from "./machine.ts";
import type { ProcessCpu } from "./process-cpu.ts";
import { textTable, type ScenarioResult } from "./scenario.ts";
import type { Candidate, MeasuredWindow } from "./throughput-window.ts";

export interface ThroughputFigures {
  readonly connections: number;
  readonly windowMs: number;
  readonly candidates: readonly Candidate[];
  readonly windows: readonly MeasuredWindow[];
  /** Log bytes of a bid of a capped campaign that has a record of its own; null: not counted. */
  readonly singleBidBytes: number | null;
}

interface Summary {
  readonly candidate: Candidate;
  readonly perSecond: Spread;
  /** Rate ÷ the rate of the floor of the same traffic in the same round; empty without a floor. */
  readonly rateOfFloor: readonly number[];
  /** The floor's processor time ÷ its own, in each round; empty without it, or where not told. */
  readonly cpuOfFloor: readonly number[];
  readonly cpuUs: Readonly<Record<keyof ProcessCpu, number>> | null;
  readonly bidsPerRecord: number | null;
  readonly bytesPerBid: number | null;
  readonly late: number;
  /** Windows beside which the probes were off. */
  readonly disturbed: number;
}

/** What a candidate must reach of its floor, by its traffic and store. */
const cpuGoals = [
  { traffic: "no bid", store: "memory", atLeast: 0.8 },
  { traffic: "bid", store: "lmdb?sync=off", atLeast: 0.5 },
  { traffic: "bid", store: "lmdb", atLeast: 0.4 },
] as const;
const logBytesMax = 600;
/** Of the lane's processor time, what its stages may be off it. */
const stagesOffMax = 0.15;
const lateShareMax = 0.01;
const generatorBusyMax = 0.95;

export function throughputReport(figures: ThroughputFigures): ScenarioResult {
  const disturbed = disturbedWindows(figures.windows);
  const summaries = figures.candidates.map((candidate) => summarize(figures, candidate, disturbed));
  const stages = stagesOfAll(figures.windows);
  return {
    problems: figures.windows.flatMap(problemsOf),
    report: reportText(figures, summaries, stages),
    figures: { ...figures, summaries, stages: Object.fromEntries(stages) },
    goals: goalsOf(figures, summaries),
    samples: figures.candidates.flatMap((candidate) => samplesOf(figures.windows, candidate)),
    charts: chartsOf(summaries, stages),
  };
}

function summarize(
  { candidates, windows }: ThroughputFigures,
  candidate: Candidate,
  disturbed: ReadonlySet<MeasuredWindow>,
): Summary {
  const own = windows.filter((window) => window.candidate === candidate.name);
  const floorName = candidates.find(
    ({ store, traffic }) => store === null && traffic === candidate.traffic,
  )?.name;
  const pairs = own.flatMap((window) => {
    const floor = windows.find(
      (other) => other.candidate === floorName && other.round === window.round,
    );
    return floor === undefined ? [] : [{ window, floor }];
  });
  const logs = own.flatMap(({ log }) => (log === null ? [] : [log]));
  return {
    candidate,
    perSecond: spread(own.map((window) => window.perSecond)),
    rateOfFloor: pairs.map(({ window, floor }) => window.perSecond / floor.perSecond),
    cpuOfFloor: pairs.flatMap(({ window, floor }) => {
      const [ownCpu, floorCpu] = [window.cpuUs, floor.cpuUs];
      return ownCpu === null || floorCpu === null ? [] : [floorCpu.total / ownCpu.total];
    }),
    cpuUs: medianCpu(own),
    bidsPerRecord: median(logs.map((log) => log.bidsPerRecord)),
    bytesPerBid: median(logs.map((log) => log.bytesPerBid)),
    late: own.reduce((sum, { late }) => sum + late, 0),
    disturbed: own.filter((window) => disturbed.has(window)).length,
  };
}

function median(figures: readonly number[]): number | null {
  return figures.length === 0 ? null : spread(figures).median;
}

function medianCpu(windows: readonly MeasuredWindow[]): Summary["cpuUs"] {
  const told = windows.flatMap(({ cpuUs }) => (cpuUs === null ? [] : [cpuUs]));
  if (told.length === 0) return null;
  const of = (part: keyof ProcessCpu) => spread(told.map((cpu) => cpu[part])).median;
  const parts = { main: of("main"), lane: of("lane"), pool: of("pool"), runtime: of("runtime") };
  return { total: of("total"), ...parts };
}

/**
 * Processor time by stage: medians over the profiled windows, the largest first. Samples give the
 * lane's stages their shares of its thread's processor time; the other threads are stages, too.
 */
function stagesOfAll(windows: readonly MeasuredWindow[]): Map<string, number> {
  const profiled = windows.flatMap(({ stages, cpuUs }) => {
    if (stages === null || cpuUs === null) return [];
    const scale = cpuUs.lane / sum(Object.values(stages));
    const all = new Map(Object.entries(stages).map(([name, us]) => [name, us * scale]));
    all.set(mainStage, cpuUs.main).set(poolStage, cpuUs.pool).set(runtimeStage, cpuUs.runtime);
    return [all];
  });
  const names = new Set(profiled.flatMap((stages) => [...stages.keys()]));
  const medians = [...names].map((name): [string, number] => [
    name,
    spread(profiled.map((stages) => stages.get(name) ?? 0)).median,
  ]);
  return new Map(medians.sort(([, a], [, b]) => b - a));
}

function problemsOf(window: MeasuredWindow): string[] {
  const { candidate, round, wrong, late, answers, generatorBusy } = window;
  const where = `${candidate}, round ${String(round + 1)}`;
  const found = wrong.map((what) => `${where}: ${what}`);
  if (answers === 0) found.push(`${where}: no answers`);
  if (late > answers * lateShareMax)
    found.push(`${where}: ${String(late)} requests got no bid for want of time`);
  if (generatorBusy > generatorBusyMax) {
    found.push(`${where}: the load generator was the limit, not the server`);
  }
  return found;
}

function goalsOf(figures: ThroughputFigures, all: readonly Summary[]): Goal[] {
  const { candidates, windows, singleBidBytes } = figures;
  const goals = cpuGoals.flatMap(({ traffic, store, atLeast }) => {
    const summary = all.find(({ candidate: one }) => {
      return one.traffic === traffic && one.store === store && !one.isProfiled;
    });
    if (summary === undefined || !hasFloor(candidates, traffic)) return [];
    const name = `${summary.candidate.name}: processor time, of the floor's rate`;
    return [goalOf({ name, values: summary.cpuOfFloor, atLeast })];
  });
  if (singleBidBytes !== null) {
    const name = "log of a bid with a record of its own";
    goals.push(goalOfCount({ name, count: singleBidBytes, atMost: logBytesMax, unit: "bytes" }));
  }
  const offs = windows.flatMap(stagesOff);
  if (windows.some(({ stages }) => stages !== null)) {
    const name = "stages, off the lane's processor time by";
    goals.push(goalOf({ name, values: offs, atMost: stagesOffMax }));
  }
  return goals;
}

function hasFloor(candidates: readonly Candidate[], traffic: Candidate["traffic"]): boolean {
  return candidates.some((one) => one.store === null && one.traffic === traffic);
}

const mainStage = "main thread: the store";
const poolStage = "libuv's threads: LMDB's commits";
const runtimeStage = "V8's threads: garbage collection, compilation";

/** By which share the stages of a window are more or less than its lane's processor time. */
function stagesOff({ stages, cpuUs }: MeasuredWindow): number[] {
  if (stages === null || cpuUs === null) return [];
  return [Math.abs(sum(Object.values(stages)) / cpuUs.lane - 1)];
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

function samplesOf(windows: readonly MeasuredWindow[], { name, isProfiled }: Candidate): Sample[] {
  if (isProfiled) return [];
  const own = windows.filter((window) => window.candidate === name);
  const values = own.flatMap(({ cpuUs }) => (cpuUs === null ? [] : [cpuUs.total]));
  return [{ name: `${name}: processor time`, unit: "µs", better: "less", values }];
}

function chartsOf(summaries: readonly Summary[], stages: ReadonlyMap<string, number>): Chart[] {
  const parts = ["lane", "main", "pool", "runtime"] as const;
  const charts: Chart[] = [
    {
      title: "Processor time of the server for an answer",
      xLabel: "",
      x: summaries.map(({ candidate }) => candidate.name),
      yLabel: "µs",
      series: parts.map((part) => ({
        name: part,
        values: summaries.map(({ cpuUs }) => cpuUs?.[part] ?? null),
      })),
    },
  ];
  if (stages.size === 0) return charts;
  const series = [{ name: "µs for a bid and its notices", values: [...stages.values()] }];
  const title = "Processor time, by stage";
  return [...charts, { title, xLabel: "", x: [...stages.keys()], yLabel: "µs", series }];
}

function reportText(
  figures: ThroughputFigures,
  summaries: readonly Summary[],
  stages: ReadonlyMap<string, number>,
): string {
  const head = ["", "per second", "of floor", "CPU µs", "of floor", "(least–most)", "lane", "main"];
  head.push("pool", "runtime", "bids/record", "log bytes/bid", "late", "disturbed");
  const rows = summaries.map(summaryRow);
  return [
    textTable([head, ...rows]),
    "",
    `Medians over rounds; ${String(figures.connections)} connections, each with one request in ` +
      `flight, windows of ${String(figures.windowMs / 1000)} s.`,
    "of floor: beside the bare server with the same bodies in the same round: rate ÷ its rate, and",
    "its processor time ÷ the candidate's own.",
    "CPU µs: processor time of the whole server for each answer to a bid request; lane (of the",
    "floor: main), main, pool (libuv) and runtime (garbage collection, compilation) are its parts.",
    "disturbed: windows beside which a probe took 15 % longer than usual.",
    ...(stages.size === 0 ? [] : stagesText(figures, stages)),
    ...(figures.singleBidBytes === null
      ? []
      : [
          "",
          "A bid of a capped campaign with a record of its own: " +
            `${figures.singleBidBytes.toFixed(0)} log bytes (its notices come apart).`,
        ]),
    "",
    "Not measured: latency (a closed loop hides it), several lanes, a database, expiry.",
  ].join("\n");
}

function summaryRow(summary: Summary): string[] {
  const { candidate, perSecond, rateOfFloor, cpuOfFloor, cpuUs: cpu } = summary;
  const us = (value: number | undefined) => value?.toFixed(1) ?? "–";
  const of = cpuOfFloor.length === 0 ? null : spread(cpuOfFloor);
  return [
    candidate.name,
    Math.round(perSecond.median).toLocaleString("en"),
    median(rateOfFloor)?.toFixed(2) ?? "–",
    us(cpu?.total),
    of?.median.toFixed(2) ?? "–",
    of === null ? "–" : `${of.min.toFixed(2)}–${of.max.toFixed(2)}`,
    us(cpu?.lane),
    us(cpu?.main),
    us(cpu?.pool),
    us(cpu?.runtime),
    summary.bidsPerRecord?.toFixed(1) ?? "–",
    summary.bytesPerBid?.toFixed(0) ?? "–",
    String(summary.late),
    String(summary.disturbed),
  ];
}

function stagesText(figures: ThroughputFigures, stages: ReadonlyMap<string, number>): string[] {
  const total = sum([...stages.values()]);
  const rows = [...stages].map(([name, us]) => {
    return [name, us.toFixed(2), `${((us / total) * 100).toFixed(1)} %`];
  });
  const offs = figures.windows.flatMap(stagesOff);
  const off = offs.length === 0 ? "?" : (spread(offs).median * 100).toFixed(0);
  return [
    "",
    "Processor time of one bid and its notices (four of five lost, one won and billed), by stage;",
    "what has no thread of its own is the lane's:",
    textTable([["", "µs", ""], ...rows, ["all", total.toFixed(2), ""]]),
    `Shares of the lane's thread are sampled by the clock: the samples were off its processor time`,
    `by ${off} %. Taking them costs time, too: see the same without, above.`,
  ];
}
