// Arrival plan: at which moments requests are due, decided before the first one is sent.
// Owns: spacing and rates. Does not own: sending (open-loop.ts), what is sent.
// A plan knows nothing of answers, so a slow server cannot lower its own load.
import { assert } from "../base/assert.ts";
import type { Random } from "../base/random.ts";

/** A stretch of one rate, or of a rate that rises or falls evenly. */
export interface RateStep {
  /** Infinity: the last one of a plan, with one rate. */
  readonly durationMs: number;
  /** 0 = a pause. */
  readonly ratePerSecond: number;
  /** The rate at its end; left out: the same all the time. */
  readonly endRatePerSecond?: number;
}

export interface ArrivalPlan {
  /** Milliseconds from the plan's start, never going back; undefined when the plan has ended. */
  next(): number | undefined;
}

/** Arrivals at equal distances: one every 1000/rate ms, the first at once. */
export function fixedPlan(steps: readonly RateStep[]): ArrivalPlan {
  let first = true;
  return planOf(steps, () => {
    if (!first) return 1;
    first = false;
    return 0;
  });
}

/** Arrivals of many independent senders (a Poisson process); the same for the same `random`. */
export function poissonPlan(steps: readonly RateStep[], random: Random): ArrivalPlan {
  return planOf(steps, () => -Math.log(1 - random.fraction()));
}

/** How many arrivals the steps stand for; a Poisson plan has about so many. */
export function expectedArrivals(steps: readonly RateStep[]): number {
  return steps.reduce((sum, step) => sum + arrivalsFrom(step, 0), 0);
}

/**
 * Walks through the steps by expected arrivals: `nextGap` says how many of them (1 on average) lie
 * between two arrivals, and the rate says how long that many take. So a change of rate takes effect
 * at its moment, also in the middle of a gap, and the draws do not depend on the rates.
 */
function planOf(steps: readonly RateStep[], nextGap: () => number): ArrivalPlan {
  for (const { durationMs, ratePerSecond, endRatePerSecond = ratePerSecond } of steps) {
    assert(durationMs >= 0 && ratePerSecond >= 0, "a step has a duration and a rate");
    assert(endRatePerSecond >= 0, "a step ends with a rate");
    assert(Number.isFinite(ratePerSecond + endRatePerSecond), "a rate is finite");
    assert(durationMs < Infinity || ratePerSecond === endRatePerSecond, "what rises has an end");
  }
  let step = 0;
  let stepStartMs = 0;
  /** Milliseconds of the current step that are over. */
  let passedMs = 0;
  return {
    next() {
      let gap = nextGap();
      for (;;) {
        const current = steps[step];
        if (current === undefined) return undefined;
        const left = arrivalsFrom(current, passedMs);
        const atMs = left > gap ? passedMs + timeFor(gap, current, passedMs) : Infinity;
        // Summed up as the caller sees it: what rounds to the step's end belongs to the next.
        if (stepStartMs + atMs < stepStartMs + current.durationMs) {
          passedMs = atMs;
          return stepStartMs + passedMs;
        }
        if (current.durationMs === Infinity) return undefined;
        gap = Math.max(0, gap - left);
        step++;
        stepStartMs += current.durationMs;
        passedMs = 0;
      }
    },
  };
}

/** The rate at that moment of a step, and how much it grows in a millisecond; both per ms. */
function rateAt(step: RateStep, passedMs: number): { rate: number; growth: number } {
  const { durationMs, ratePerSecond, endRatePerSecond = ratePerSecond } = step;
  const growth = (endRatePerSecond - ratePerSecond) / 1000 / durationMs || 0;
  return { rate: ratePerSecond / 1000 + growth * passedMs, growth };
}

/** Expected arrivals from that moment of a step to its end. */
function arrivalsFrom(step: RateStep, passedMs: number): number {
  const leftMs = step.durationMs - passedMs;
  if (leftMs <= 0) return 0;
  const { rate, growth } = rateAt(step, passedMs);
  if (rate === 0 && growth === 0) return 0;
  return growth === 0 ? rate * leftMs : (rate + (growth * leftMs) / 2) * leftMs;
}

/** How long `gap` arrivals take from that moment on: rate·t + growth·t²/2 = gap. */
function timeFor(gap: number, step: RateStep, passedMs: number): number {
  if (gap === 0) return 0;
  const { rate, growth } = rateAt(step, passedMs);
  if (growth === 0) return gap / rate;
  return (2 * gap) / (rate + Math.sqrt(Math.max(0, rate * rate + 2 * growth * gap)));
}
