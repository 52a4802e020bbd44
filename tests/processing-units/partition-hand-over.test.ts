// Goal: a partition changes hands without a gap, and is not served where what was loaded cannot be
// right. Method: partitions on one memory store whose calls can be held; logs written by hand.
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { generationMapName, recordKey } from "../../src/grid/grid-keys.ts";
import { decodeRecord } from "../../src/grid/log-record.ts";
import { rebuiltValues } from "../../src/grid/rebuild-fill.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { checkpointOf } from "../support/hand-checkpoint.ts";
import { HeldMap } from "../support/held-map.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import type { PartitionGrid } from "../support/partition-kit.ts";
import { code, newPartitionGrid, openPartition, run } from "../support/partition-kit.ts";

const input = { key: "a", by: 1 };

async function typesOf({ map }: PartitionGrid): Promise<string[]> {
  const types: string[] = [];
  for (let position = 0; ; position++) {
    const found = await map.get(recordKey(0, position), 1000);
    const stored = found.ok ? found.value : null;
    if (stored === null) return types;
    types.push(decodeRecord(stored)?.body.type ?? "unknown");
  }
}

async function heldPartition() {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const opened = openPartition({ ...grid, map: held });
  return { grid, held, ...opened };
}

test("P9: what ran is journaled, then comes the release, and nothing after it; no more is run", async () => {
  const { grid, held, partition, served, released } = await heldPartition();
  await served;
  held.hold("putIfAbsent");
  const inFlight = run(partition, "add", input);
  await held.waiting("putIfAbsent");
  const waiting = run(partition, "add", input);
  const reading = run(partition, "read", input, { read: "linearizable" });
  partition.leave();
  partition.leave(); // once is enough
  expect(partition.phase).toBe("leaving");
  const refused = await run(partition, "add", input);
  expect(refused).toMatchObject({ failure: { code: "NOT_OWNER", kind: "retryable" } });
  held.release("putIfAbsent");
  expect((await Promise.all([inFlight, waiting, reading])).map(code)).toEqual([
    "value 1",
    "value 2",
    "value 2",
  ]);
  await released;
  expect(partition.phase).toBe("gone");
  expect(code(await run(partition, "read", input))).toBe("NOT_OWNER");
  expect(await typesOf(grid)).toEqual(["genesis", "claim", "changes", "changes", "release"]);
  const next = openPartition(grid);
  await next.served;
  expect(code(await run(next.partition, "read", input))).toBe("value 2");
});

test("P9: a checkpoint that is under way comes before the release", async () => {
  const { grid, partition, served, released } = await heldPartition();
  await served;
  partition.log.appendRecord(() => checkpointOf([]));
  partition.leave();
  await released;
  expect(await typesOf(grid)).toEqual(["genesis", "claim", "checkpoint", "release"]);
});

test("P9: one that is being claimed is released under its claim; what waited goes on elsewhere", async () => {
  const { grid, held, partition, released } = await heldPartition();
  held.hold("putIfAbsent");
  const waiting = run(partition, "add", input);
  await held.waiting("putIfAbsent");
  partition.leave();
  expect(code(await waiting)).toBe("NOT_OWNER");
  held.release("putIfAbsent");
  await released;
  expect(await typesOf(grid)).toEqual(["genesis", "claim", "release"]);
});

test("P9: one that waits to open again has nothing to release, and claims no more", async () => {
  const { grid, partition, served, released } = await heldPartition();
  await served;
  partition.log.close(failure("PARTITION_STOPPED", "planted"));
  expect(partition.phase).toBe("starting");
  partition.leave();
  await released;
  expect(partition.phase).toBe("gone");
  expect(await typesOf(grid)).toEqual(["genesis", "claim"]);
});

test("P4, P9: one that is fenced while it leaves is gone, and says what was not applied", async () => {
  const { grid, held, partition, served, ended } = await heldPartition();
  await served;
  held.hold("putIfAbsent");
  const inFlight = run(partition, "add", input);
  await held.waiting("putIfAbsent");
  partition.leave();
  const next = openPartition(grid);
  await next.served;
  held.release("putIfAbsent");
  expect(code(await inFlight)).toBe("NOT_OWNER");
  expect(await ended).toBe("NOT_OWNER");
  expect(partition.phase).toBe("gone");
});

test("P9: of two that claim at once the beaten one is gone, and does not come back by itself", async () => {
  const { grid, held, partition, ended } = await heldPartition();
  held.hold("putIfAbsent");
  const waiting = run(partition, "add", input);
  await held.waiting("putIfAbsent");
  const winner = openPartition(grid);
  await winner.served;
  held.release("putIfAbsent");
  expect(await ended).toBe("CLAIM_BEATEN");
  expect(partition.phase).toBe("gone");
  expect(code(await waiting)).toBe("NOT_OWNER");
});

test("P12: behind a final release commands wait until the database has the claim, and no longer", async () => {
  const grid = await newPartitionGrid();
  const first = openPartition(grid);
  await first.served;
  await run(first.partition, "add", input);
  first.partition.leave(true);
  await first.released;
  const waits = Promise.withResolvers<null>();
  const idle = openPartition(grid, {}, { confirmWritten: () => waits.promise });
  const refused = run(idle.partition, "add", input);
  while (idle.partition.reason === null) await setImmediate();
  expect(idle.partition.reason).toMatchObject({ code: "PARTITION_STARTING" });
  idle.partition.leave();
  await idle.released;
  waits.resolve(null);
  expect(code(await refused)).toBe("NOT_OWNER");
  // Nothing was acknowledged since: the release is final yet.
  const told = Promise.withResolvers<number>();
  const events: string[] = [];
  const next = openPartition(
    grid,
    { loaded: () => events.push("loaded"), journaled: () => events.push("journaled") },
    { confirmWritten: () => told.promise },
  );
  const waiting = run(next.partition, "add", input);
  while (next.partition.reason === null) await setImmediate();
  events.push("told");
  told.resolve(7);
  expect(code(await waiting)).toBe("value 2");
  expect(next.partition.reason).toBeNull();
  expect(events).toEqual(["loaded", "told", "journaled"]);
  next.partition.leave();
  await next.released;
  const last = openPartition(grid, {}, { confirmWritten: () => new Promise(() => undefined) });
  await last.served;
});

/** Generation 2 of a grid, as a rebuild leaves it: nobody has claimed there. */
async function rebuiltGrid(): Promise<PartitionGrid> {
  const { store, identity } = await newMemoryGrid(1);
  const mine = { generation: 2, token: "rebuild", partitions: 1 };
  const grid = { gridId: identity.gridId, mine, base: 1, written: [], timeMs: 0 };
  const map = store.map(generationMapName(2));
  for (const [key, value] of rebuiltValues(grid, 0, [])) await map.put(key, value, 1000);
  return { identity: { ...identity, generation: 2 }, map };
}

test("P12: what a rebuild wrote is not served before the database has the claim, whoever tries", async () => {
  const grid = await rebuiltGrid();
  const away = { confirmWritten: () => new Promise<null>(() => undefined) };
  const loaded: string[] = [];
  // Claims and a release of owners that waited in vain change nothing of it.
  for (const leaves of [false, true, false]) {
    const asked = Promise.withResolvers<null>();
    const confirmWritten = () => {
      asked.resolve(null);
      return away.confirmWritten();
    };
    const serving = () => {
      loaded.push("serving");
      asked.resolve(null);
    };
    const events = { loaded: () => loaded.push("loaded"), serving };
    const { partition, released } = openPartition(grid, events, { confirmWritten });
    void run(partition, "add", input);
    await asked.promise;
    expect(partition.reason).toMatchObject({ code: "PARTITION_STARTING" });
    if (leaves) partition.leave();
    if (leaves) await released;
  }
  expect(loaded).toEqual(["loaded", "loaded", "loaded"]);
  const claims = ["claim", "claim", "release", "claim"];
  expect(await typesOf(grid)).toEqual(["genesis", "checkpoint", ...claims]);

  const told = openPartition(grid);
  expect(code(await run(told.partition, "add", input))).toBe("value 1");
  // It acknowledged something, and so the database has a claim: the next one need not wait.
  await openPartition(grid, {}, away).served;
});

test("P10: less than was acknowledged is a loss: it halts, and says what is missing", async () => {
  const grid = await newPartitionGrid();
  const reasons: string[] = [];
  const { partition } = openPartition(
    grid,
    { stopped: (_partition, { message }) => reasons.push(message) },
    { acknowledged: () => 7 },
  );
  const waiting = run(partition, "add", input);
  expect(code(await waiting)).toBe("PARTITION_HALTED");
  expect(partition.phase).toBe("halted");
  expect(reasons).toEqual([
    "partition 0 lost records: the roster says that position 7 was acknowledged, the log ended with 0",
  ]);
  expect(partition.reason?.code).toBe("GRID_LOST");
});

test("P10: a claimer that slept while a later owner went on is fenced, and cries no loss", async () => {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  let acknowledged = 0;
  held.hold("putIfAbsent");
  const sleeper = openPartition({ ...grid, map: held }, {}, { acknowledged: () => acknowledged });
  const waiting = run(sleeper.partition, "add", input);
  await held.waiting("putIfAbsent");
  held.hold("get");
  held.release("putIfAbsent");
  await held.waiting("get"); // its claim is durable, and it sleeps
  const later = openPartition(grid);
  await later.served;
  await run(later.partition, "add", input);
  acknowledged = later.partition.journaled;
  held.release("get");
  expect(await sleeper.ended).toBe("NOT_OWNER");
  expect(sleeper.partition.phase).toBe("gone");
  expect(code(await waiting)).toBe("NOT_OWNER");
  expect(code(await run(later.partition, "add", input))).toBe("value 2");
});

test("P10: a log that ends with too many claims in a minute is not served; later it is", async () => {
  const grid = await newPartitionGrid();
  let wallMs = 2 ** 42;
  const clock = { ...systemClock, wallMs: () => wallMs };
  for (let claims = 0; claims < limits.emptyClaimsMax; claims++) {
    wallMs += 1000;
    await openPartition(grid, {}, { clock }).served;
  }
  const killer = openPartition(grid, {}, { clock });
  expect(await killer.ended).toBe("PARTITION_HALTED");
  expect(killer.partition.phase).toBe("halted");
  expect(code(await run(killer.partition, "read", input))).toBe("PARTITION_HALTED");
  wallMs += 60_000;
  const later = openPartition(grid, {}, { clock });
  await later.served;
  expect(later.partition.phase).toBe("serving");
});

test("P10: an owner that lives and has nothing to write says so; idle claims do not add up", async () => {
  const time = new VirtualTime();
  // Its clock stands still: by the log's time all of it happens in one moment.
  const clock = { ...time.clock, wallMs: () => 2 ** 42 };
  const grid = await newPartitionGrid(clock);
  for (let claims = 0; claims < limits.emptyClaimsMax * 2; claims++) {
    const { partition } = openPartition(grid, {}, { clock, timers: time.timers });
    await time.run({ untilMs: time.nowMs + 6000, eventsMax: 1000 });
    expect(partition.phase).toBe("serving");
    expect(partition.journaled - partition.epoch).toBe(1);
  }
});

test("P10: claims do not count from before a change, a release or a checkpoint", async () => {
  const grid = await newPartitionGrid();
  for (let claims = 0; claims < limits.emptyClaimsMax * 2; claims++) {
    const { partition, served, released } = openPartition(grid);
    await served;
    if (claims % 2 === 0) {
      await run(partition, "add", input);
    } else {
      partition.leave();
      await released;
    }
  }
  await openPartition(grid).served;
});
