// Goal: the benchmark of the grid's bytes still runs and counts them. Method: its smoke size as a
// user starts it; the report is read back.
import { expect, test } from "vitest";
import { smokeReport } from "./smoke.ts";

test("grid-bytes at its smoke size: every command was answered", { timeout: 600_000 }, async () => {
  const { figures, samples } = await smokeReport("grid-bytes");
  expect(figures["minutes"]).toMatchObject([{ commands: 500 }]);
  expect(samples[0]?.values[0]).toBeGreaterThan(0);
});
