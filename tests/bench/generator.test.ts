// Goal: the benchmark of the load generator still runs, and what it counts is right. Method: its
// smoke size as a user starts it, with real processes; the JSON is read back. No time is judged.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { AccuracyRun } from "../../bench/generator-truth.ts";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

test("generator at its smoke size: every request is counted", { timeout: 120_000 }, async () => {
  const cwd = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  onTestFinished(() => {
    rmSync(cwd, { recursive: true });
  });
  const json = join(cwd, "result.json");
  const bench = startProcess(main, ["generator", "--smoke", "--json", json], { cwd });
  await bench.ended;
  const report = unwrap(parseReport(readFileSync(json, "utf8")));
  expect(report).toMatchObject({ scenario: "generator", smoke: true, rounds: 1 });
  const { runs } = report.figures as { readonly runs: readonly AccuracyRun[] };
  expect(runs).toHaveLength(4);
  for (const { totals, truth } of runs) {
    expect(totals.outcomes).toEqual({ "200": truth.requests });
    expect(totals.response.p50).toBeGreaterThanOrEqual(truth.response.p50 * 0.998 - 0.002);
  }
  // On a busy machine it is late, and says so; nothing else may be wrong.
  for (const problem of report.problems) expect(problem).toMatch(/late|of a core/);
  for (const { verdict } of report.goals) expect(verdict).toBe("cannot tell"); // one round
});
