// Goal: the benchmark of kills and hand-overs still runs, and its result can be relied on. Method:
// its smoke size as a user starts it, with real units; the report is read back. No time is judged.
import { expect, test } from "vitest";
import type { Kill } from "../../bench/unit-kills.ts";
import { smokeReport } from "./smoke.ts";

// Three units that start, one that dies, on whatever else the machine is doing.
const patience = { timeout: 600_000 };

test("recovery at its smoke size: what was answered was counted, once", patience, async () => {
  const { figures, samples, goals } = await smokeReport(
    "recovery",
    / kills with nothing under way /,
  );
  const kills = figures["kills"] as readonly Kill[];
  expect(kills).toHaveLength(1);
  for (const { servedMs, patient } of kills) {
    expect(servedMs).toBeGreaterThan(0);
    expect(patient.commands).toBeGreaterThan(0);
  }
  expect(goals.find(({ name }) => name === "kill, commands of 5 s that failed")).toBeDefined();
  expect(samples.map(({ name, values }) => [name, values.length])).toEqual([
    ["kill, until all is served", 1],
    ["hand-over on memory:, longest answer", 1],
    ["hand-over on lmdb:, longest answer", 1],
  ]);
});
