// Report of rivals: from windows to medians, ratios, goals and the words around them.
// Owns: which windows count, what makes a run invalid, the figures of each row. Does not own:
// measuring, tables and words (rivals-text.ts).
import { spread } from "../src/base/spread.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { goalOf, goalOfCount } from "../src/report/verdict.ts";
import { disturbedWindows } from "./machine.ts";
import { ofRawMin, type MeasuredRival, type RivalsFigures, type Row } from "./rivals-figures.ts";
import type { Shape } from "./rivals-plan.ts";
import { rivalsText } from "./rivals-text.ts";
import type { ScenarioResult } from "./scenario.ts";

export function rivalsReport(figures: RivalsFigures): ScenarioResult {
  const { rivals, windows, loads, hotLoad } = figures;
  const disturbed = disturbedWindows(windows);
  const keys = [
    ...loads.flatMap((load) =>
      rivals.map(({ name }) => ({ name, shape: "spread", load }) as const),
    ),
    ...rivals
      .filter(({ runsHot }) => runsHot)
      .map(({ name }) => ({ name, shape: "hot", load: hotLoad }) as const),
  ];
  const rows = keys.map(({ name, shape, load }) =>
    rowOf(windowsOf(windows, name, shape, load), disturbed),
  );
  return {
    problems: windows.flatMap(problemsOf),
    report: rivalsText(figures, rows),
    figures: {
      ...figures,
      leftOut: Object.fromEntries(figures.leftOut),
      windows: windows.map((window) => withoutProbes(window, disturbed)),
    },
    goals: goalsOf(figures),
    samples: samplesOf(figures),
    charts: chartsOf(figures, rows),
  };
}

/** The report has all probes; here it is said beside which windows they were off. */
function withoutProbes(window: MeasuredRival, disturbed: ReadonlySet<MeasuredRival>) {
  const entries = Object.entries(window).filter(([name]) => name !== "probes");
  return { ...Object.fromEntries(entries), isDisturbed: disturbed.has(window) };
}

function windowsOf(
  windows: readonly MeasuredRival[],
  name: string,
  shape: Shape,
  load: number,
): MeasuredRival[] {
  return windows.filter((window) => {
    return window.rival === name && window.shape === shape && window.outstanding === load;
  });
}

function rowOf(own: readonly MeasuredRival[], disturbed: ReadonlySet<MeasuredRival>): Row {
  const of = (figure: (window: MeasuredRival) => number) => spread(own.map(figure));
  const median = (figure: (window: MeasuredRival) => number) => of(figure).median;
  const [first] = own;
  const hasRaw = own.every(({ rawPerSecond }) => rawPerSecond !== null);
  const isTold = own.every(({ serversCpuUs }) => serversCpuUs !== null);
  const journals = own.every(({ records }) => records > 0);
  return {
    rival: first?.rival ?? "",
    shape: first?.shape ?? "spread",
    outstanding: first?.outstanding ?? 0,
    perSecond: of(rate),
    ofRaw: hasRaw ? of((window) => ofRaw(window) ?? 0) : null,
    counting: own.filter(counts).length,
    windows: own.length,
    cpuUs: median(({ cpuUs }) => cpuUs),
    serversCpuUs: isTold ? median(({ serversCpuUs }) => serversCpuUs ?? 0) : null,
    busy: median((window) => (rate(window) * window.cpuUs) / 1e6),
    serversBusy: isTold
      ? median((window) => (rate(window) * (window.serversCpuUs ?? 0)) / 1e6)
      : null,
    loopUs: median(({ loopUs }) => loopUs),
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    perRecord: journals ? median(({ answers, records }) => answers / records) : null,
    racesLost: median(({ racesLost, answers }) => (answers === 0 ? 0 : racesLost / answers)),
    refusedShare: median(({ reserved, overCap, overBudget }) => {
      const refused = overCap + overBudget;
      return refused === 0 ? 0 : refused / (reserved + refused);
    }),
    disturbed: own.filter((window) => disturbed.has(window)).length,
  };
}

function rate({ answers, seconds }: MeasuredRival): number {
  return answers / seconds;
}

function ofRaw(window: MeasuredRival): number | null {
  return window.rawPerSecond === null ? null : rate(window) / window.rawPerSecond;
}

/** Whether it may be compared: what has no raw rate may. */
function counts(window: MeasuredRival): boolean {
  return (ofRaw(window) ?? 1) >= ofRawMin;
}

/** Whoever overspends, or keeps other than it answers, does something else than was asked. */
function problemsOf(window: MeasuredRival): string[] {
  const { rival, shape, round, outstanding, others, answers, reserved, audit } = window;
  const problems = Object.entries(others).map(([what, count]) => `${String(count)} × ${what}`);
  if (answers === 0) problems.push("no answers");
  if (audit.reservations !== reserved) {
    problems.push(`${String(audit.reservations)} are kept, ${String(reserved)} were answered`);
  }
  const faults = [
    ["micros overspent", audit.overspentMicros],
    ["micros not accounted for", audit.unaccountedMicros],
    ["reservations above a cap", audit.overCap],
    ["reservations with the name of another", audit.twice],
  ] as const;
  for (const [what, count] of faults) if (count > 0) problems.push(`${String(count)} ${what}`);
  const where = `${rival}, ${shape}, ${String(outstanding)} under way, round ${String(round + 1)}`;
  return problems.map((problem) => `${where}: ${problem}`);
}

/** What of a window's books is not as it should be, in micros and reservations together. */
function faultsOf({ audit, reserved }: MeasuredRival): number {
  const { overspentMicros, unaccountedMicros, overCap, twice, reservations } = audit;
  return overspentMicros + unaccountedMicros + overCap + twice + Math.abs(reservations - reserved);
}

function goalsOf({ rivals, windows, loads, hotLoad }: RivalsFigures): Goal[] {
  const ours = new Set(rivals.filter(({ isOurs }) => isOurs).map(({ name }) => name));
  const faults = windows.filter(({ rival }) => ours.has(rival)).map(faultsOf);
  const least = Math.min(...loads);
  const most = Math.max(...loads);
  type Side = readonly [name: string, shape: Shape, load: number];
  /** First ÷ second, in the rounds in which both count. */
  const ratios = (first: Side, second: Side, figure: (window: MeasuredRival) => number) => {
    const others = windowsOf(windows, ...second).filter(counts);
    return windowsOf(windows, ...first)
      .filter(counts)
      .flatMap((window) => {
        const other = others.find(({ round }) => round === window.round);
        return other === undefined ? [] : [figure(window) / figure(other)];
      });
  };
  const allCpu = ({ cpuUs, serversCpuUs }: MeasuredRival) => cpuUs + (serversCpuUs ?? 0);
  const synced: Side = ["orrery, lmdb: synced", "spread", least];
  return [
    goalOfCount({
      name: "orrery: micros overspent or lost, reservations above a cap, lost or doubled",
      count: faults.reduce((total, count) => total + count, 0),
      atMost: 0,
    }),
    goalOf({
      name: "processor time of all for a reservation: orrery, memory: ÷ redis, one connection",
      values: ratios(
        ["orrery, memory:", "spread", least],
        ["redis, one connection", "spread", least],
        allCpu,
      ),
      atMost: 1,
    }),
    goalOf({
      name: "no cliff: orrery, lmdb: synced, one hot campaign ÷ spread",
      values: ratios(["orrery, lmdb: synced", "hot", hotLoad], synced, rate),
      atLeast: 0.8,
    }),
    goalOf({
      name: "orrery, lmdb: synced ÷ redis, AOF always",
      values: ratios(synced, ["redis, AOF always", "spread", least], rate),
      atLeast: 1,
    }),
    goalOf({
      name: "orrery, lmdb: synced ÷ postgresql, commit on",
      values: ratios(synced, ["postgresql, commit on", "spread", least], rate),
      atLeast: 1,
    }),
    goalOf({
      name: `orrery, three members ÷ hazelcast direct, remembers (${String(most)} under way)`,
      values: ratios(
        ["orrery, three members", "spread", most],
        ["hazelcast direct, remembers", "spread", most],
        rate,
      ),
      atLeast: 1,
    }),
  ];
}

/** Of ours alone: a rival is not what two trees differ in. */
function samplesOf({ rivals, windows, loads }: RivalsFigures): Sample[] {
  const least = Math.min(...loads);
  return rivals
    .filter(({ isOurs }) => isOurs)
    .flatMap(({ name }): Sample[] => {
      const own = windowsOf(windows, name, "spread", least);
      return [
        { name, unit: "reservations/s", better: "more", values: own.map(rate) },
        {
          name: `${name}, processor time`,
          unit: "µs/reservation",
          better: "less",
          values: own.map(({ cpuUs, serversCpuUs }) => cpuUs + (serversCpuUs ?? 0)),
        },
      ];
    });
}

function chartsOf({ rivals, loads }: RivalsFigures, rows: readonly Row[]): Chart[] {
  const x = rivals.map(({ name }) => name);
  const rowAt = (name: string, load: number, shape: Shape) =>
    rows.find((row) => row.rival === name && row.outstanding === load && row.shape === shape);
  const least = Math.min(...loads);
  const valuesOf = (value: (row: Row) => number | null, load: number, shape: Shape = "spread") =>
    x.map((name) => {
      const row = rowAt(name, load, shape);
      return row === undefined ? null : value(row);
    });
  const perSecond = loads.map((load) => ({
    name: `${String(load)} under way`,
    values: valuesOf((row) => row.perSecond.median, load),
  }));
  const hot = {
    name: "one hot campaign",
    values: valuesOf((row) => row.perSecond.median, least, "hot"),
  };
  const processorTime = [
    { name: "the process that asks", values: valuesOf(({ cpuUs }) => cpuUs, least) },
    { name: "servers", values: valuesOf(({ serversCpuUs }) => serversCpuUs, least) },
  ];
  const bars = { x, xLabel: "" };
  return [
    {
      ...{ title: "Reservations", yLabel: "per second", ...bars },
      series: [...perSecond, hot],
    },
    {
      title: `Processor time of one reservation, ${String(least)} under way`,
      ...{ yLabel: "µs", ...bars, series: processorTime },
    },
  ];
}
