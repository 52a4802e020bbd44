// Vitest reporter: the very last line of a test run is `N passed, N failed, N skipped`.
// Owns: that line, the names of skipped tests before it, and the exit code that follows from both.
// Does not own: anything else that is printed (vitest's default reporter).
//
// What could not run counts as failed: a file that does not load, an error outside of all tests, a
// test that was started and never ended. In CI a skipped test fails the run: a part that is
// missing there would otherwise go unnoticed.
import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

interface RunCounts {
  readonly passed: number;
  readonly failed: number;
  /** Full names, with their file. */
  readonly skipped: readonly string[];
}

/** Counts one finished run. `errorsOutside` is the number of errors that belong to no test. */
function countRun(modules: readonly TestModule[], errorsOutside: number): RunCounts {
  let passed = 0;
  let failed = errorsOutside;
  const skipped: string[] = [];
  for (const module of modules) {
    failed += module.errors().length;
    for (const suite of module.children.allSuites()) failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed") passed += 1;
      else if (state === "skipped") skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
      else failed += 1;
    }
  }
  return { passed, failed, skipped };
}

/** What to print for a run, the last line last, and whether the run is good. */
function summarise(counts: RunCounts, inCi: boolean): { text: string; good: boolean } {
  const { passed, failed, skipped } = counts;
  const lines = skipped.map((name) => `skipped: ${name}`);
  if (inCi && skipped.length > 0) lines.push("A skipped test fails the run in CI.");
  lines.push(`${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  const good = failed === 0 && passed + skipped.length > 0 && !(inCi && skipped.length > 0);
  return { text: lines.join("\n"), good };
}

export default class CountReporter implements Reporter {
  #counts: RunCounts = { passed: 0, failed: 0, skipped: [] };
  #interrupted = false;

  onInit(): void {
    // Only an exit handler comes after everything that vitest and its reporters print.
    process.once("exit", () => {
      const { text, good } = summarise(this.#counts, process.env["CI"] === "true");
      process.stdout.write(`${text}\n`);
      if (!good || this.#interrupted) process.exitCode ||= 1;
    });
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    errorsOutside: readonly unknown[],
    reason: TestRunEndReason,
  ): void {
    this.#counts = countRun(modules, errorsOutside.length);
    this.#interrupted = reason === "interrupted";
  }
}
