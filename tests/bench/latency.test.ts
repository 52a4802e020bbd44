// Goal: the benchmark of response times still runs, and what it counts is right. Method: its smoke
// size as a user starts it, with real units and the real generator; the JSON is read back. No time
// is judged.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { LatencyFigures } from "../../bench/latency-report.ts";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
const patience = { timeout: 180_000 };

test("latency at its smoke size: answers are right, all rates are there", patience, async () => {
  const cwd = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  onTestFinished(() => {
    rmSync(cwd, { recursive: true });
  });
  const json = join(cwd, "result.json");
  const bench = startProcess(main, ["latency", "--smoke", "--json", json], { cwd });
  await bench.ended;
  const report = unwrap(parseReport(readFileSync(json, "utf8")));
  expect(report).toMatchObject({ scenario: "latency", smoke: true, rounds: 1 });
  const { runs, capacities } = report.figures as object as LatencyFigures;
  expect(capacities.map(({ name }) => name)).toEqual(["bid, memory:", "90 % no bid, lmdb: synced"]);
  expect(runs.map(({ share }) => share)).toEqual([0.1, 0.5, 0.8, 0.1, 0.5, 0.8]);
  for (const { totals, wrong, candidate } of runs) {
    expect(wrong, candidate).toEqual([]);
    expect(totals.finished).toBe(totals.sent);
    expect(totals.response.count).toBe(totals.finished);
  }
  // On a busy machine the generator is late, and says so; nothing else may be wrong.
  for (const problem of report.problems) expect(problem).toMatch(/generator/);
});
