// Goal: the floor still runs, and what it writes can be relied on. Method: its smoke size as a user
// starts it, with real servers; the JSON is read back. No time is judged.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { ThroughputFigures } from "../../bench/throughput-report.ts";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

test("floor at its smoke size: answers are right, the result complete", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  onTestFinished(() => {
    rmSync(cwd, { recursive: true });
  });
  const json = join(cwd, "result.json");
  await startProcess(main, ["floor", "--smoke", "--json", json], { cwd }).ended;
  const report = unwrap(parseReport(readFileSync(json, "utf8")));
  expect(report).toMatchObject({ scenario: "floor", smoke: true, rounds: 1 });
  const { windows } = report.figures as object as ThroughputFigures;
  expect(windows.map(({ candidate }) => candidate)).toEqual(["floor: 204", "floor: 200 of 1 kB"]);
  let answered = 0;
  for (const { wrong, answers } of windows) {
    expect(wrong).toEqual([]);
    answered += answers;
  }
  expect(answered).toBeGreaterThan(0);
}, 600_000);
