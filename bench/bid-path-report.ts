// Report of bid-path: from windows to medians, ratios and the words around them.
// Owns: the shape of the figures, the tables, what makes a run invalid. Does not own: measuring.
import { must } from "../src/base/assert.ts";
import { spread, type Spread } from "../src/base/spread.ts";
import { disturbedWindows, type Probes } from "./machine.ts";
import type { ProcessCpu } from "./process-cpu.ts";
import { textTable, type ScenarioResult } from "./scenario.ts";

/** One window of one candidate. */
export interface MeasuredWindow {
  readonly candidate: string;
  readonly round: number;
  readonly seconds: number;
  readonly answers: number;
  readonly perSecond: number;
  /** Processor time of the server for each answer, in microseconds; null: not told. */
  readonly cpuUs: ProcessCpu | null;
  readonly generatorUs: number;
  /** Processors that the generator kept busy. */
  readonly generatorBusy: number;
  /** Requests that got no bid because there was no time left. */
  readonly late: number;
  /** Answers that must not be; the run is invalid. */
  readonly wrong: readonly string[];
  readonly log: { readonly bidsPerRecord: number; readonly bytesPerBid: number } | null;
  readonly probes: Probes;
}

export interface BidPathFigures {
  readonly connections: number;
  readonly windowMs: number;
  /** Log bytes of a bid of a capped campaign that has a record of its own. */
  readonly singleBidBytes: number;
  readonly candidates: readonly {
    readonly name: string;
    readonly kind: "bid" | "no bid";
    readonly isBare: boolean;
  }[];
  readonly windows: readonly MeasuredWindow[];
}

interface Summary {
  readonly name: string;
  readonly kind: string;
  readonly perSecond: Spread;
  /** Rate ÷ the rate of the bare server with the same bodies in the same round. */
  readonly ofBare: Spread;
  readonly cpuUs: Readonly<Record<keyof ProcessCpu, number>> | null;
  readonly generatorBusy: number;
  readonly bidsPerRecord: number | null;
  readonly bytesPerBid: number | null;
  readonly late: number;
  /** Windows beside which the probes were off. */
  readonly disturbed: number;
}

const lateShareMax = 0.01;
const logBytesMax = 600;
const generatorBusyMax = 0.95;

export function bidPathReport(figures: BidPathFigures): ScenarioResult {
  const disturbed = disturbedWindows(figures.windows);
  const summaries = figures.candidates.map((candidate) => summarize(figures, candidate, disturbed));
  const problems = problemsOf(figures);
  const none = { goals: [], samples: [], charts: [] };
  const report = reportText(figures, summaries);
  return { problems, report, figures: { ...figures, summaries }, ...none };
}

function summarize(
  { candidates, windows }: BidPathFigures,
  { name, kind }: BidPathFigures["candidates"][number],
  disturbed: ReadonlySet<MeasuredWindow>,
): Summary {
  const own = windows.filter((window) => window.candidate === name);
  const bare = candidates.find((candidate) => candidate.isBare && candidate.kind === kind)?.name;
  const ratios = own.map((window) => {
    const other = windows.find(({ candidate, round }) => {
      return candidate === bare && round === window.round;
    });
    return window.perSecond / must(other, "the bare server is measured in each round").perSecond;
  });
  const logs = own.flatMap(({ log }) => (log === null ? [] : [log]));
  return {
    name,
    kind,
    perSecond: spread(own.map((window) => window.perSecond)),
    ofBare: spread(ratios),
    cpuUs: medianCpu(own),
    generatorBusy: median(own.map((window) => window.generatorBusy)) ?? 0,
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

function problemsOf({ windows, singleBidBytes }: BidPathFigures): string[] {
  const problems = windows.flatMap(({ candidate, round, wrong, late, answers, generatorBusy }) => {
    const where = `${candidate}, round ${String(round + 1)}`;
    const found = wrong.map((what) => `${where}: ${what}`);
    if (answers === 0) found.push(`${where}: no answers`);
    if (late > answers * lateShareMax) found.push(`${where}: ${String(late)} bids were too late`);
    if (generatorBusy > generatorBusyMax) {
      found.push(`${where}: the load generator was the limit, not the server`);
    }
    return found;
  });
  if (!(singleBidBytes <= logBytesMax)) {
    problems.push(`a bid has ${singleBidBytes.toFixed(0)} log bytes, more than ${logBytesMax}`);
  }
  return problems;
}

function reportText(figures: BidPathFigures, summaries: readonly Summary[]): string {
  const head = ["", "per second", "of bare", "(least–most)", "CPU µs", "lane", "main", "pool"];
  head.push("runtime", "bids/record", "log bytes/bid", "late", "disturbed");
  const rows = summaries.map((summary) => {
    const { perSecond, ofBare, cpuUs: cpu } = summary;
    const us = (value: number | undefined) => value?.toFixed(1) ?? "–";
    return [
      summary.name,
      Math.round(perSecond.median).toLocaleString("en"),
      ofBare.median.toFixed(2),
      `${ofBare.min.toFixed(2)}–${ofBare.max.toFixed(2)}`,
      us(cpu?.total),
      us(cpu?.lane),
      us(cpu?.main),
      us(cpu?.pool),
      us(cpu?.runtime),
      summary.bidsPerRecord?.toFixed(1) ?? "–",
      summary.bytesPerBid?.toFixed(0) ?? "–",
      String(summary.late),
      String(summary.disturbed),
    ];
  });
  return [
    textTable([head, ...rows]),
    "",
    `Medians over rounds; ${String(figures.connections)} connections, each with one request in ` +
      `flight, windows of ${String(figures.windowMs / 1000)} s.`,
    "of bare: rate ÷ that of the bare server with the same bodies, in the same round.",
    "CPU µs: processor time of the whole server for each answer; lane, main, pool (libuv) and",
    "runtime (garbage collection, compilation) are its parts.",
    "disturbed: windows beside which a probe took 15 % longer than usual.",
    `A bid of a capped campaign with a record of its own: ${figures.singleBidBytes.toFixed(0)} ` +
      `log bytes (at most ${String(logBytesMax)}; its notices come apart).`,
    "Not measured: latency (a closed loop hides it), several lanes, a database, notices, expiry.",
  ].join("\n");
}
