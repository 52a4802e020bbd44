// Goal: the benchmark of response times still runs, and what it counts is right. Method: its smoke
// size as a user starts it, with real units and the real generator; the JSON is read back. No time
// is judged.
import { expect, test } from "vitest";
import type { LatencyFigures } from "../../bench/latency-report.ts";
import { smokeReport } from "./smoke.ts";

const patience = { timeout: 600_000 };

test("latency at its smoke size: answers are right, all rates are there", patience, async () => {
  // On a busy machine the generator is late, and says so; nothing else may be wrong.
  const report = await smokeReport("latency", /^no run counts$/);
  const { runs, capacities } = report.figures as object as LatencyFigures;
  const chosen = ["bid, memory:", "90 % no bid, memory:"];
  expect(capacities.map(({ name }) => name)).toEqual(chosen);
  expect(runs.map(({ share }) => share)).toEqual([0.1, 0.5, 0.8, 0.1, 0.5, 0.8]);
  for (const { totals, wrong, candidate } of runs) {
    expect(wrong, candidate).toEqual([]);
    expect(totals.finished).toBe(totals.sent);
    expect(totals.response.count).toBe(totals.finished);
  }
});
