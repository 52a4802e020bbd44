// Goal: the benchmark of ownership still runs, and its result is whole. Method: its smoke size as a
// user starts it; the report is read back. No time is judged.
import { expect, test } from "vitest";
import type { OwnershipFigures } from "../../bench/ownership-report.ts";
import { smokeReport } from "./smoke.ts";

test("ownership at its smoke size: each part was measured", { timeout: 600_000 }, async () => {
  const { figures, samples, charts } = await smokeReport("ownership");
  const { takeOver, reads, checkpoints, pauses } = figures as Record<
    keyof OwnershipFigures,
    unknown
  > as OwnershipFigures;
  expect([takeOver, reads, checkpoints].map(({ length }) => length)).toEqual([1, 1, 1]);
  expect(takeOver[0]?.loadMs).toBeGreaterThan(0);
  expect(takeOver[0]?.before.count).toBeGreaterThan(0);
  expect(checkpoints[0]?.gridBytesMost).toBeGreaterThan(0);
  expect(checkpoints[0]?.share).toBeLessThanOrEqual(1);
  for (const { count } of pauses) expect(count).toBeGreaterThan(0);
  expect(samples.every(({ values }) => values.length === 1)).toBe(true);
  expect(charts[0]?.x).toEqual(["0", "20,000"]);
});
