// Goal: two trees are run in turn, and what is said of them is what their samples allow. Method: a
// comparison of the working tree with itself at smoke size, as a user starts it: it must find no
// difference. (What is said of which samples: tests/report.)
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";
import { benchFolder, benchMain } from "./smoke.ts";

test("compare: A B B A, and of equal trees nothing is said", { timeout: 600_000 }, async () => {
  const cwd = benchFolder();
  const size = ["--scenario", "grid-bytes", "--smoke", "--rounds", "2"];
  const args = ["compare", ".", ".", ...size, "--json", "result.json", "--html", "page.html"];
  const bench = startProcess(benchMain, args, { cwd });
  expect(await bench.ended, bench.report()).toMatchObject({ code: 0 });
  const order = [...bench.stderr.matchAll(/round \d of 2: ([AB])$/gm)].map(([, tree]) => tree);
  expect(order).toEqual(["A", "B", "B", "A"]);
  expect(bench.stdout).toMatch(/^B compared with A: cannot tell$/m);
  const report = unwrap(parseReport(readFileSync(join(cwd, "result.json"), "utf8")));
  expect(report.figures).toMatchObject({
    ...{ scenario: "grid-bytes", verdict: "cannot tell" },
    comparisons: [{ name: "grid bytes at most", verdict: "cannot tell", rounds: 2 }],
    measured: [{}, {}],
  });
  expect(report.probes).toHaveLength(5);
  expect(report.text).toContain("B compared with A: cannot tell");
  expect(readFileSync(join(cwd, "page.html"), "utf8")).toContain("grid bytes at most");
  expect(readdirSync(join(cwd, "data"))).toEqual([]);
});
