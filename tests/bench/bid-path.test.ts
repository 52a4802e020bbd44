// Goal: the benchmark by which revisions are compared still runs, and its answers are right.
// Method: its smoke size as a user starts it, with real units; the JSON is read back. No time is
// judged.
import { expect, test } from "vitest";
import type { ThroughputFigures } from "../../bench/throughput-report.ts";
import { smokeReport } from "./smoke.ts";

test("bid-path at its smoke size: two samples, no floor", { timeout: 600_000 }, async () => {
  // On a slow machine requests come too late for a bid, and the load may be the limit.
  const report = await smokeReport("bid-path", /for want of time|the load generator was the limit/);
  const { windows } = report.figures as object as ThroughputFigures;
  expect(windows.map(({ wrong }) => wrong)).toEqual([[], []]);
  expect(report.samples.map(({ name }) => name)).toEqual([
    "no bid: processor time",
    "bid, memory:: processor time",
  ]);
  expect(report.goals).toEqual([]);
});
