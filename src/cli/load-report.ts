// Load report: a load's result for a person, as a text and as a report with charts.
// Owns: the words, the table, the charts. Does not own: the sums (src/load), the report's shape.
import { availableParallelism, cpus } from "node:os";
import packageJson from "../../package.json" with { type: "json" };
import { Histogram, type HistogramCounts, type Percentiles } from "../base/histogram.ts";
import type { LoadResult, LoadTotals } from "../load/load-result.ts";
import type { LoadSpec } from "../load/load-spec.ts";
import { formatRateProfile } from "../load/rate-profile.ts";
import { sealReport, type Chart, type Report } from "../report/report.ts";

const columnWidth = 10;

/** The table at the end. */
export function loadText(result: LoadResult, totals: LoadTotals): string {
  const { sent, notSent, waited, outcomes, durationMs } = totals;
  const number = (value: number) => value.toLocaleString("en");
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${outcome}: ${number(count)}`);
  const due = `${number(sent + notSent)} due, ${number(sent)} sent, ${number(notSent)} not sent`;
  const ended = result.isWhole ? "" : ", stopped before the end";
  return [
    `requests   ${due}, in ${(durationMs / 1000).toFixed(1)} s${ended}`,
    `answers    ${counts.length === 0 ? "none" : counts.join("  ")}`,
    `generator  ${(totals.cpuShare * 100).toFixed(0)} % of a core`,
    "",
    row("ms", ["p50", "p90", "p99", "p99.9", "max"]),
    row("response", times(totals.response)),
    row("service", times(totals.service)),
    row("lateness", times(totals.lateness)),
    "",
    "response: planned → done; service: sent → done; lateness: planned → sent, the generator's own.",
    ...notes(notSent, waited),
  ].join("\n");
}

function notes(notSent: number, waited: number): string[] {
  const few = "there were too few connections or the server was slow; --connections gives more";
  return [
    ...(notSent > 0
      ? ["What was not sent is in no time above: the server was too slow for it."]
      : []),
    ...(waited > 0
      ? [`${waited.toLocaleString("en")} requests waited for a connection: ${few}.`]
      : []),
  ];
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(columnWidth) + cells.map((cell) => cell.padStart(columnWidth)).join("");
}

function times({ p50, p90, p99, p999, max }: Percentiles): string[] {
  return [p50, p90, p99, p999, max].map((value) => value.toFixed(2));
}

/** The same with all seconds, for a file. */
export function loadReport(parts: {
  readonly spec: LoadSpec;
  readonly result: LoadResult;
  readonly totals: LoadTotals;
  readonly startedAtMs: number;
}): Report {
  const { spec, result, totals, startedAtMs } = parts;
  const { bodies, ...sent } = spec;
  return sealReport({
    version: 1,
    scenario: "load",
    summary: `${spec.url}, ${formatRateProfile(spec.steps)}`,
    startedAt: new Date(startedAtMs).toISOString(),
    tookMs: Math.round(totals.durationMs),
    smoke: false,
    rounds: 1,
    valid: totals.problems.length === 0,
    problems: [...totals.problems],
    commit: `orrery ${packageJson.version}`,
    seeds: spec.spacing === "poisson" ? { arrivals: spec.seed } : {},
    environment: {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
    },
    goals: [],
    samples: [],
    charts: chartsOf(result),
    probes: [],
    text: loadText(result, totals),
    figures: { load: { ...sent, bodies: bodies.length }, totals, seconds: result.seconds },
  });
}

function chartsOf({ seconds }: LoadResult): Chart[] {
  const x = seconds.map(({ endMs }) => Math.round(endMs) / 1000);
  const each = (count: (second: (typeof seconds)[number]) => number) =>
    seconds.map((second) => (count(second) * 1000) / Math.max(1, second.durationMs));
  const answered = (isGood: boolean) =>
    each(({ outcomes }) =>
      Object.entries(outcomes).reduce(
        (sum, [outcome, count]) => (Number(outcome) < 400 === isGood ? sum + count : sum),
        0,
      ),
    );
  const percentile = (counts: (second: (typeof seconds)[number]) => HistogramCounts, at: number) =>
    seconds.map((second) => percentileOf(counts(second), at));
  return [
    {
      title: "Requests a second",
      xLabel: "seconds",
      x,
      yLabel: "a second",
      series: [
        { name: "due", values: each(({ sent, notSent }) => sent + notSent) },
        { name: "answered below 400", values: answered(true) },
        { name: "refused or failed", values: answered(false) },
        { name: "not sent", values: each(({ notSent }) => notSent) },
      ],
    },
    {
      title: "Times of what was answered in each second",
      xLabel: "seconds",
      x,
      yLabel: "milliseconds",
      isLog: true,
      series: [
        { name: "response p50", values: percentile(({ response }) => response, 50) },
        { name: "response p99", values: percentile(({ response }) => response, 99) },
        { name: "service p99", values: percentile(({ service }) => service, 99) },
        { name: "lateness p99", values: percentile(({ lateness }) => lateness, 99) },
      ],
    },
  ];
}

/** null where nothing was recorded. */
function percentileOf(counts: HistogramCounts, percent: number): number | null {
  const times = new Histogram();
  times.addCounts(counts);
  return times.count === 0 ? null : times.percentileMs(percent);
}
