// Interval: between which bounds the typical value of a noisy figure lies.
// Owns: the trimmed mean, Student's t. Does not own: what is concluded from it (verdict.ts).
// One window in ten is disturbed even on a quiet machine, by any factor. So the interval is that of
// a trimmed mean: the outermost quarter at each end counts only as much as its inner neighbour.
// Sources: Yuen, "The two-sample trimmed t for unequal population variances" (1974); Student's
// distribution for whole degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4.
import { assert, must } from "../base/assert.ts";

export interface Interval {
  readonly middle: number;
  readonly low: number;
  readonly high: number;
}

const trimmedShare = 0.25;
const bisections = 80;

/**
 * The typical value and where it lies with this confidence (0–1), from two values or more. One
 * value far off moves it little, from five values on.
 */
export function typicalInterval(values: readonly number[], confidence: number): Interval {
  const count = values.length;
  assert(count >= 2, "an interval needs two values");
  const cut = Math.floor(trimmedShare * count);
  const kept = count - 2 * cut;
  const sorted = values.toSorted((left, right) => left - right);
  const middle = mean(sorted.slice(cut, count - cut));
  const [least, most] = [must(sorted[cut], "kept"), must(sorted[count - cut - 1], "kept")];
  const drawnIn = sorted.map((value) => Math.min(most, Math.max(least, value)));
  const about = mean(drawnIn);
  const squares = drawnIn.reduce((sum, value) => sum + (value - about) ** 2, 0);
  const error = Math.sqrt(squares / (kept * (kept - 1)));
  const reach = error === 0 ? 0 : error * studentQuantile((1 + confidence) / 2, kept - 1);
  return { middle, low: middle - reach, high: middle + reach };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The t below which Student's distribution has this share (0.5 or more). */
export function studentQuantile(share: number, degrees: number): number {
  let low = 0;
  let high = 1;
  while (studentShare(high, degrees) < share) high *= 2;
  for (let step = 0; step < bisections; step++) {
    const half = (low + high) / 2;
    if (studentShare(half, degrees) < share) low = half;
    else high = half;
  }
  return high;
}

/** The share of Student's distribution below `t` (0 or more), for whole degrees of freedom. */
function studentShare(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const cosine = Math.cos(angle);
  const isOdd = degrees % 2 === 1;
  let term = isOdd ? cosine : 1;
  let series = degrees === 1 ? 0 : term;
  for (let step = isOdd ? 3 : 2; step < degrees; step += 2) {
    term *= (cosine * cosine * (step - 1)) / step;
    series += term;
  }
  const around = isOdd
    ? (2 / Math.PI) * (angle + Math.sin(angle) * series)
    : Math.sin(angle) * series;
  return 0.5 + around / 2;
}
