// Latency report: the summary of all runs of the scenario `latency`.
// Owns: medians over rounds, which runs count, the table and its words. Does not own: the runs.
import { spread } from "../src/base/spread.ts";
import type { LoadTotals } from "../src/load/load-result.ts";
import type { Probes } from "./machine.ts";
import { textTable, type ScenarioResult } from "./scenario.ts";

export interface LatencyRun {
  readonly candidate: string;
  readonly round: number;
  /** Of the capacity. */
  readonly share: number;
  readonly ratePerSecond: number;
  readonly totals: LoadTotals;
  /** Share of service times below 1 ms, the way to the unit and back included. */
  readonly serviceBelow1Ms: number;
  readonly wrong: readonly string[];
  readonly probes: Probes;
}

export interface LatencyFigures {
  readonly rounds: number;
  readonly seed: number;
  readonly windowMs: number;
  readonly capacities: readonly { readonly name: string; readonly perSecond: number }[];
  readonly shares: readonly number[];
  readonly runs: readonly LatencyRun[];
}

const percentiles = ["p50", "p90", "p99", "p999", "max"] as const;
/** With fewer runs a median means nothing: the row has none. */
const runsMin = 3;

export function latencyReport(figures: LatencyFigures): ScenarioResult {
  const rows = figures.capacities.flatMap(({ name }) =>
    figures.shares.map((share) => {
      const all = figures.runs.filter((run) => run.candidate === name && run.share === share);
      const fit = all.filter((run) => doubts(run).length === 0);
      const isEnough = fit.length >= Math.min(runsMin, figures.rounds);
      return { name, share, all, counting: isEnough ? fit : [] };
    }),
  );
  const problems = rows.flatMap(({ name, share, all }) => {
    const where = `${name} at ${percent(share)}`;
    return all.flatMap((run) => run.wrong.map((what) => `${where}: ${what}`));
  });
  if (rows.every(({ counting }) => counting.length === 0)) problems.push("no run counts");
  // Each tree that is compared is loaded by its own capacity: less of it must not look the same.
  const capacities = figures.capacities.map(({ name, perSecond }) => ({
    ...{ name: `${name}: capacity`, unit: "a second" },
    ...{ better: "more" as const, values: [perSecond] },
  }));
  const times = rows.flatMap(({ name, share, counting }) =>
    (["p50", "p99"] as const).map((at) => ({
      name: `${name} at ${percent(share)}: response ${at}`,
      unit: "ms",
      better: "less" as const,
      values: counting.map(({ totals }) => totals.response[at]),
    })),
  );
  const series = (at: "p50" | "p99") =>
    figures.capacities.map(({ name }) => ({
      name: `${name}, ${at}`,
      values: rows
        .filter((row) => row.name === name)
        .map(({ counting }) => medianOf(counting.map(({ totals }) => totals.response[at]))),
    }));
  return {
    problems,
    report: textOf(figures, rows),
    figures,
    goals: [],
    samples: [...capacities, ...times],
    charts: [
      {
        title: "Response time by load",
        xLabel: "of the capacity",
        x: figures.shares.map(percent),
        yLabel: "milliseconds",
        isLog: true,
        series: [...series("p50"), ...series("p99")],
      },
    ],
    seeds: { arrivals: figures.seed },
  };
}

/** Why the times of a run are not those of the server: the load was not as planned. */
function doubts({ totals: { problems, notSent } }: LatencyRun): string[] {
  return [...problems, ...(notSent > 0 ? [`${String(notSent)} requests were not sent`] : [])];
}

interface Row {
  readonly name: string;
  readonly share: number;
  readonly all: readonly LatencyRun[];
  readonly counting: readonly LatencyRun[];
}

function textOf({ capacities, windowMs }: LatencyFigures, rows: readonly Row[]): string {
  const head = ["", "of capacity", "a second", "", "p50", "p90", "p99", "p99.9", "max"];
  const more = ["below 1 ms", "late answers", "not sent", "lateness p99", "runs"];
  const lines = rows.flatMap(({ name, share, all, counting }) => {
    const median = (value: (run: LatencyRun) => number, digits: number) =>
      medianOf(counting.map(value))?.toFixed(digits) ?? "–";
    const timesOf = (kind: "response" | "service") =>
      percentiles.map((at) => median(({ totals }) => totals[kind][at], 2));
    const isMix = !name.startsWith("bid");
    const shed = isMix ? "?" : median(({ totals }) => totals.outcomes["204"] ?? 0, 0);
    const rate = median(({ ratePerSecond }) => ratePerSecond, 0);
    return [
      [
        ...[name, percent(share), rate, "response", ...timesOf("response"), ""],
        ...[shed, median(({ totals }) => totals.notSent, 0)],
        ...[median(({ totals }) => totals.lateness.p99, 2)],
        `${String(counting.length)}/${String(all.length)}`,
      ],
      [
        ...["", "", "", "service", ...timesOf("service")],
        ...[median(({ serviceBelow1Ms }) => serviceBelow1Ms * 100, 1) + " %", "", "", "", ""],
      ],
    ];
  });
  const capacity = capacities.map(
    ({ name, perSecond }) => `${name} ${Math.round(perSecond).toLocaleString("en")}/s`,
  );
  return [
    `capacity under saturation: ${capacity.join(", ")}`,
    "",
    textTable([[...head, ...more], ...lines]),
    "",
    `Milliseconds, medians of the runs that count, ${String(windowMs / 1000)} s each. Response:`,
    "planned → done, so a stall is charged with all that was due in it. Service: sent → done.",
    "Below 1 ms: of service times, HTTP and loopback included. Late answers: 204 to who gets a bid.",
    "Runs in which the generator was the bottleneck, or could not send all, do not count; a row of",
    "which fewer than three count has no figures.",
    ...rows.flatMap(({ name, share, all }) =>
      all.flatMap((run) =>
        doubts(run).map((doubt) => `Does not count: ${name} at ${percent(share)}: ${doubt}`),
      ),
    ),
    "NOT measured: a network, several lanes, several units, notices, a database.",
  ].join("\n");
}

function percent(share: number): string {
  return `${String(Math.round(share * 100))} %`;
}

function medianOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : spread(values).median;
}
