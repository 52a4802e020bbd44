// Report of reservations: from windows to medians, ratios and the words around them.
// Owns: the tables, what makes a run invalid. Does not own: measuring.
import { must } from "../src/base/assert.ts";
import { spread, type Spread } from "../src/base/spread.ts";
import { disturbedWindows, type Probes } from "./machine.ts";
import type { ReservationJob, ReservationWindow } from "./reservations-process.ts";
import { textTable, type ScenarioResult } from "./scenario.ts";

export interface ReservationCandidate {
  readonly name: string;
  readonly engine: ReservationJob["engine"];
  readonly onMembers: boolean;
}

export interface MeasuredReservations extends ReservationWindow {
  readonly candidate: string;
  readonly round: number;
  /** Bids under way at any time. */
  readonly outstanding: number;
  readonly probes: Probes;
}

export interface ReservationFigures {
  /** Bids under way: each candidate is measured with each. */
  readonly loads: readonly number[];
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** The first one is what the others are compared with. */
  readonly candidates: readonly ReservationCandidate[];
  readonly windows: readonly MeasuredReservations[];
}

interface Summary {
  readonly name: string;
  readonly outstanding: number;
  readonly perSecond: Spread;
  /** Rate of the first candidate ÷ this one's, in the same round. */
  readonly timesSlower: Spread;
  readonly cpuUs: Spread;
  /** Processor time of the first candidate's process for a bid ÷ this one's, in the same round. */
  readonly cpuRatio: Spread;
  readonly membersCpuUs: number | null;
  readonly busy: number;
  readonly generatorUs: number;
  readonly bidsPerRecord: number | null;
  readonly bytesPerBid: number | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly racesLostPerBid: number;
  /** Windows beside which the probes were off. */
  readonly disturbed: number;
}

/** Part of a candidate's processor time that inputs and loop may be. */
const generatorShareMax = 0.2;

export function reservationsReport(figures: ReservationFigures): ScenarioResult {
  const disturbed = disturbedWindows(figures.windows);
  const summaries = figures.loads.flatMap((load) => {
    return figures.candidates.map(({ name }) => summarize(figures, name, load, disturbed));
  });
  const problems = figures.windows.flatMap(problemsOf);
  const none = { goals: [], samples: [], charts: [] };
  const report = reportText(figures, summaries);
  return { problems, report, figures: { ...figures, summaries }, ...none };
}

function summarize(
  { candidates, windows }: ReservationFigures,
  name: string,
  load: number,
  disturbed: ReadonlySet<MeasuredReservations>,
): Summary {
  const loaded = windows.filter(({ outstanding }) => outstanding === load);
  const own = loaded.filter(({ candidate }) => candidate === name);
  const first = (round: number) =>
    must(
      loaded.find((one) => one.round === round && one.candidate === candidates[0]?.name),
      "the first candidate is measured in each round",
    );
  const of = (figure: (window: MeasuredReservations) => number) => spread(own.map(figure));
  const journals = own.some(({ records }) => records > 0);
  const isOnMembers = own.every(({ membersCpuUs }) => membersCpuUs !== null);
  return {
    name,
    outstanding: load,
    perSecond: of(rate),
    timesSlower: of((window) => rate(first(window.round)) / rate(window)),
    cpuUs: of(({ cpuUs }) => cpuUs),
    cpuRatio: of((window) => first(window.round).cpuUs / window.cpuUs),
    membersCpuUs: isOnMembers ? of(({ membersCpuUs }) => membersCpuUs ?? 0).median : null,
    busy: of(({ busy }) => busy).median,
    generatorUs: of(({ generatorUs }) => generatorUs).median,
    bidsPerRecord: journals ? of(({ bids, records }) => bids / records).median : null,
    bytesPerBid: journals ? of(({ bids, recordBytes }) => recordBytes / bids).median : null,
    p50Ms: of(({ p50Ms }) => p50Ms).median,
    p99Ms: of(({ p99Ms }) => p99Ms).median,
    racesLostPerBid: of(({ racesLost, bids }) => racesLost / bids).median,
    disturbed: own.filter((window) => disturbed.has(window)).length,
  };
}

function rate({ bids, seconds }: MeasuredReservations): number {
  return bids / seconds;
}

function problemsOf(window: MeasuredReservations): string[] {
  const { candidate, round, outstanding, bids, others, answered, found, generatorUs, cpuUs } =
    window;
  const problems = Object.entries(others).map(([what, count]) => `${String(count)} × ${what}`);
  if (bids === 0) problems.push("no bids");
  const expected = [
    ["reservations", found.reservations, answered.reservations],
    ["micros held", found.heldMicros, answered.heldMicros],
    ["bids counted for users", found.pending, answered.reservations],
  ] as const;
  for (const [what, there, due] of expected) {
    if (there !== null && there !== due) {
      problems.push(`${String(there)} ${what} are kept, ${String(due)} were answered`);
    }
  }
  if (generatorUs > cpuUs * generatorShareMax) problems.push("the load was much of the work");
  const where = `${candidate}, ${String(outstanding)} under way, round ${String(round + 1)}`;
  return problems.map((problem) => `${where}: ${problem}`);
}

function reportText(figures: ReservationFigures, summaries: readonly Summary[]): string {
  const tables = figures.loads.map((load) => {
    return tableOf(
      load,
      summaries.filter(({ outstanding }) => outstanding === load),
    );
  });
  return [
    tables.join("\n\n"),
    "",
    "Medians over rounds; members and process on this one machine, no HTTP; windows of " +
      `${String(figures.windowMs / 1000)} s.`,
    "times slower: rate of orrery on members ÷ this rate, in the same round.",
    "CPU µs: processor time of the process for each bid, with the generator's, which is about " +
      `${must(summaries[0], "there are candidates").generatorUs.toFixed(1)}.`,
    "orrery ÷ it: that time of orrery on members ÷ this one, in the same round.",
    "busy: processors that the process kept busy. disturbed: windows beside which a probe took",
    "15 % longer than usual.",
    "direct: reads purse and user, then changes both by compare-and-set and adds the reservation.",
    "direct, remembers: reads nothing; its own bids for a purse wait for one another.",
    "direct, purse only: the same without user and reservation, which is less than a bid needs.",
    "Not measured: HTTP, notices, expiry, a database, members on machines of their own.",
  ].join("\n");
}

function tableOf(load: number, summaries: readonly Summary[]): string {
  const head = [`${String(load)} bids under way`, "per second", "times slower", "(least–most)"];
  head.push("CPU µs", "orrery ÷ it", "(least–most)", "members' CPU µs", "busy", "p50 ms", "p99 ms");
  head.push("bids/record", "log bytes/bid", "races lost/bid", "disturbed");
  const rows = summaries.map((summary) => [
    summary.name,
    Math.round(summary.perSecond.median).toLocaleString("en"),
    summary.timesSlower.median.toFixed(2),
    range(summary.timesSlower),
    summary.cpuUs.median.toFixed(1),
    summary.cpuRatio.median.toFixed(2),
    range(summary.cpuRatio),
    summary.membersCpuUs?.toFixed(0) ?? "–",
    summary.busy.toFixed(2),
    summary.p50Ms.toFixed(1),
    summary.p99Ms.toFixed(1),
    summary.bidsPerRecord?.toFixed(1) ?? "–",
    summary.bytesPerBid?.toFixed(0) ?? "–",
    summary.racesLostPerBid.toFixed(2),
    String(summary.disturbed),
  ]);
  return textTable([head, ...rows]);
}

function range({ min, max }: Spread): string {
  return `${min.toFixed(2)}–${max.toFixed(2)}`;
}
