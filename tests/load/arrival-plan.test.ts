// Goal: a plan's arrivals have the spacing and the rates that were asked for, and a seed repeats
// them. Method: properties over random steps; statistics of a seeded Poisson plan.
import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { ArrivalPlan, RateStep } from "../../src/load/arrival-plan.ts";
import { expectedArrivals, fixedPlan, poissonPlan } from "../../src/load/arrival-plan.ts";

function all(plan: ArrivalPlan): number[] {
  const times: number[] = [];
  for (let at = plan.next(); at !== undefined; at = plan.next()) times.push(at);
  return times;
}

const anyRate = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4000 }));
const steps: fc.Arbitrary<RateStep[]> = fc.array(
  fc.record(
    {
      durationMs: fc.integer({ min: 0, max: 500 }),
      ratePerSecond: anyRate,
      endRatePerSecond: anyRate,
    },
    { requiredKeys: ["durationMs", "ratePerSecond"] },
  ),
  { maxLength: 6 },
);

function totalMs(ofSteps: readonly RateStep[]): number {
  return ofSteps.reduce((sum, { durationMs }) => sum + durationMs, 0);
}

test("arrivals never go back, lie inside the plan, and none lies in a pause", () => {
  fc.assert(
    fc.property(steps, fc.integer(), fc.boolean(), (ofSteps, seed, poisson) => {
      const plan = poisson ? poissonPlan(ofSteps, seededRandom(seed)) : fixedPlan(ofSteps);
      let before = 0;
      for (const at of all(plan)) {
        expect(at).toBeGreaterThanOrEqual(before);
        expect(at).toBeLessThan(totalMs(ofSteps));
        let start = 0;
        const step = ofSteps.find(({ durationMs }) => {
          start += durationMs;
          return at < start;
        });
        const { ratePerSecond = 0, endRatePerSecond = 0 } = step ?? {};
        expect(ratePerSecond + endRatePerSecond).toBeGreaterThan(0);
        before = at;
      }
    }),
  );
});

test("a fixed plan has rate × duration arrivals over all its steps, within one", () => {
  fc.assert(
    fc.property(steps, (ofSteps) => {
      const expected = ofSteps.reduce(
        (sum, { durationMs, ratePerSecond, endRatePerSecond = ratePerSecond }) =>
          sum + (durationMs * (ratePerSecond + endRatePerSecond)) / 2000,
        0,
      );
      expect(expectedArrivals(ofSteps)).toBeCloseTo(expected, 6);
      expect(Math.abs(all(fixedPlan(ofSteps)).length - expected)).toBeLessThanOrEqual(1.001);
    }),
  );
});

test("a fixed plan begins at once and keeps its distance", () => {
  expect(all(fixedPlan([{ durationMs: 10, ratePerSecond: 500 }]))).toEqual([0, 2, 4, 6, 8]);
});

test("a change of rate takes effect at its moment, in the middle of a gap", () => {
  const plan = fixedPlan([
    { durationMs: 5, ratePerSecond: 100 },
    { durationMs: 5, ratePerSecond: 1000 },
  ]);
  // Half of the first gap passes at 100/s (5 ms), the other half at 1000/s (0.5 ms).
  expect(all(plan)).toEqual([0, 5.5, 6.5, 7.5, 8.5, 9.5]);
});

test("a rate that rises evenly from nothing has a quarter of its arrivals in its first half", () => {
  const ramp = { durationMs: 2000, ratePerSecond: 0, endRatePerSecond: 1000 };
  const times = all(fixedPlan([ramp])).filter((at) => at < 1999);
  expect(times).toHaveLength(1000); // the next one would be due at the very end
  // Arrival n is due when the triangle under the rate has the area n: n = t² / 4000.
  for (const [number, at] of times.entries()) expect(at).toBeCloseTo(Math.sqrt(4000 * number), 6);
  const falling = all(fixedPlan([{ durationMs: 2000, ratePerSecond: 1000, endRatePerSecond: 0 }]));
  expect(falling.filter((at) => at < 999.99)).toHaveLength(750);
});

test("a Poisson plan is the same for the same seed, and another for another", () => {
  const plan = (seed: number): number[] =>
    all(poissonPlan([{ durationMs: 1000, ratePerSecond: 200 }], seededRandom(seed)));
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});

test("a Poisson plan has the rate asked for, and counts per second vary as Poisson's do", () => {
  const seconds = 400;
  const rate = 100;
  const plan = poissonPlan([{ durationMs: seconds * 1000, ratePerSecond: rate }], seededRandom(1));
  const counts = new Array<number>(seconds).fill(0);
  for (const at of all(plan))
    counts[Math.floor(at / 1000)] = (counts[Math.floor(at / 1000)] ?? 0) + 1;
  const mean = counts.reduce((sum, count) => sum + count, 0) / seconds;
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / seconds;
  // Four standard deviations of the mean, and of the variance of a Poisson variable.
  expect(Math.abs(mean - rate)).toBeLessThan((4 * Math.sqrt(rate)) / Math.sqrt(seconds));
  expect(Math.abs(variance / mean - 1)).toBeLessThan(4 * Math.sqrt(2 / seconds));
});

test("a plan of infinite duration does not end", () => {
  const plan = fixedPlan([{ durationMs: Infinity, ratePerSecond: 1000 }]);
  for (let index = 0; index < 1000; index++) expect(plan.next()).toBe(index);
  expect(fixedPlan([{ durationMs: Infinity, ratePerSecond: 0 }]).next()).toBeUndefined();
});
