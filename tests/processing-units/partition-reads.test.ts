// Goal: a linearizable read shows all that was answered before it was sent, by whatever owner, and
// costs one record for all that come at once. Method: partitions whose store calls can be held.
import { expect, test } from "vitest";
import { failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { LogRecord } from "../../src/grid/log-record.ts";
import type { Partition } from "../../src/processing-units/partition.ts";
import type { PartitionRequest } from "../../src/processing-units/partition-request.ts";
import { HeldMap } from "../support/held-map.ts";
import { code, newPartitionGrid, openPartition, run } from "../support/partition-kit.ts";

function read(partition: Partition, options: Partial<PartitionRequest> = {}) {
  return run(partition, "read", { key: "a" }, { read: "linearizable", ...options });
}

async function heldPartition(mayServeLocal = () => true) {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const records: LogRecord[] = [];
  const journaled = (_partition: Partition, { record }: { record: LogRecord }) => {
    records.push(record);
  };
  const opened = openPartition({ ...grid, map: held }, { journaled }, { mayServeLocal });
  await opened.served;
  return { grid, held, records, ...opened };
}

test("P8: reads of one tick are answered by one record, which changes nothing", async () => {
  const { partition, records } = await heldPartition();
  const reads = Array.from({ length: 20 }, () => read(partition));
  expect((await Promise.all(reads)).map(code)).toEqual(reads.map(() => "value 0"));
  expect(records.length).toBe(1);
  const [{ body }] = records as [LogRecord];
  expect(body.type === "changes" && body.entries).toMatchObject([{ sender: null, changes: [] }]);
  await run(partition, "read", { key: "a" });
  expect(records.length).toBe(1); // a local read needs none
});

test("P8: a read does not ride on an append that is out, but on what leaves after it", async () => {
  const { held, partition, records } = await heldPartition();
  held.hold("putIfAbsent");
  const answered: string[] = [];
  const note = (name: string) => () => answered.push(name);
  const first = run(partition, "add", { key: "a", by: 1 }).then(note("first"));
  await held.waiting("putIfAbsent");
  const readers = [read(partition), read(partition)].map((each) => each.then(note("read")));
  const local = run(partition, "read", { key: "a" }).then(note("local"));
  const second = run(partition, "add", { key: "a", by: 1 }).then(note("second"));
  const late = read(partition).then(note("late"));
  held.release("putIfAbsent");
  await Promise.all([first, local, ...readers, second, late]);
  // `local` saw what `first` did, and waits for nothing else.
  expect(answered).toEqual(["first", "local", "read", "read", "second", "late"]);
  expect(records.map(({ body }) => (body.type === "changes" ? body.entries.length : 0))).toEqual([
    1, 2,
  ]);
});

test("P8: an owner that was replaced answers no linearizable read, and a local one", async () => {
  const { grid, partition, ended } = await heldPartition();
  await run(partition, "add", { key: "a", by: 1 });
  const next = openPartition(grid);
  await next.served;
  await run(next.partition, "add", { key: "a", by: 1 });
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 1"); // stale, as it may be
  expect(code(await read(partition))).toBe("NOT_OWNER");
  expect(await ended).toBe("NOT_OWNER");
  expect(code(await read(next.partition))).toBe("value 2");
});

test("P8: a lane that may be taken for dead answers every read as a linearizable one", async () => {
  let isFresh = true;
  const { grid, partition } = await heldPartition(() => isFresh);
  const next = openPartition(grid);
  await next.served;
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 0");
  isFresh = false;
  expect(code(await run(partition, "read", { key: "a" }))).toBe("NOT_OWNER");
});

test("P8: after its heartbeat stood still a lane proves what it has before it reads it", async () => {
  const { held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  partition.prove();
  const answered: string[] = [];
  const local = run(partition, "read", { key: "a" }).then((said) => answered.push(code(said)));
  await held.waiting("putIfAbsent");
  expect(answered).toEqual([]);
  held.release("putIfAbsent");
  await local;
  expect(answered).toEqual(["value 0"]);
});

test("P8: an owner that slept through a claim of a lane that died then finds it by itself", async () => {
  const { grid, partition, ended } = await heldPartition();
  const next = openPartition(grid);
  await next.served;
  partition.prove();
  expect(await ended).toBe("NOT_OWNER");
});

test("P8: a refusal that a handler threw shows what it saw, and waits as a read does", async () => {
  const { grid, partition } = await heldPartition();
  const next = openPartition(grid);
  await next.served;
  const refused = run(partition, "add", { key: "a", by: 13 }, { read: "linearizable" });
  expect(code(await refused)).toBe("NOT_OWNER");
});

test("P4: reads that wait for a partition which stops are told that nothing happened", async () => {
  const { held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  const inFlight = read(partition);
  await held.waiting("putIfAbsent");
  const waiting = read(partition);
  partition.close(failure("SHUTTING_DOWN", "stopping"));
  expect((await Promise.all([inFlight, waiting])).map(code)).toEqual(["NOT_OWNER", "NOT_OWNER"]);
});

test("E2: linearizable reads are refused at the limit, with what else waits", async () => {
  const { held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  // The barrier is one of them.
  const reads = Array.from({ length: limits.partitionCommandsWaitingMax - 1 }, () =>
    read(partition),
  );
  expect(code(await read(partition))).toBe("OVERLOADED");
  held.release("putIfAbsent");
  expect(new Set((await Promise.all(reads)).map(code))).toEqual(new Set(["value 0"]));
});
