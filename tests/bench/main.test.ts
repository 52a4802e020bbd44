// Goal: `npm run bench` says what there is and what was wrong with how it was called, before it
// measures anything; and when it is stopped, all that it started ends. Method: the program, as a
// user starts it.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { isRunning } from "../support/process-tree.ts";
import { startProcess } from "../support/processes.ts";
import { benchFolder, benchMain } from "./smoke.ts";

const patience = { timeout: 600_000 };

test("bench alone lists each scenario with a line and its time", patience, async () => {
  const list = startProcess(benchMain, [], { cwd: benchFolder() });
  expect(await list.ended).toMatchObject({ code: 0 });
  const lines = list.stdout.trim().split("\n");
  for (const line of lines) expect(line).toMatch(/^[a-z-]+ {2,}\S.+ \((?:about )?\d+ minutes?\)$/);
  const names = lines.map((line) => line.split(" ")[0]);
  for (const name of ["floor", "micro", "throughput", "latency", "recovery", "write-behind"]) {
    expect(names).toContain(name);
  }
});

test("a wrong use ends with 2 and says what to do, and nothing is measured", patience, async () => {
  const uses = [
    [["no-such-thing"], /^there is no scenario no-such-thing; there are:$/],
    [["grid-bytes", "--rounds", "0"], /It must be a whole number from 1 to 999\.$/],
    [["grid-bytes", "--json", "no/such/folder.json"], /There is no folder no\/such: make it first/],
    [["grid-bytes", "--fast"], /unknown option '--fast'$/],
    [["compare", "."], /missing required argument 'B'$/],
    [["compare", ".", ".", "--scenario", "none"], /^there is no scenario none; there are:$/],
    [["compare", ".", "no-such-revision"], /^there is no revision no-such-revision: /],
  ] as const;
  for (const [argv, said] of uses) {
    const cwd = benchFolder();
    const bench = startProcess(benchMain, [...argv], { cwd });
    await bench.line(said, "stderr");
    expect(await bench.ended).toMatchObject({ code: 2 });
    expect(existsSync(join(cwd, "data")) ? readdirSync(join(cwd, "data")) : []).toEqual([]);
  }
});

test("Ctrl-C ends everything that was started, and leaves no data", patience, async () => {
  const cwd = benchFolder();
  const bench = startProcess(benchMain, ["recovery", "--smoke", "--json", "result.json"], { cwd });
  await bench.line(/capacity: /, "stderr"); // three units run
  const started = bench.descendants();
  expect(started.length).toBeGreaterThanOrEqual(3);
  bench.signal("SIGINT");
  expect(await bench.ended).toMatchObject({ code: 130 });
  expect(bench.stderr).toMatch(/^stopped by SIGINT: nothing was written$/m);
  expect(existsSync(join(cwd, "result.json"))).toBe(false);
  await vi.waitFor(() => expect(started.filter(isRunning)).toEqual([]), { timeout: 30_000 });
  expect(readdirSync(join(cwd, "data"))).toEqual([]);
});
