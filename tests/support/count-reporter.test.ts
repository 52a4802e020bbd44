// Goal: the last line of a run counts everything, and the exit code is 0 only when all is well.
// Method: small suites in a folder of their own, run by vitest with this reporter.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { repositoryRoot } from "./repository-files.ts";

const VITEST = join(repositoryRoot, "node_modules/vitest/vitest.mjs");
const REPORTER = join(repositoryRoot, "tests/support/count-reporter.ts");
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Runs one suite; returns the exit code and the lines that were printed last. */
async function run(suite: string, ci: boolean): Promise<{ code: number; lastLines: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), "orrery-reporter-"));
  folders.push(folder);
  symlinkSync(join(repositoryRoot, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "some.test.ts"),
    `import { describe, expect, test } from "vitest";\n${suite}`,
  );
  const args = [VITEST, "run", "--root", folder, "--reporter", "default", "--reporter", REPORTER];
  const env = { ...process.env, CI: ci ? "true" : "", NO_COLOR: "1" };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { env }, (_error, stdout) => {
      resolve({ code: child.exitCode ?? -1, lastLines: stdout.trimEnd().split("\n").slice(-3) });
    });
  });
}

const PASSES = 'test("a", () => { expect(1).toBe(1); });';
const FAILS = 'test("b", () => { expect(1).toBe(2); });';
const SKIPPED = 'describe("group", () => { test.skipIf(true)("c", () => {}); });';

test("tests that pass: exit code 0", async () => {
  const { code, lastLines } = await run(PASSES, true);
  expect(lastLines.at(-1)).toBe("1 passed, 0 failed, 0 skipped");
  expect(code).toBe(0);
});

test("a skipped test is named; outside of CI the run is good", async () => {
  const { code, lastLines } = await run(PASSES + SKIPPED, false);
  expect(lastLines.slice(-2)).toEqual([
    "skipped: some.test.ts > group > c",
    "1 passed, 0 failed, 1 skipped",
  ]);
  expect(code).toBe(0);
});

test("in CI a skipped test fails the run", async () => {
  const { code, lastLines } = await run(PASSES + SKIPPED, true);
  expect(lastLines).toEqual([
    "skipped: some.test.ts > group > c",
    "A skipped test fails the run in CI.",
    "1 passed, 0 failed, 1 skipped",
  ]);
  expect(code).toBe(1);
});

test.each([
  ["a test that fails", PASSES + FAILS + SKIPPED, "1 passed, 1 failed, 1 skipped"],
  ["a file that does not load", `import "./nowhere.ts";${PASSES}`, "0 passed, 1 failed, 0 skipped"],
  [
    "an error outside of tests",
    `${PASSES}void Promise.reject(new Error("x"));`,
    "1 passed, 1 failed",
  ],
  ["a process that dies", `${PASSES}process.kill(process.pid, "SIGKILL");`, "0 passed, 1 failed"],
  ["no test at all", "", "0 passed, 1 failed, 0 skipped"],
])("%s: exit code 1", async (_what, suite, lastLine) => {
  const { code, lastLines } = await run(suite, false);
  expect(lastLines.at(-1)).toContain(lastLine);
  expect(code).toBe(1);
});
