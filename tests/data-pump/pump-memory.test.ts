// Goal: what the pump holds in memory is bounded, what it does not hold is read from the log once,
// and nobody's records keep others' out for good.
// Method: a database in memory that fails as told, logs in memory, virtual time; reads are counted.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { item, PumpWorld, type MemoryLog } from "../support/pump-world.ts";

test("D6: what memory could not hold is read from the log, and nothing is left out", async () => {
  let isAway = true;
  const world = new PumpWorld();
  const [log] = world.logs as [MemoryLog];
  const lane = world.lane({ fault: () => (isAway ? "away" : "none") });
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  isAway = false;
  await world.drain(lane);
  isAway = true;
  const large = limits.pumpMemoryBytesMax / 4;
  for (let count = 0; count < 500; count++) {
    world.put(lane, log, epoch, [item(`k${String(count)}`, count)], large);
  }
  await world.pass(30_000);
  expect(lane.pump.backlogRecords).toBe(500);
  expect(lane.pump.problem).toMatchObject({ code: "DATABASE_UNREACHABLE" });
  const reads = log.reads;
  isAway = false;
  expect(await world.drain(lane)).toBe(true);
  expect(log.reads).toBeGreaterThan(reads);
  expect(lane.pump.problem).toBeNull();
  expect(world.server.table("items").size).toBe(500);
  expect(world.differences()).toEqual([]);
});

test("D6: a pump that was behind, and has room, needs the log no longer", async () => {
  const partitions = 8;
  const world = new PumpWorld(partitions);
  const lane = world.lane({ delayMs: () => 40 });
  const logs = world.logs.map((log) => ({ log, epoch: log.claim() }));
  for (const { log, epoch } of logs) lane.pump.attach(log.source(epoch));
  // It stays behind by some transactions' worth, as with a lane that is as fast as it allows.
  const behind = 16 * limits.pumpTransactionRecordsMax;
  let count = 0;
  const goOnFor = async (transactions: number): Promise<void> => {
    const end = world.server.transactions + transactions;
    while (world.server.transactions < end) {
      while (lane.pump.backlogRecords < behind) {
        for (const { log, epoch } of logs) {
          world.put(lane, log, epoch, [item(`k${String(log.partition)}`, count++)]);
        }
      }
      await world.pass(5);
    }
  };
  await goOnFor(30);
  const reads = () => logs.reduce((sum, { log }) => sum + log.reads, 0);
  const before = reads();
  expect(before).toBeGreaterThan(0);
  await goOnFor(30);
  expect(reads()).toBe(before);
  expect(await world.drain(lane)).toBe(true);
  expect(world.differences()).toEqual([]);
});

test("D6: a partition that may have no more letters keeps no memory from the others", async () => {
  const world = new PumpWorld(2);
  world.server.refuses = (_table, key) => key.startsWith("bad");
  const lane = world.lane();
  const [log, other] = world.logs as [MemoryLog, MemoryLog];
  const [epoch, otherEpoch] = [log.claim(), other.claim()];
  lane.pump.attach(log.source(epoch));
  lane.pump.attach(other.source(otherEpoch));
  const bad = Array.from({ length: 50 }, () => item("bad", 1));
  for (let count = 0; count < limits.deadLettersMax / 50; count++) {
    world.put(lane, log, epoch, bad);
  }
  expect(await world.drain(lane)).toBe(true);
  const large = limits.pumpMemoryBytesMax / 4;
  for (let count = 0; count < 8; count++) world.put(lane, log, epoch, [item("bad", 2)], large);
  await world.pass(100);
  expect(lane.pump.problem?.code).toBe("DEAD_LETTERS_FULL");
  for (let count = 0; count < 100; count++) {
    world.put(lane, log, epoch, [item("bad", 3)], large);
    world.put(lane, other, otherEpoch, [item("other", count)], large);
    await world.pass(100);
  }
  await world.pass(2 * limits.pumpIdleCheckMs);
  expect(world.server.row(1)?.seq).toBe(other.tail);
  world.server.refuses = () => false;
  world.server.retryLetters(0, "items", "bad", world.tables);
  await world.pass(2 * limits.pumpIdleCheckMs);
  expect(world.server.row(0)?.seq).toBe(log.tail);
  expect(world.differences()).toEqual([]);
});
