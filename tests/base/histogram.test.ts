// Goal: percentiles are right to three digits, also merged and over a thread boundary.
// Method: known durations; a merge against one histogram of everything (property).
import { once } from "node:events";
import type { RecordableHistogram } from "node:perf_hooks";
import { MessageChannel } from "node:worker_threads";
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

test("counts given over a thread boundary add up, whichever came first", async () => {
  const { port1, port2 } = new MessageChannel();
  const received = once(port2, "message");
  port1.postMessage(histogramOf([1, 2, 3]).toTransfer());
  const [counts] = (await received) as [RecordableHistogram];
  const total = histogramOf([4]);
  total.addTransfer(counts);
  total.addTransfer(new Histogram().toTransfer());
  expect(total.summaryMs()).toEqual(histogramOf([1, 2, 3, 4]).summaryMs());
  port1.close();
});
