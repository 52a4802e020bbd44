// Goal: what the pump says of itself is true: what waits, how old it is, what room is left, which
// dead letters there are.
// Method: a database in memory that is away as told, logs in memory, virtual time.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { lettersListed } from "../../src/data-pump/database.ts";
import { databaseStatus } from "../../src/processing-units/lane-database.ts";
import { item, type MemoryLog, PumpWorld, type WorldLane } from "../support/pump-world.ts";

test("a backlog is counted in records, bytes and age, has limits, and its room lasts so long", async () => {
  const world = new PumpWorld();
  const [log] = world.logs as [MemoryLog];
  const lane = world.lane({ fault: () => "away" });
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  const bytes = limits.backlogBytesMax / 100;
  for (let second = 0; second < 10; second++) {
    for (let count = 0; count < 5; count++) world.put(lane, log, epoch, [item("a", 1)], bytes);
    lane.pump.status();
    await world.pass(1000);
  }
  const status = lane.pump.status();
  expect(status).toMatchObject({ backlogRecords: 51, breaker: "open" });
  expect(status.backlogBytes).toBeCloseTo(50 * bytes, -3);
  expect(status.oldestUnwrittenMs).toBe(10_000);
  expect(status.room.msLeft).toBeGreaterThan(9000);
  expect(status.room.msLeft).toBeLessThan(13_000);
  expect(lane.pump.isFull(0)).toBe(false);
  for (let count = 0; count < 50; count++) world.put(lane, log, epoch, [item("a", 1)], bytes);
  expect(lane.pump.isFull(0)).toBe(true);
});

test("a record that memory had no room for is as old as it is, not as its owner", async () => {
  const hourMs = 3_600_000;
  let isAway = false;
  const world = new PumpWorld(2);
  const [log, other] = world.logs as [MemoryLog, MemoryLog];
  const lane = world.lane({ fault: () => (isAway ? "away" : "none") });
  const [epoch, otherEpoch] = [log.claim(), other.claim()];
  lane.pump.attach(log.source(epoch));
  lane.pump.attach(other.source(otherEpoch));
  expect(await world.drain(lane)).toBe(true);
  await world.pass(hourMs);
  isAway = true;
  world.put(lane, other, otherEpoch, [item("large", 1)], limits.pumpMemoryBytesMax);
  world.put(lane, log, epoch, [item("small", 1)]);
  await world.pass(10_000);
  world.put(lane, log, epoch, [item("small", 2)]);
  expect(lane.pump.status()).toMatchObject({ backlogRecords: 3, oldestUnwrittenMs: 10_000 });
  isAway = false;
  expect(await world.drain(lane)).toBe(true);
  expect(lane.pump.status().oldestUnwrittenMs).toBe(0);
});

test("dead letters that another owner wrote are listed, until an operator took them away", async () => {
  const world = new PumpWorld();
  const [log] = world.logs as [MemoryLog];
  world.server.refuses = (_table, key) => key.startsWith("bad");
  const lane = world.lane();
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  for (let count = 0; count < lettersListed; count++) {
    world.put(lane, log, epoch, [item(`bad${String(count)}`, 1), item("fine", count)]);
  }
  world.put(lane, log, epoch, [item("bad0", 2)]);
  expect(await world.drain(lane)).toBe(true);
  const keys = ({ pump }: WorldLane) => pump.status().newestLetters.map(({ key }) => key);
  expect(keys(lane)).toEqual([
    "bad0",
    ...[9, 8, 7, 6, 5, 4, 3, 2, 1].map((n) => `bad${String(n)}`),
  ]);
  lane.pump.detach(0);
  expect(keys(lane)).toEqual([]);
  const next = world.lane();
  next.pump.attach(log.source(log.claim()));
  expect(await world.drain(next)).toBe(true);
  expect(next.pump.status().deadLetters).toBe(lettersListed + 1);
  const [newest, before] = databaseStatus(next.pump.status()).newestLetters;
  expect(newest).toMatchObject({ partition: 0, space: "items", key: "bad0", reason: null });
  expect(before).toMatchObject({ key: "bad9", reason: "row items/bad9 is refused" });
  world.server.dropLetters(0, "items", "bad9");
  await world.pass(2 * limits.pumpIdleCheckMs);
  expect(keys(next)).not.toContain("bad9");
});
