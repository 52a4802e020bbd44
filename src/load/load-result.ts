// Load result: what a load measured, second by second, and what its sums are worth.
// Owns: the shapes, adding up, when the generator itself was the bottleneck. Does not own:
// measuring (load-run.ts), pages and files made of it.
import { Histogram, type HistogramCounts, type Percentiles } from "../base/histogram.ts";
import { limits } from "../base/limits.ts";

/** One stretch of about a second. Times belong to the second in which the answer came. */
export interface LoadSecond {
  /** From the plan's beginning to the end of this stretch, and how long it was. */
  readonly endMs: number;
  readonly durationMs: number;
  readonly sent: number;
  /** Due while the most requests were in flight that are allowed. */
  readonly notSent: number;
  /** Of those sent: found no connection idle, and left later. */
  readonly waited: number;
  /** By status, or by failure code where no answer came. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Share of one core that the generator's process used. */
  readonly cpuShare: number;
  /** Planned → done, of answers below 400 and of what was given up at its deadline. */
  readonly response: HistogramCounts;
  /** Sent → done, of the same. */
  readonly service: HistogramCounts;
  /** Planned → handed over for sending: the generator's own fault. */
  readonly lateness: HistogramCounts;
}

export interface LoadResult {
  /** When the plan began, by the clock that all processes of a machine share. */
  readonly startedMs: number;
  /** False: stopped before its plan ended. */
  readonly isWhole: boolean;
  readonly seconds: readonly LoadSecond[];
}

export interface LoadTotals {
  readonly durationMs: number;
  readonly sent: number;
  readonly notSent: number;
  readonly waited: number;
  readonly finished: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly cpuShare: number;
  /** Milliseconds. */
  readonly response: Percentiles;
  readonly service: Percentiles;
  readonly lateness: Percentiles;
  /** Why the times must not be used: the generator was the bottleneck; none: they may. */
  readonly problems: readonly string[];
}

/** The sums of these seconds, of all or of those that count. */
export function loadTotals(seconds: readonly LoadSecond[]): LoadTotals {
  const response = merged(seconds.map((second) => second.response));
  const service = merged(seconds.map((second) => second.service));
  const lateness = merged(seconds.map((second) => second.lateness));
  const sumOf = (value: (second: LoadSecond) => number) =>
    seconds.reduce((sum, second) => sum + value(second), 0);
  const outcomes: Record<string, number> = {};
  for (const [name, count] of seconds.flatMap((second) => Object.entries(second.outcomes))) {
    outcomes[name] = (outcomes[name] ?? 0) + count;
  }
  const durationMs = sumOf((second) => second.durationMs);
  const cpuShare =
    durationMs === 0 ? 0 : sumOf((second) => second.cpuShare * second.durationMs) / durationMs;
  const latenessMsP99 = lateness.percentileMs(99);
  return {
    durationMs,
    sent: sumOf((second) => second.sent),
    notSent: sumOf((second) => second.notSent),
    waited: sumOf((second) => second.waited),
    finished: Object.values(outcomes).reduce((sum, count) => sum + count, 0),
    outcomes,
    cpuShare,
    response: response.summaryMs(),
    service: service.summaryMs(),
    lateness: lateness.summaryMs(),
    problems: [...generatorProblems(latenessMsP99, cpuShare), ...emptiness(response.count)],
  };
}

/** Why what a generator measured may be its own doing; none: it is the server's. */
export function generatorProblems(latenessMsP99: number, cpuShare: number): string[] {
  const { loadLatenessMsMax, loadCpuPercentMax } = limits;
  const problems: string[] = [];
  if (latenessMsP99 > loadLatenessMsMax) {
    problems.push(
      `the generator itself was late: 1 % of requests by more than ${latenessMsP99.toFixed(1)} ms ` +
        `(${loadLatenessMsMax} are allowed): ask for a lower rate, or give it a core of its own`,
    );
  }
  if (cpuShare * 100 > loadCpuPercentMax) {
    problems.push(
      `the generator used ${(cpuShare * 100).toFixed(0)} % of a core ` +
        `(${loadCpuPercentMax} are allowed): ask for a lower rate`,
    );
  }
  return problems;
}

function emptiness(measured: number): string[] {
  return measured > 0 ? [] : ["no request was answered with a status below 400"];
}

function merged(counts: readonly HistogramCounts[]): Histogram {
  const sum = new Histogram();
  for (const each of counts) sum.addCounts(each);
  return sum;
}
