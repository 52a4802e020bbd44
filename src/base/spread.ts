// Spread: the least that is said of figures that were measured several times.
// Owns: median, least, greatest. Does not own: what may be concluded from them (src/report).
import { must } from "./assert.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Median (the mean of the middle two where there are two), least and greatest. */
export function spread(figures: readonly number[]): Spread {
  const sorted = figures.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = must(sorted[middle], "a spread needs figures");
  const lower = sorted.length % 2 === 1 ? upper : must(sorted[middle - 1], "two are in the middle");
  return {
    median: (lower + upper) / 2,
    min: must(sorted[0], "not empty"),
    max: must(sorted.at(-1), "not empty"),
  };
}
