// A scenario of the bench at its smoke size, as a user starts it: what it wrote, read back and
// checked as a report.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport, type Report } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";

export const benchMain = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

/** A folder to start the bench in; it is removed when the test is over. */
export function benchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  chmodSync(folder, 0o755); // a database runs as another user
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/**
 * Runs it; the result is valid, and its page is there. `noise`: problems that say no more than that
 * the machine was busy.
 */
export async function smokeReport(scenario: string, noise = /^$/): Promise<Report> {
  const cwd = benchFolder();
  const files = ["--json", "result.json", "--html", "result.html"];
  const bench = startProcess(benchMain, [scenario, "--smoke", ...files], { cwd });
  const { code } = await bench.ended;
  const report = unwrap(parseReport(readFileSync(join(cwd, "result.json"), "utf8")));
  expect(report.problems.filter((problem) => !noise.test(problem))).toEqual([]);
  const valid = report.problems.length === 0;
  expect(code).toBe(valid ? 0 : 1);
  expect(report).toMatchObject({ scenario, smoke: true, rounds: 1, valid });
  expect(report.environment).toMatchObject({ node: process.version });
  expect(report.goals.every(({ verdict }) => verdict === "cannot tell")).toBe(true);
  expect(readFileSync(join(cwd, "result.html"), "utf8")).toContain(`<h1>${scenario}</h1>`);
  return report;
}
