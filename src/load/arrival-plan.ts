// Arrival plan: at which moments requests are due, decided before the first one is sent.
// Owns: spacing and rates. Does not own: sending (open-loop.ts), what is sent.
// A plan knows nothing of answers, so a slow server cannot lower its own load.
import { assert } from "../base/assert.ts";
import type { Random } from "../base/random.ts";

/** A stretch of constant rate; the last one of a plan may last for Infinity. */
export interface RateStep {
  readonly durationMs: number;
  /** 0 = a pause. */
  readonly ratePerSecond: number;
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

/**
 * Walks through the steps by expected arrivals: `nextGap` says how many of them (1 on average) lie
 * between two arrivals, and the rate says how long that many take. So a change of rate takes effect
 * at its moment, also in the middle of a gap, and the draws do not depend on the rates.
 */
function planOf(steps: readonly RateStep[], nextGap: () => number): ArrivalPlan {
  for (const { durationMs, ratePerSecond } of steps) {
    assert(durationMs >= 0 && ratePerSecond >= 0, "a step has a duration and a rate");
    assert(Number.isFinite(ratePerSecond), "a rate is finite");
  }
  let step = 0;
  let stepStartMs = 0;
  let nowMs = 0;
  return {
    next() {
      let gap = nextGap();
      for (;;) {
        const current = steps[step];
        if (current === undefined) return undefined;
        const endMs = stepStartMs + current.durationMs;
        const ratePerMs = current.ratePerSecond / 1000;
        const atMs = nowMs + (gap === 0 ? 0 : gap / ratePerMs);
        if (ratePerMs > 0 && atMs < endMs) {
          nowMs = atMs;
          return nowMs;
        }
        if (endMs === Infinity) return undefined;
        gap = Math.max(0, gap - (endMs - nowMs) * ratePerMs);
        step++;
        stepStartMs = endMs;
        nowMs = endMs;
      }
    },
  };
}
