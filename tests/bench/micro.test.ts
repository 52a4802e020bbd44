// Goal: the benchmark of the parts still runs, each gives what it is meant to, and a wrong one
// is not measured. Method: its smoke size as a user starts it, in which every operation judges its
// own results; operations that are made up here. No figure is judged.
import { expect, test } from "vitest";
import { measureGroup, type MicroOperation } from "../../bench/micro-operation.ts";
import { smokeReport } from "./smoke.ts";

// Five processes, one after the other, on whatever else the machine is doing.
const patience = { timeout: 600_000 };

test("micro at its smoke size: every part is measured, and right", patience, async () => {
  const report = await smokeReport("micro");
  expect(report.samples.map(({ name }) => name)).toEqual([
    "transaction: get, check and put one entry",
    "transaction: three entries of three spaces",
    "checkpoint: encode, an entry",
    "checkpoint: load, an entry",
    "encode a record of one command",
    "decode a record of one command",
    "encode a record of sixteen commands",
    "decode a record of sixteen commands",
    "encode a record of one bid",
    "decode a record of one bid",
    "checksum of a record of one command",
    "checksum of a record of sixteen commands",
    "histogram: record one duration",
    "routing: to another lane and back, 1 in flight",
    "routing: to another lane and back, 64 in flight",
    "OpenRTB: parse and validate a request of 1 kB",
    "match a request that twenty fit, of 100 campaigns",
    "match a request that none fits, of 100 campaigns",
    "match a request that twenty fit, of 1,000 campaigns",
    "match a request that none fits, of 1,000 campaigns",
    "log append, memory, 1 in flight",
    "log append, memory, 32 in flight",
    "log append, LMDB unsynced, 1 in flight",
    "log append, LMDB unsynced, 32 in flight",
    "log append, LMDB synced, 1 in flight",
    "log append, LMDB synced, 32 in flight",
  ]);
  expect(report.goals.map(({ name }) => name)).toEqual([
    expect.stringContaining("that twenty fit: CPU among 1,000"),
    expect.stringContaining("that none fits: CPU among 1,000"),
  ]);
});

const size = { warmUpMs: 0, sampleMs: 0, samples: 3 };

function operation(changes: Partial<MicroOperation>): MicroOperation {
  return { name: "made up", check: () => "", run: (calls) => calls, ...changes };
}

test("a call that comes out wrong, and a check that fails, are no measurement", async () => {
  const wrongOnce = operation({ run: (calls) => calls - 1 });
  await expect(measureGroup({ operations: [wrongOnce] }, size)).rejects.toThrow(
    "made up: 1 of 1 are wrong",
  );
  const unchecked = operation({ check: () => Promise.reject(new Error("not what it should be")) });
  await expect(measureGroup({ operations: [unchecked] }, size)).rejects.toThrow("not what it");
});

test("operations are measured in turn, sample by sample", async () => {
  const runs: string[] = [];
  const operations = ["a", "b"].map((name) =>
    operation({
      name,
      run: (calls) => {
        runs.push(name);
        return calls;
      },
    }),
  );
  const { figures } = await measureGroup({ operations }, size);
  expect(runs.join("")).toMatch(/^a+b+ababab$/);
  expect(figures.map(({ name }) => name)).toEqual(["a", "b"]);
});
