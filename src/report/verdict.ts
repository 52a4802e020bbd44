// Verdict: what may be said of noisy figures. Pure.
// Owns: met or missed, better or worse, and when neither can be told. Does not own: intervals
// (interval.ts), how figures are measured.
// Invariants (docs/invariants.md):
//   V2. Nothing noisy is judged on fewer than five rounds, or against what its interval holds.
//   V3. Of equal trees at most one comparison in twenty finds a difference, in any of its samples.
import { assert, must } from "../base/assert.ts";
import { spread } from "../base/spread.ts";
import { typicalInterval } from "./interval.ts";
import type { Goal, Sample } from "./report.ts";

/** A limit; exactly one of the two. */
export type Limit = { readonly atLeast: number } | { readonly atMost: number };

export type GoalOptions = Limit & {
  readonly name: string;
  /** One for each round that counts. */
  readonly values: readonly number[];
  /** Default: a plain number, as a ratio is. */
  readonly unit?: string;
};

/** Fewer rounds than this say nothing. */
const roundsMin = 5;
const confidence = 0.95;

/**
 * Judges the typical value of a figure: met or missed where the 95 % interval over the rounds lies
 * wholly on one side of the limit.
 */
export function goalOf(options: GoalOptions): Goal {
  const { name, values, unit = "" } = options;
  const goal = limitText(options, unit);
  const measured = values.length === 0 ? "nothing" : amount(spread(values).median, unit);
  const few = tooFew(values.length);
  if (few !== null) return { name, goal, measured, verdict: "cannot tell", why: few };
  const { low, high } = typicalInterval(values, confidence);
  const range = `${figure(low)} to ${figure(high)}`;
  const where = `95 % interval over ${String(values.length)} rounds: ${range}`;
  const [good, bad] = [keeps(low, options), keeps(high, options)];
  if (good && bad) return { name, goal, measured, verdict: "met", why: where };
  if (!good && !bad) return { name, goal, measured, verdict: "missed", why: where };
  return { name, goal, measured, verdict: "cannot tell", why: `${where}, which holds the limit` };
}

/** Judges the worst of all rounds: met where each of them kept the limit. */
export function goalOfWorst(options: GoalOptions): Goal {
  const { name, values, unit = "" } = options;
  const goal = `each ${limitText(options, unit)}`;
  if (values.length === 0) {
    return { name, goal, measured: "nothing", verdict: "cannot tell", why: "no rounds" };
  }
  const { min, max } = spread(values);
  const measured = amount("atMost" in options ? max : min, unit);
  const few = tooFew(values.length);
  if (few !== null) return { name, goal, measured, verdict: "cannot tell", why: few };
  const broken = values.filter((value) => !keeps(value, options)).length;
  const why =
    broken === 0
      ? `kept in all of ${String(values.length)} rounds`
      : `broken in ${String(broken)} of ${String(values.length)} rounds`;
  return { name, goal, measured, verdict: broken === 0 ? "met" : "missed", why };
}

export type CountGoalOptions = Limit & {
  readonly name: string;
  readonly count: number;
  readonly unit?: string;
};

/** Judges what is counted and has no noise: bytes, failures, differences. */
export function goalOfCount(options: CountGoalOptions): Goal {
  const { name, count, unit = "" } = options;
  const verdict = keeps(count, options) ? "met" : "missed";
  const goal = limitText(options, unit);
  return { name, goal, measured: amount(count, unit), verdict, why: "counted, not timed" };
}

/** A goal whose figures are not to be judged, and the reason. */
export function unjudged(goal: Goal, why: string): Goal {
  return { ...goal, verdict: "cannot tell", why };
}

function keeps(value: number, limit: Limit): boolean {
  return "atLeast" in limit ? value >= limit.atLeast : value <= limit.atMost;
}

function tooFew(rounds: number): string | null {
  if (rounds >= roundsMin) return null;
  return `${String(rounds)} rounds count, ${String(roundsMin)} are needed`;
}

function limitText(limit: Limit, unit: string): string {
  return "atLeast" in limit
    ? `at least ${amount(limit.atLeast, unit)}`
    : `at most ${amount(limit.atMost, unit)}`;
}

function amount(value: number, unit: string): string {
  return unit === "" ? figure(value) : `${figure(value)} ${unit}`;
}

/** A figure with as many digits as noise leaves it: three, and whole numbers from 100 on. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 3);
}

/** What a comparison of one sample says of the second one. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly rounds: number;
  /** Medians over rounds; null where nothing was measured. */
  readonly a: number | null;
  readonly b: number | null;
  /** b ÷ a, typically, and its interval; null where it cannot be made. */
  readonly ratio: { readonly middle: number; readonly low: number; readonly high: number } | null;
  readonly verdict: "better" | "worse" | "cannot tell";
  readonly why: string;
}

/** A smaller difference is not spoken of: a rebuilt tree alone differs by as much. */
const leastDifference = 0.05;
/** That any of the samples of two equal trees is said to differ. */
const falseAlarmsMost = 0.05;

/**
 * Compares what two trees did in the same rounds, which stood side by side: the interval of b ÷ a
 * must lie wholly beyond 5 % on one side. `comparisons`: how many samples are compared in all, so
 * that all of them together keep V3.
 */
export function compareSamples(a: Sample, b: Sample, comparisons = 1): Comparison {
  assert(a.name === b.name && a.unit === b.unit, "samples of one figure are compared");
  const rounds = Math.min(a.values.length, b.values.length);
  const median = ({ values }: Sample) => (values.length === 0 ? null : spread(values).median);
  const known = { name: a.name, unit: a.unit, rounds, a: median(a), b: median(b) };
  const cannotTell = (why: string, ratio: Comparison["ratio"] = null): Comparison => {
    return { ...known, ratio, verdict: "cannot tell", why };
  };
  const few = tooFew(rounds);
  if (few !== null) return cannotTell(few);
  if ([...a.values, ...b.values].some((value) => !(value > 0))) {
    return cannotTell("a value is not above 0, so there is no ratio");
  }
  const logs = a.values
    .slice(0, rounds)
    .map((value, round) => Math.log(must(b.values[round], "in every round") / value));
  const interval = typicalInterval(logs, 1 - falseAlarmsMost / comparisons);
  const ratio = {
    middle: Math.exp(interval.middle),
    low: Math.exp(interval.low),
    high: Math.exp(interval.high),
  };
  const reach = Math.log(1 + leastDifference);
  if (interval.low <= reach && interval.high >= -reach) {
    return cannotTell("what lies between 5 % less and 5 % more is in the interval", ratio);
  }
  const isMore = interval.low > reach;
  const verdict = isMore === (a.better === "more") ? "better" : "worse";
  return {
    ...known,
    ratio,
    verdict,
    why: `the interval lies wholly beyond 5 % ${isMore ? "more" : "less"}`,
  };
}
