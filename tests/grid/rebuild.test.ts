// Goal: a rebuilt grid is what the database had, loaded by the code that loads any log; nothing of
// the old generation can write any more; a run that is interrupted anywhere is replaced by another.
// Method: real stores (memory, LMDB), real logs and checkpoints before and after, a database in
// memory. Every schedule of several runs and owners: tests/simulation/rebuild-explorer.test.ts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { failed, ok, unwrap, type Failure, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { deleteOldGenerations } from "../../src/grid/generation-cleanup.ts";
import { generationEnded, watchGeneration } from "../../src/grid/generation-pointer.ts";
import { openGrid, type GridIdentity } from "../../src/grid/grid-directory.ts";
import { generationMapName, headKey, recordKey, slotKey } from "../../src/grid/grid-keys.ts";
import { decodeRecord } from "../../src/grid/log-record.ts";
import type { RebuildReport, WrittenPartition } from "../../src/grid/rebuild-ports.ts";
import { rebuiltSegment } from "../../src/grid/rebuild-fill.ts";
import { rebuildGrid } from "../../src/grid/rebuild.ts";
import { RosterSlot } from "../../src/grid/roster.ts";
import type { Store } from "../../src/grid/store.ts";
import { openLmdbStore } from "../../src/grid/stores/lmdb-store.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { newCheckpointOwner, partition } from "./checkpoint-owner.ts";
import { LayeredStore } from "./layered-store.ts";
import { InstantTime } from "./manual-timers.ts";
import { placeOf, RebuildTables } from "./rebuild-database.ts";
import { laneCard } from "./roster-cards.ts";

const ms = 1000;
const folder = mkdtempSync(join(tmpdir(), "orrery.rebuild."));
const isComplete = [0, 1, 2].map((number) => ({ partition: number, seq: 5, complete: true }));
const rows = Array.from({ length: 400 }, (_, number): [string, string] => {
  return [`k${String(number)}`, `${String(number)} `.repeat(60)];
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function open(store: Store, mayCreate: () => Promise<Outcome<null>> = mustNotCreate) {
  const time = new InstantTime();
  const random = seededRandom(1);
  const sizes = { partitions: null, partitionsDefault: 3 };
  return openGrid({ store, timers: time, clock: time, random, ...sizes, mayCreate });
}

function mustNotCreate(): Promise<Outcome<null>> {
  return Promise.resolve(failed("GRID_LOST", "the database knows of a grid"));
}

async function made(store: Store): Promise<GridIdentity> {
  return unwrap(await open(store, () => Promise.resolve(ok(null))));
}

function tablesOf(identity: GridIdentity, written: readonly WrittenPartition[] = isComplete) {
  return new RebuildTables(identity.gridId, written, rows);
}

interface RunOptions {
  readonly replaces: number | null;
  readonly partitions?: number;
  readonly seed?: number;
  readonly told?: string[];
}

function rebuild(store: Store, database: RebuildTables, options: RunOptions) {
  const time = new InstantTime();
  const { replaces, partitions = null, seed = 7, told = [] } = options;
  const progress = ({ step }: { step: string }) => void told.push(step);
  const ports = { store, database, timers: time, clock: time, random: seededRandom(seed) };
  return rebuildGrid({ ...ports, replaces, partitions, progress });
}

/** Loads the partition that `newCheckpointOwner` has, and says what is in it. */
async function owner(store: Store, identity: GridIdentity, token: string) {
  const map = store.map(generationMapName(identity.generation));
  return newCheckpointOwner({ map, identity, token });
}

function expected(partitions: number): Record<string, string> {
  const mine = rows.filter(([key]) => placeOf(key, partitions) === partition);
  return Object.fromEntries([...mine].sort());
}

async function record(store: Store, generation: number, at: number) {
  const map = store.map(generationMapName(generation));
  const stored = unwrap(await map.get(recordKey(partition, at), ms));
  return stored === null ? null : decodeRecord(stored);
}

describe.each([
  ["memory", () => Promise.resolve(new MemoryStore())],
  ["LMDB", async () => unwrap(await openLmdbStore({ folder, sync: false, timers: systemTimers }))],
])("G7: a rebuilt grid on %s", (_name, newStore) => {
  test("is what the database had, and goes on as any other", async () => {
    const store = await newStore();
    const identity = await made(store);
    const before = await owner(store, identity, "before");
    before.put("k1", "in the log alone");
    await before.rest();
    const told: string[] = [];
    const report = unwrap(await rebuild(store, tablesOf(identity), { replaces: 1, told }));
    const { gridId } = identity;
    const counts = { base: 1, basePartitions: 3, partitions: 3, entries: rows.length };
    expect(report).toMatchObject({ gridId, generation: 2, ...counts, vouched: "complete" });
    expect(told).toEqual(["reserved", "fenced", "ended", "written", "opened"]);
    const now = unwrap(await open(store));
    expect(now).toEqual({ gridId, generation: 2, partitions: 3 });

    const after = await owner(store, now, "after");
    expect(after.contents).toEqual(expected(3));
    after.put("k1", "after");
    await after.rest();
    const next = await owner(store, now, "next");
    expect(next.contents).toEqual({ ...expected(3), k1: "after" });
    expect(next.stopped).toBeNull();
    const genesis = (await record(store, 2, 0))?.body;
    expect(genesis).toMatchObject({ genesis: { generation: 2, rebuilt: { base: 1, seq: 5 } } });

    before.put("k2", "too late");
    await before.rest();
    expect(before.stopped?.code).toBe("GRID_ENDED");
    for (const one of [after, next]) one.kill();
    await store.close();
  });
});

test("G7: with another number of partitions, from a store that lost everything", async () => {
  const identity = await made(new MemoryStore());
  const store = new MemoryStore();
  const written = isComplete.map((one) => ({ ...one, complete: one.partition === 1 }));
  const report = unwrap(
    await rebuild(store, tablesOf(identity, written), { replaces: null, partitions: 2 }),
  );
  const vouched = [0, 2].map((number) => ({ partition: number, from: 6 }));
  const { gridId } = identity;
  expect(report).toMatchObject({ gridId, partitions: 2, vouched, oldOwners: "time" });
  const now = unwrap(await open(store));
  expect(now).toEqual({ gridId, generation: 2, partitions: 2 });
  expect((await owner(store, now, "after")).contents).toEqual(expected(2));
});

test("tables of an older generation vouch for nothing of the one that is replaced", async () => {
  const store = new MemoryStore();
  const identity = await made(store);
  const database = tablesOf(identity);
  const younger = database.current;
  unwrap(await rebuild(store, database, { replaces: 1 }));
  database.current = younger; // restored
  const report: RebuildReport = unwrap(await rebuild(store, database, { replaces: 2, seed: 8 }));
  expect(report).toMatchObject({ generation: 3, base: 2 });
  expect(report.vouched).toEqual([0, 1, 2].map((number) => ({ partition: number, from: 1 })));
});

describe("G5: what is not to be rebuilt", () => {
  const cases: [string, number | null, string][] = [
    ["an open generation that was not named", null, "generation 1 of the grid is open"],
    ["one that is not the open one", 4, "the open generation of the grid is 1"],
  ];
  test.each(cases)("%s is refused, and nothing is written", async (_name, replaces, why) => {
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    const refused = await rebuild(store, database, { replaces });
    expect(refused).toMatchObject({ ok: false, failure: { code: "REBUILD_REFUSED" } });
    expect(refused.ok ? "" : refused.failure.message).toContain(why);
    expect(database.calls).toEqual([]);
    expect(await open(store)).toMatchObject({ ok: true, value: { generation: 1 } });
  });

  test("a generation that was replaced already is refused", async () => {
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    unwrap(await rebuild(store, database, { replaces: 1 }));
    const again = await rebuild(store, database, { replaces: 1, seed: 8 });
    expect(again).toMatchObject({ ok: false, failure: { code: "REBUILD_REFUSED" } });
  });

  test("the database of another grid is refused, and nothing is written", async () => {
    const store = new MemoryStore();
    await made(store);
    const database = new RebuildTables("another", isComplete, rows);
    const refused = await rebuild(store, database, { replaces: 1 });
    expect(refused).toMatchObject({ ok: false, failure: { code: "DATABASE_FOREIGN" } });
    expect(await open(store)).toMatchObject({ ok: true, value: { generation: 1 } });
  });
});

describe("G3: whoever works in a generation that ended", () => {
  test("is told by the pointer, from the reservation on", async () => {
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    expect(await generationEnded(store, 1)).toEqual(ok(null));
    database.fates = ["answer lost"];
    unwrap(await rebuild(store, database, { replaces: 1 }));
    expect(await generationEnded(store, 1)).toMatchObject({ value: { code: "GRID_ENDED" } });
    expect(await generationEnded(store, 2)).toEqual(ok(null));
    const wiped = new MemoryStore();
    expect(await generationEnded(wiped, 2)).toEqual(ok(null));
  });

  test("is told once, at its next heartbeat, and not while the store is silent", async () => {
    const store = new MemoryStore();
    const time = new VirtualTime();
    const database = tablesOf(await made(store));
    let isSilent = true;
    const behind = new LayeredStore(store, (_call, forward) =>
      isSilent ? Promise.resolve(failed("STORE_TIMEOUT", "silent")) : forward(),
    );
    const told: string[] = [];
    const ended = ({ code }: Failure) => void told.push(code);
    const { timers } = new VirtualProcess(time);
    watchGeneration({ store: behind, generation: 1, timers, ended });
    const pass = async () => {
      await time.run({ untilMs: time.nowMs + 3 * limits.heartbeatMs, eventsMax: 1000 });
    };
    unwrap(await rebuild(store, database, { replaces: 1 }));
    await pass();
    expect(told).toEqual([]);
    isSilent = false;
    await pass();
    await pass();
    expect(told).toEqual(["GRID_ENDED"]);
  });
});

test("G6: a database that is away for a moment, or does not say what it did, changes nothing", async () => {
  const store = new MemoryStore();
  const database = tablesOf(await made(store));
  database.fates = ["away", "answer lost", "away", "answer lost", "away", "answer lost"];
  expect(await rebuild(store, database, { replaces: 1 })).toMatchObject({ ok: true });
  expect(unwrap(await open(store)).generation).toBe(2);
  expect(database.current).toMatchObject({ generation: 2, base: 1 });
});

/** A store that is gone from its `death`th write on: that one is done, and no answer comes. */
function dyingStore(store: Store, death: number, count: () => void): Store {
  let writes = 0;
  return new LayeredStore(store, async (call, forward) => {
    if (call.op === "putIfAbsent" || call.op === "replaceIfSame") {
      writes++;
      count();
    }
    const outcome = writes <= death ? await forward() : null;
    return writes < death && outcome !== null ? outcome : failed("STORE_TIMEOUT", "gone");
  });
}

async function runThatDies(death: number): Promise<{ writes: number; isDone: boolean }> {
  const store = new MemoryStore();
  const database = tablesOf(await made(store));
  let writes = 0;
  const dying = dyingStore(store, death, () => writes++);
  const first = await rebuild(dying, database, { replaces: 1 });
  const opened = await open(store);
  if (first.ok) return { writes, isDone: true };
  expect(first.failure.code).toBe("STORE_UNREACHABLE");
  let isReplaced = false;
  if (opened.ok)
    isReplaced = opened.value.generation === 2; // its very last call
  else expect(opened.failure.code).toBe("GRID_LOST");
  if (isReplaced) return { writes, isDone: false };
  const second = unwrap(await rebuild(store, database, { replaces: 1, seed: 8 }));
  expect(second).toMatchObject({ generation: opened.ok ? 2 : 3, vouched: "complete" });
  const now = unwrap(await open(store));
  expect((await owner(store, now, "after")).contents).toEqual(expected(3));
  return { writes, isDone: false };
}

test("G4, G5: a run that died at any write is replaced by another, under a higher number", async () => {
  const { writes, isDone } = await runThatDies(Infinity);
  expect(isDone).toBe(true);
  expect(writes).toBeGreaterThan(3 * 256);
  const deaths = Array.from({ length: writes }, (_, number) => number + 1).filter((number) => {
    return number < 8 || number > writes - 20 || number % 101 === 0; // ENDs are alike
  });
  for (const death of deaths) expect((await runThatDies(death)).isDone).toBe(false);
});

/** Loses each call or its answer with this probability, and lets others run before it. */
function lossyStore(store: Store, random: Random): Store {
  return new LayeredStore(store, async (_call, forward) => {
    for (let turns = random.below(4); turns > 0; turns--) await Promise.resolve();
    if (!random.chance(0.05)) return forward();
    if (random.chance(0.5)) await forward();
    return failed("STORE_TIMEOUT", "lost");
  });
}

test("G5, G7: of runs at once on a store that loses calls at most one opens, and it is whole", async () => {
  const ends = new Set<string>();
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    const lossy = lossyStore(store, random);
    const fates = ["away", "answer lost"] as const;
    database.fates = Array.from({ length: random.below(4) }, () => random.pick(fates));
    const runs = [1, 2, 3].map(async (number) => {
      for (let turns = random.below(number * 1500); turns > 0; turns--) await Promise.resolve();
      return rebuild(lossy, database, {
        replaces: 1,
        partitions: number,
        seed: 10 * seed + number,
      });
    });
    const opened = (await Promise.all(runs)).filter((one) => {
      ends.add(one.ok ? "opened" : one.failure.code);
      return one.ok;
    });
    expect(opened.length).toBeLessThan(2);
    if (opened.length === 0) unwrap(await rebuild(store, database, { replaces: 1, partitions: 2 }));
    const now = unwrap(await open(store));
    expect(database.current.generation).toBe(now.generation);
    if (now.partitions <= partition) continue; // the partition that is loaded here is not there
    expect((await owner(store, now, "after")).contents).toEqual(expected(now.partitions));
  }
  expect([...ends].sort()).toEqual(expect.arrayContaining(["REBUILD_OVERTAKEN", "opened"]));
});

describe("G8: the old log ends", () => {
  test("behind its last record, and beyond what its owner is known to have had", async () => {
    const store = new MemoryStore();
    const identity = await made(store);
    const before = await owner(store, identity, "before");
    for (let number = 0; number < 3; number++) {
      before.put(`k${String(number)}`, number);
      await before.rest();
    }
    const { position } = before.durable.at(-1) ?? { position: 0 };
    const written = isComplete.map((one) => ({ ...one, seq: 1000 })); // the log was cut back
    unwrap(await rebuild(store, tablesOf(identity, written), { replaces: 1 }));
    expect((await record(store, 1, position))?.body.type).toBe("changes");
    for (const at of [position + 1, position + 256, 1001, 1256]) {
      expect((await record(store, 1, at))?.body, String(at)).toEqual({ type: "end", successor: 2 });
    }
    for (const at of [position + 257, 1000, 1257]) expect(await record(store, 1, at)).toBeNull();
    expect(await store.map(generationMapName(1)).get(headKey(0), ms)).toMatchObject({ ok: true });
    before.kill();
  });
});

describe("G9: what an old generation left", () => {
  /** Everything that is in a map, by asking for what may be there. */
  async function left(store: Store, generation: number): Promise<number> {
    const map = store.map(generationMapName(generation));
    const keys = [slotKey(0), slotKey(1)];
    for (const number of [0, 1, 2]) {
      keys.push(headKey(number));
      for (let at = 0; at < 700; at++) keys.push(recordKey(number, at));
      for (let at = 0; at < 40; at++) keys.push(rebuiltSegment(number, at, 0).key);
    }
    return unwrap(await map.getMany(keys, ms)).filter((value) => value !== null).length;
  }

  function clean(store: Store, generation: number, clock: Clock = new InstantTime()) {
    return deleteOldGenerations({ store, timers: new InstantTime(), clock, generation });
  }

  test("is deleted once nobody is heard of in it, whoever asks then", async () => {
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    unwrap(await rebuild(store, database, { replaces: 1 }));
    unwrap(await rebuild(store, database, { replaces: 2, seed: 8 }));
    expect(await left(store, 1)).toBeGreaterThan(3 * 256);
    expect(await left(store, 2)).toBeGreaterThan(3 * 256);
    const before = await left(store, 3);
    expect(await clean(store, 2)).toEqual(ok(0)); // it is not open any more
    expect(unwrap(await clean(store, 3))).toBeGreaterThan(6 * 256);
    expect([await left(store, 1), await left(store, 2)]).toEqual([0, 0]);
    expect(await left(store, 3)).toBe(before);
    expect(await clean(store, 3)).toEqual(ok(0));
    const now = unwrap(await open(store));
    expect((await owner(store, now, "after")).contents).toEqual(expected(3));
  });

  test("stays while somebody's heartbeat in it is not old", async () => {
    const store = new MemoryStore();
    const database = tablesOf(await made(store));
    unwrap(await rebuild(store, database, { replaces: 1 }));
    const time = new InstantTime();
    const map = store.map(generationMapName(1));
    const slot = new RosterSlot({ map, timers: time, clock: time });
    const written = laneCard({ incarnation: "sleeper", wallMs: time.wallMs() });
    unwrap(await slot.join(written, { mayTake: () => false, predecessor: null }));
    expect(await clean(store, 2)).toEqual(ok(0));
    const later = { monotonicMs: () => 0, wallMs: () => written.wallMs + 600_001 };
    expect(unwrap(await clean(store, 2, later))).toBeGreaterThan(3 * 256);
    expect(await left(store, 1)).toBe(0);
  });
});
