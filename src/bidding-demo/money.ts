// Money: amounts as whole micros (millionths of a dollar), and how decimals become them.
// Owns: exact conversion and rounding, and how a budget is split over partitions.
// Does not own: who holds how much (purse.ts).
//
// A CPM is a price for a thousand impressions, so that one impression at a CPM of 2.50 dollars
// costs 2500 micros. Decimals are read digit by digit: a float cannot hold 1.005, and would round
// it to the wrong side.
import { assert } from "../base/assert.ts";

/** Largest amount there is: what a float counts one by one, about nine billion dollars. */
const microsMax = Number.MAX_SAFE_INTEGER;

const decimalForm = /^(\d{1,32})(?:\.(\d{1,32}))?(?:[eE]([+-]?\d{1,2}))?$/;

/**
 * `text` × 10^`shift` as a whole number, halves rounded up. Null where `text` is no plain decimal
 * (a sign, NaN, an empty text) or the result is above `microsMax`.
 */
function scaledDecimal(text: string, shift: number): number | null {
  const match = decimalForm.exec(text);
  if (match === null) return null;
  const [, whole = "", fraction = "", exponent = "0"] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent) + shift;
  // Digits before the point are the number; the first one after it decides the rounding.
  const kept = digits.slice(0, Math.max(point, 0)).padEnd(point, "0");
  const half = point >= 0 && (digits[point] ?? "0") >= "5" ? 1 : 0;
  const value = Number(kept) + half;
  return value <= microsMax ? value : null;
}

/** Micros of one impression at a CPM written as a decimal; null where it is not one. */
export function impressionMicros(cpm: string): number | null {
  return scaledDecimal(cpm, 3);
}

/** Micros of an amount of dollars written as a decimal; null where it is not one. */
export function dollarsToMicros(dollars: string): number | null {
  return scaledDecimal(dollars, 6);
}

/** The CPM in dollars at which one impression costs `micros`: the nearest float, exact in print. */
export function cpmOf(micros: number): number {
  return micros / 1000;
}

/**
 * The smallest price in micros whose CPM is not below the floor: what is compared is the floats
 * that both sides print, so that a bid at a floor of 0.28 is not one micro too much or too little.
 */
export function floorMicros(floorCpm: number): number {
  const nearest = Math.round(floorCpm * 1000);
  return cpmOf(nearest) >= floorCpm ? nearest : nearest + 1;
}

/** Part of a budget that belongs to one partition; all parts together are exactly the budget. */
export function shareOf(budgetMicros: number, partitions: number, partition: number): number {
  assert(partition < partitions, () => `partition ${partition} of ${partitions}`);
  const rest = budgetMicros % partitions;
  return (budgetMicros - rest) / partitions + (partition < rest ? 1 : 0);
}
