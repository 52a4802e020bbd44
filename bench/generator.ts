// Scenario generator: whether the load generator of src/load can be believed.
// Owns: the cases, rounds, words. Does not own: the truth (generator-truth.ts).
import type { Chart } from "../src/report/report.ts";
import { goalOf } from "../src/report/verdict.ts";
import { limits } from "../src/base/limits.ts";
import { spread } from "../src/base/spread.ts";
import { accuracyRows, runAccuracyCase, type AccuracyCase } from "./generator-truth.ts";
import type { AccuracyRow, AccuracyRun } from "./generator-truth.ts";
import { probe } from "./machine.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";

interface MeasuredCase extends AccuracyRun {
  readonly name: string;
  readonly round: number;
  readonly rows: readonly AccuracyRow[];
}

const full = {
  ...{ warmUpMs: 4000, durationMs: 6000 },
  ...{ stallDurationMs: 12_000, stallMs: 500, stallEveryMs: 5000 },
};
const smoke: typeof full = {
  ...{ warmUpMs: 0, durationMs: 500 },
  ...{ stallDurationMs: 800, stallMs: 100, stallEveryMs: 300 },
};
const rates = [1000, 10_000];
const smokeRates = [500];
const seed = 7;

export const generator: Scenario = {
  name: "generator",
  summary: "the load generator beside a server whose own log says its delays",
  takes: "about 12 minutes",
  roundsDefault: 7,
  run: measureGenerator,
};

function casesOf(isSmoke: boolean): AccuracyCase[] {
  const size = isSmoke ? smoke : full;
  const { warmUpMs, durationMs, stallDurationMs, stallMs, stallEveryMs } = size;
  const noStall = { stallMs: 0, stallEveryMs: 0 };
  return (isSmoke ? smokeRates : rates).flatMap((ratePerSecond): AccuracyCase[] => {
    const at = `${ratePerSecond.toLocaleString("en")}/s`;
    const common = { ratePerSecond, warmUpMs, durationMs, connections: 256, seed };
    // As many connections as are busy at once: a wait for one would be no fault of the server, and
    // where all that waited is sent at once, what waits to be read is in no log.
    const busy = (seconds: number) =>
      Math.min(limits.loadConnectionsMax, 64 + Math.ceil(ratePerSecond * seconds));
    return [
      { ...common, ...noStall, name: `1 ms at ${at}`, delayMs: 1 },
      { ...common, ...noStall, name: `10 ms at ${at}`, delayMs: 10 },
      { ...common, ...noStall, name: `100 ms at ${at}`, delayMs: 100, connections: busy(0.15) },
      {
        ...common,
        name: `10 ms, stalls of ${String(stallMs)} ms each ${String(stallEveryMs)}, at ${at}`,
        delayMs: 10,
        stallMs,
        stallEveryMs,
        durationMs: stallDurationMs,
        connections: busy(0.6),
      },
    ];
  });
}

async function measureGenerator(options: ScenarioOptions): Promise<ScenarioResult> {
  const cases = casesOf(options.smoke);
  const measured: MeasuredCase[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const one of cases) {
      probe();
      const run = await runAccuracyCase(one);
      const rows = accuracyRows(one, run);
      const found: MeasuredCase = { name: one.name, round, rows, ...run };
      measured.push(found);
      const worst = worstOf(found);
      options.progress(
        `round ${String(round + 1)}  ${one.name}: ${worst.figure} ` +
          `${worst.measuredMs.toFixed(2)} ms, in truth ${worst.truthMs.toFixed(2)}`,
      );
    }
  }
  probe();
  return resultOf(cases, measured);
}

/** How far off a figure is, as a share of what is allowed. */
function offBy({ measuredMs, truthMs, allowedMs }: AccuracyRow): number {
  return Math.abs(measuredMs - truthMs) / allowedMs;
}

function worstOf({ rows }: MeasuredCase): AccuracyRow {
  return rows.reduce((worst, row) => (offBy(row) > offBy(worst) ? row : worst));
}

function resultOf(
  cases: readonly AccuracyCase[],
  measured: readonly MeasuredCase[],
): ScenarioResult {
  const of = (name: string) => measured.filter((one) => one.name === name);
  // A run that calls itself invalid is not believed, so it cannot mislead; the others stand.
  const believed = (name: string) => of(name).filter(({ totals }) => totals.problems.length === 0);
  const problems = measured.flatMap(({ name, round, all, truth }) => {
    const answered = all.outcomes["200"] ?? 0;
    if (answered === truth.requests && all.sent === truth.requests) return [];
    const where = `round ${String(round + 1)}, ${name}`;
    return [`${where}: ${String(answered)} answers counted of ${String(truth.requests)}`];
  });
  return {
    problems,
    report: reportOf(cases, of, believed),
    figures: { runs: measured },
    goals: cases.map(({ name }) =>
      goalOf({
        name: `${name}: worst difference, as a share of what is allowed`,
        values: believed(name).map((one) => offBy(worstOf(one))),
        atMost: 1,
      }),
    ),
    samples: cases.map(({ name }) => ({
      name: `${name}: worst difference, as a share of what is allowed`,
      unit: "",
      better: "less" as const,
      values: believed(name).map((one) => offBy(worstOf(one))),
    })),
    charts: [chartOf(cases, of)],
    seeds: { arrivals: seed },
  };
}

function chartOf(
  cases: readonly AccuracyCase[],
  of: (name: string) => readonly MeasuredCase[],
): Chart {
  const medians = (pick: (one: MeasuredCase) => number) =>
    cases.map(({ name }) => spread(of(name).map(pick)).median);
  return {
    title: "Response time, p99",
    xLabel: "server",
    x: cases.map(({ name }) => name),
    yLabel: "ms",
    isLog: true,
    series: [
      { name: "measured", values: medians(({ totals }) => totals.response.p99) },
      { name: "as the server's log says", values: medians(({ truth }) => truth.response.p99) },
    ],
  };
}

function reportOf(
  cases: readonly AccuracyCase[],
  of: (name: string) => readonly MeasuredCase[],
  believed: (name: string) => readonly MeasuredCase[],
): string {
  const median = (values: readonly number[]) => spread(values).median.toFixed(2);
  const lines = cases.flatMap(({ name }) => {
    const runs = of(name);
    const figures = runs[0]?.rows.map(({ figure }) => figure) ?? [];
    return figures.map((figure, index) => {
      const rows = runs.flatMap(({ rows: all }) => all.filter((row) => row.figure === figure));
      return [
        index === 0 ? name : "",
        figure,
        median(rows.map((row) => row.measuredMs)),
        median(rows.map((row) => row.truthMs)),
        median(rows.map((row) => row.allowedMs)),
        index === 0 ? median(runs.map(({ totals }) => totals.lateness.p99)) : "",
        index === 0 ? median(runs.map(({ totals }) => totals.cpuShare * 100)) : "",
        index === 0 ? `${String(believed(name).length)}/${String(runs.length)}` : "",
      ];
    });
  });
  const head = ["server", "figure", "measured", "truth", "allowed", "lateness p99", "CPU %"];
  head.push("believed");
  const doubts = cases.flatMap(({ name }) =>
    of(name).flatMap(({ round, totals }) =>
      totals.problems.map((problem) => `Round ${String(round + 1)}, ${name}: ${problem}`),
    ),
  );
  return [
    textTable([head, ...lines]),
    "",
    "Milliseconds, medians of the rounds. Truth: response = planned → answered, service = received →",
    "answered, as the server's own log says by the clock of the machine; of the server of 1 ms both",
    "received → answered. The way of a request to the server, or of an answer back, is in no log.",
    "Believed: runs in which the generator does not call itself the bottleneck; goals are of those.",
    ...doubts,
    "NOT measured: a network; TLS; servers on other machines.",
  ].join("\n");
}
