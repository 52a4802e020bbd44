// Goal: percentiles are right to three digits, also merged, and from counts as plain data.
// Method: known durations; node's own HdrHistogram as the model; a merge against one histogram of
// everything (properties).
import { createHistogram } from "node:perf_hooks";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Histogram } from "../../src/base/histogram.ts";

function histogramOf(durations: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const duration of durations) histogram.recordMs(duration);
  return histogram;
}

const durations = fc.array(fc.double({ min: 0, max: 100_000, noNaN: true }), { maxLength: 200 });

test("percentiles of 1 to 1000 ms are what they are, within a thousandth", () => {
  const histogram = histogramOf(Array.from({ length: 1000 }, (_, index) => index + 1));
  const summary = histogram.summaryMs();
  expect(summary.count).toBe(1000);
  for (const [found, exact] of [
    [summary.p50, 500],
    [summary.p90, 900],
    [summary.p99, 990],
    [summary.p999, 999],
    [summary.max, 1000],
  ] as const) {
    expect(Math.abs(found - exact) / exact).toBeLessThanOrEqual(0.001);
  }
});

test("a duration comes back within a thousandth, or a microsecond", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 3_600_000, noNaN: true }), (duration) => {
      const found = histogramOf([duration]).percentileMs(50);
      expect(Math.abs(found - duration)).toBeLessThanOrEqual(Math.max(0.001, duration / 1000));
    }),
  );
});

test("merged histograms are one histogram of everything", () => {
  fc.assert(
    fc.property(fc.array(durations, { maxLength: 4 }), (lists) => {
      const merged = new Histogram();
      for (const list of lists) merged.add(histogramOf(list));
      expect(merged.summaryMs()).toEqual(histogramOf(lists.flat()).summaryMs());
    }),
  );
});

test("an empty histogram says 0; after a reset it is empty", () => {
  const histogram = new Histogram();
  const empty = { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  expect(histogram.summaryMs()).toEqual(empty);
  histogram.recordMs(5);
  expect(histogram.count).toBe(1);
  histogram.reset();
  expect(histogram.summaryMs()).toEqual(empty);
});

test("beyond an hour counts as an hour, nothing and less as a microsecond", () => {
  const histogram = histogramOf([10 * 3_600_000, 0, -5, 0.0001]);
  expect(histogram.count).toBe(4);
  expect(histogram.percentileMs(50)).toBe(0.001);
  expect(histogram.summaryMs().max).toBeCloseTo(3_600_000, -4);
});

test("percentiles are those of node's own histogram, which is HdrHistogram", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3_600_000_000 })), (list) => {
      const model = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
      for (const us of list) model.record(us);
      const histogram = histogramOf(list.map((us) => us / 1000));
      for (const percent of list.length === 0 ? [] : [1, 50, 90, 99, 99.9, 100]) {
        const expected = Math.min(model.percentile(percent), 3_600_000_000);
        expect(histogram.percentileMs(percent)).toBe(expected / 1000);
      }
    }),
  );
});

test("counts as plain data, as JSON keeps them, add up again, whichever came first", () => {
  fc.assert(
    fc.property(durations, durations, (mine, others) => {
      const total = histogramOf(mine);
      total.addCounts(JSON.parse(JSON.stringify(histogramOf(others).toCounts())) as number[]);
      expect(total.summaryMs()).toEqual(histogramOf([...mine, ...others]).summaryMs());
      expect(total.toCounts()).toEqual(histogramOf([...mine, ...others]).toCounts());
    }),
  );
});
