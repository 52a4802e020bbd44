// Goal: what is published as a result is one: it fits the schema, its seal is whole, it counts.
// Method: every file of bench/results is read as anybody would read it.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";

const folder = fileURLToPath(new URL("../../bench/results/", import.meta.url));
/** The record of a soak, which is no scenario of the bench. */
const others = new Set(["soak-database.json"]);
const files = readdirSync(folder).filter((file) => !others.has(file));

test("there are results", () => {
  expect(files.length).toBeGreaterThan(0);
});

test.each(files)("a published result is a valid report of a full run: %s", (file) => {
  const report = unwrap(parseReport(readFileSync(`${folder}${file}`, "utf8")));
  expect(report).toMatchObject({ valid: true, smoke: false, problems: [] });
  // Of several runs of a scenario each file says which: compare-same.json.
  expect(file).toMatch(new RegExp(`^${report.scenario}(-[a-z]+)*\\.json$`));
});
