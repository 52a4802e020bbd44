// Goal: a partition answers what is journaled and nothing else, whatever happens to its log.
// Method: real partitions on a memory store whose calls can be held; promises, no waiting.
import { Type } from "typebox";
import { expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { failed, failure, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import { HeldMap } from "../support/held-map.ts";
import { code, newPartitionGrid, openPartition, run } from "../support/partition-kit.ts";

test("P3: an answer leaves only when its change is journaled, a read's when what it saw is", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const { partition, served } = openPartition({ ...grid, map: held });
  await served;
  held.hold("putIfAbsent");
  const answered: string[] = [];
  const add = run(partition, "add", { key: "a", by: 1 }).then(() => answered.push("add"));
  const read = run(partition, "read", { key: "a" }).then(() => answered.push("read"));
  await held.waiting("putIfAbsent");
  expect(answered).toEqual([]);
  held.release("putIfAbsent");
  await Promise.all([add, read]);
  expect(answered).toEqual(["add", "read"]);
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 1");
});

test("P3: what arrives while an append is in flight leaves together in the next record", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const positions: number[] = [];
  const { partition, served } = openPartition(
    { ...grid, map: held },
    { journaled: (_partition, { record }) => positions.push(record.position) },
  );
  await served;
  held.hold("putIfAbsent");
  const first = run(partition, "add", { key: "a", by: 1 });
  await held.waiting("putIfAbsent");
  const rest = Array.from({ length: 20 }, () => run(partition, "add", { key: "a", by: 1 }));
  held.release("putIfAbsent");
  expect(code(await first)).toBe("value 1");
  expect((await Promise.all(rest)).map(code).at(-1)).toBe("value 21");
  expect(positions).toEqual([2, 3]); // 0 is genesis, 1 the claim
});

test("P1: a handler that throws, or gives a promise, changes nothing", async () => {
  const { partition, served } = openPartition(await newPartitionGrid());
  await served;
  await run(partition, "add", { key: "a", by: 5 });
  expect(code(await run(partition, "add", { key: "a", by: 13 }))).toBe("HANDLER_FAILED");
  expect(code(await run(partition, "later", {}))).toBe("HANDLER_FAILED");
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 5");
  expect(partition.journaled).toBe(2);
});

test("P2: a new owner's memory is the fold of the log; the old owner stops, not applied", async () => {
  const grid = await newPartitionGrid();
  const old = openPartition(grid);
  await old.served;
  await run(old.partition, "add", { key: "a", by: 2 });
  await run(old.partition, "add", { key: "b", by: 3 });
  const fresh = openPartition(grid);
  await fresh.served;
  expect([...fresh.partition.entries("counts")]).toEqual([
    ["a", { count: 2 }],
    ["b", { count: 3 }],
  ]);
  // P4: the claim beats the old owner's next append, and head proves that it was not applied.
  expect(code(await run(old.partition, "add", { key: "a", by: 1 }))).toBe("NOT_OWNER");
  expect(await old.ended).toBe("NOT_OWNER");
  expect(old.partition.phase).toBe("gone");
  expect(code(await run(old.partition, "add", { key: "a", by: 1 }))).toBe("NOT_OWNER");
  expect([...old.partition.entries("counts")]).toEqual([]);
  expect(code(await run(fresh.partition, "read", { key: "a" }))).toBe("value 2");
});

test("P4: closing answers what is in flight with unknown, what waits with not applied", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const { partition, served } = openPartition({ ...grid, map: held });
  await served;
  held.hold("putIfAbsent");
  const inFlight = run(partition, "add", { key: "a", by: 1 });
  await held.waiting("putIfAbsent");
  const waiting = run(partition, "add", { key: "a", by: 1 });
  const reading = run(partition, "read", { key: "a" });
  partition.close(failure("SHUTTING_DOWN", "stopping"));
  expect((await Promise.all([inFlight, waiting, reading])).map(code)).toEqual([
    "OUTCOME_UNKNOWN",
    "NOT_OWNER",
    "NOT_OWNER",
  ]);
  expect(code(await run(partition, "read", { key: "a" }))).toBe("SHUTTING_DOWN");
});

test("P3: a refusal that may come from what is not journaled waits for it, too", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const { partition, served } = openPartition({ ...grid, map: held });
  await served;
  held.hold("putIfAbsent");
  const answered: string[] = [];
  const add = run(partition, "add", { key: "a", by: 1 }).then(() => answered.push("add"));
  const fails = run(partition, "add", { key: "a", by: 13 }).then(() => answered.push("fails"));
  await held.waiting("putIfAbsent");
  expect(answered).toEqual([]);
  held.release("putIfAbsent");
  await Promise.all([add, fails]);
  expect(answered).toEqual(["add", "fails"]);
});

test("E2: reads behind a journal that hangs are refused at the limit, and none later", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const { partition, served } = openPartition({ ...grid, map: held });
  await served;
  for (let round = 0; round < 2; round++) {
    held.hold("putIfAbsent");
    const add = run(partition, "add", { key: "a", by: 1 });
    const reads = Array.from({ length: limits.partitionCommandsWaitingMax - 1 }, () =>
      run(partition, "read", { key: "a" }),
    );
    expect(code(await run(partition, "read", { key: "a" }))).toBe("OVERLOADED");
    held.release("putIfAbsent");
    const answers = await Promise.all([add, ...reads]);
    expect(new Set(answers.map(code))).toEqual(new Set([`value ${String(round + 1)}`]));
  }
});

test("P4: a partition that is closed while it waits to open again refuses what waits", async () => {
  const { partition, served } = openPartition(await newPartitionGrid());
  await served;
  partition.log.close(failure("PARTITION_STOPPED", "planted"));
  expect(partition.phase).toBe("starting");
  const waiting = run(partition, "read", { key: "a" });
  partition.close(failure("SHUTTING_DOWN", "stopping"));
  expect(code(await waiting)).toBe("SHUTTING_DOWN");
  expect(partition.phase).toBe("gone");
});

const things = space<{ n: number }>({ name: "things" });
const noInput = { input: Type.Object({}), routeBy: () => "" };
const careless: Application = {
  name: "careless",
  spaces: [things],
  commands: {
    put: command({
      ...noInput,
      handle: (tx) => {
        tx.put(things, "a", { n: 1 });
        return tx.timeMs;
      },
    }),
    mutate: command({
      ...noInput,
      handle: (tx) => {
        const thing = tx.get(things, "a");
        if (thing !== undefined) thing.n = 2;
        return null;
      },
    }),
    late: command({
      ...noInput,
      handle: (tx) => {
        const work = Promise.resolve().then(() => {
          tx.put(things, "a", { n: 3 });
        });
        return work as never;
      },
    }),
    time: command({ ...noInput, handle: (tx) => tx.timeMs }),
  },
};

test("P2: what was loaded from the log cannot be changed, just as what was put", async () => {
  const grid = await newPartitionGrid();
  const first = openPartition(grid, {}, { application: careless });
  await first.served;
  await run(first.partition, "put", {});
  const second = openPartition(grid, {}, { application: careless });
  await second.served;
  expect(code(await run(second.partition, "mutate", {}))).toBe("HANDLER_FAILED");
  expect([...second.partition.entries("things")]).toEqual([["a", { n: 1 }]]);
});

test("P1: what a handler does after it gave a promise is void, and harms nobody", async () => {
  // An unhandled rejection would fail this test, and end a lane.
  const { partition, served } = openPartition(
    await newPartitionGrid(),
    {},
    { application: careless },
  );
  await served;
  expect(code(await run(partition, "late", {}))).toBe("HANDLER_FAILED");
  expect([...partition.entries("things")]).toEqual([]);
});

test("P2: time never goes back in a partition, not over a new owner, when the clock does", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  let wallMs = 2 ** 42;
  const clock: Clock = { ...systemClock, wallMs: () => wallMs };
  const first = openPartition({ ...grid, map: held }, {}, { application: careless, clock });
  await first.served;
  wallMs += 60_000;
  const seen = run(first.partition, "put", {});
  wallMs -= 60_000; // before the record leaves
  expect(code(await seen)).toBe(`value ${String(2 ** 42 + 60_000)}`);
  const second = openPartition(grid, {}, { application: careless, clock });
  await second.served;
  expect(code(await run(second.partition, "time", {}))).toBe(`value ${String(2 ** 42 + 60_000)}`);
});

test("acknowledgement `memory` answers before the journal has it", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const { partition, served } = openPartition({ ...grid, map: held });
  await served;
  held.hold("putIfAbsent");
  expect(code(await run(partition, "add", { key: "a", by: 1 }, { ack: "memory" }))).toBe("value 1");
  held.release("putIfAbsent");
});

test("E2: commands wait while a partition starts, up to a limit, and not past their deadline", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  held.hold("get");
  const { partition } = openPartition({ ...grid, map: held });
  const late = run(partition, "add", { key: "a", by: 1 }, { deadlineAtMs: 0 });
  const waiting = Array.from({ length: limits.partitionCommandsWaitingMax - 1 }, () =>
    run(partition, "add", { key: "a", by: 1 }),
  );
  expect(code(await run(partition, "add", { key: "a", by: 1 }))).toBe("OVERLOADED");
  held.release("get");
  expect(code(await late)).toBe("DEADLINE_EXCEEDED");
  const answers = await Promise.all(waiting);
  expect(code(answers.at(-1) as Outcome<Value>)).toBe(`value ${String(waiting.length)}`);
});

test("rule 2: an answer of the store that cannot be meant stops it; it comes back with the store", async () => {
  const grid = await newPartitionGrid();
  const { partition, served } = openPartition(grid);
  await served;
  const next = recordKey(0, partition.log.state.next);
  await grid.map.put(next, Buffer.from([1, 0xc1]), 1000); // no msgpack
  expect(code(await run(partition, "add", { key: "a", by: 1 }))).toBe("OUTCOME_UNKNOWN");
  await grid.map.delete(next, 1000);
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 0");
});

test("rule 2: a broken assertion stops the partition; it comes back from the log, then halts", async () => {
  const grid = await newPartitionGrid();
  let breakages = 0;
  const halted = Promise.withResolvers<string>();
  const { partition, served } = openPartition(grid, {
    journaled: () => {
      breakages++;
      throw new AssertionError("planted");
    },
    stopped: (which, reason) => {
      // The next command waits for it to come back, and breaks it again.
      if (which.phase === "halted") halted.resolve(reason.code);
      else void run(which, "add", { key: "a", by: 1 });
    },
  });
  await served;
  // P4: its change is durable, so it is told so, although its owner breaks at that moment.
  expect(code(await run(partition, "add", { key: "a", by: 1 }))).toBe("value 1");
  expect(await halted.promise).toBe("PARTITION_STOPPED");
  expect(breakages).toBe(4);
  // The records are durable, only their owner's word was lost: nobody was told "not applied".
  const fresh = openPartition(grid);
  await fresh.served;
  expect([...fresh.partition.entries("counts")]).toEqual([["a", { count: 4 }]]);
});

test("a partition whose store is silent for long takes nothing, until the store answers", async () => {
  const grid = await newPartitionGrid();
  let nowMs = 0;
  let isSilent = false;
  const asked = Promise.withResolvers<void>();
  const map: ByteMap = {
    get: (...call) => grid.map.get(...call),
    getMany: (...call) => grid.map.getMany(...call),
    put: (...call) => grid.map.put(...call),
    replaceIfSame: (...call) => grid.map.replaceIfSame(...call),
    delete: (...call) => grid.map.delete(...call),
    putIfAbsent: (...call) => {
      if (!isSilent) return grid.map.putIfAbsent(...call);
      asked.resolve();
      return Promise.resolve(failed("STORE_UNAVAILABLE", "no member is connected"));
    },
  };
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const { partition, served } = openPartition({ ...grid, map }, {}, { clock });
  await served;
  isSilent = true;
  const first = run(partition, "add", { key: "a", by: 1 });
  await asked.promise;
  await new Promise((resolve) => setImmediate(resolve)); // its answer came
  nowMs += limits.storeSilenceMsMax - 1;
  const second = run(partition, "add", { key: "a", by: 1 });
  nowMs += 1;
  const refused = await run(partition, "add", { key: "a", by: 1 });
  expect(refused).toMatchObject({
    ok: false,
    failure: { code: "GRID_UNAVAILABLE", kind: "retryable" },
  });
  expect(refused.ok ? "" : refused.failure.message).toContain("no member is connected");
  expect(partition.reason?.code).toBe("GRID_UNAVAILABLE");
  isSilent = false;
  expect(code(await first)).toBe("value 1");
  expect(code(await second)).toBe("value 2");
  expect(partition.reason).toBeNull();
  expect(code(await run(partition, "add", { key: "a", by: 1 }))).toBe("value 3");
});
