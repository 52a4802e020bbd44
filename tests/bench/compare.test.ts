// Goal: two trees are run in turn, and what is said of them is what their samples allow. Method: a
// comparison of the working tree with itself at smoke size, as a user starts it: it must find no
// difference. (What is said of which samples: tests/report.)
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProcess } from "../support/processes.ts";
import { benchFolder, benchMain } from "./smoke.ts";

interface Result {
  readonly verdict: string;
  readonly comparisons: readonly { readonly name: string; readonly verdict: string }[];
  readonly measured: readonly { readonly a: object; readonly b: object }[];
  readonly probes: readonly object[];
}

test("compare: A B B A, and of equal trees nothing is said", { timeout: 600_000 }, async () => {
  const cwd = benchFolder();
  const size = ["--scenario", "grid-bytes", "--smoke", "--rounds", "2"];
  const args = ["compare", ".", ".", ...size, "--json", "result.json"];
  const bench = startProcess(benchMain, args, { cwd });
  expect(await bench.ended, bench.report()).toMatchObject({ code: 0 });
  const order = [...bench.stderr.matchAll(/round \d of 2: ([AB])$/gm)].map(([, tree]) => tree);
  expect(order).toEqual(["A", "B", "B", "A"]);
  expect(bench.stdout).toMatch(/^B compared with A: cannot tell$/m);
  const result = JSON.parse(readFileSync(join(cwd, "result.json"), "utf8")) as Result;
  expect(result).toMatchObject({
    verdict: "cannot tell",
    comparisons: [{ name: "grid bytes at most", verdict: "cannot tell", rounds: 2 }],
  });
  expect(result.measured).toHaveLength(2);
  expect(result.probes).toHaveLength(5);
  expect(readdirSync(join(cwd, "data"))).toEqual([]);
});
