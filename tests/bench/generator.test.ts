// Goal: the benchmark of the load generator still runs, and what it counts is right. Method: its
// smoke size as a user starts it, with real processes; the JSON is read back. No time is judged.
import { expect, test } from "vitest";
import type { AccuracyRun } from "../../bench/generator-truth.ts";
import { smokeReport } from "./smoke.ts";

test("generator at its smoke size: every request is counted", { timeout: 600_000 }, async () => {
  // On a busy machine the generator is late, and says so; nothing else may be wrong.
  const report = await smokeReport("generator");
  const { runs } = report.figures as { readonly runs: readonly AccuracyRun[] };
  expect(runs).toHaveLength(4);
  for (const { totals, truth } of runs) {
    expect(totals.outcomes).toEqual({ "200": truth.requests });
    expect(totals.response.p50).toBeGreaterThanOrEqual(truth.response.p50 * 0.998 - 0.002);
  }
});
