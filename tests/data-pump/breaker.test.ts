// Goal: a database that is away is left alone for longer and longer, and one call decides when all
// goes on. Method: the state machine by itself; then a pump over a database that counts its calls.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Breaker } from "../../src/data-pump/breaker.ts";
import { item, PumpWorld, type MemoryLog } from "../support/pump-world.ts";

test("D11: pauses double up to their longest, spread by the seed; open after some failures", () => {
  const [breaker, same] = [new Breaker(seededRandom(7)), new Breaker(seededRandom(7))];
  const pauses = Array.from({ length: 12 }, () => breaker.failed());
  expect(Array.from({ length: 12 }, () => same.failed())).toEqual(pauses);
  for (const [index, pauseMs] of pauses.entries()) {
    const longest = Math.min(limits.pumpBackoffMsMin * 2 ** index, limits.pumpBackoffMsMax);
    expect(pauseMs).toBeGreaterThanOrEqual(longest / 2);
    expect(pauseMs).toBeLessThanOrEqual(longest);
  }
  expect(breaker.state).toBe("open");
  breaker.resume();
  expect(breaker.state).toBe("half-open");
  breaker.failed();
  expect(breaker.state).toBe("open");
  breaker.resume();
  breaker.succeeded();
  expect(breaker.state).toBe("closed");
  expect(breaker.failed()).toBeLessThanOrEqual(limits.pumpBackoffMsMin);
  expect(breaker.state).toBe("closed");
});

test("D11: behind an open breaker a row is read first, then one transaction goes, then more", async () => {
  const world = new PumpWorld();
  const [log] = world.logs as [MemoryLog];
  let isFull = false;
  const lane = world.lane({
    fault: (call) => (isFull && call === "write" ? "away" : "none"),
    delayMs: () => 50,
  });
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  await world.drain(lane);
  isFull = true; // its disk: it can be read all the time
  for (let count = 0; count < 5000; count++) world.put(lane, log, epoch, [item("a", count)]);
  await world.pass(20_000);
  expect(lane.pump.status()).toMatchObject({ backlogRecords: 5000 });
  expect(lane.pump.status().breaker).not.toBe("closed");
  lane.database.calls.length = 0;
  await world.pass(10 * limits.pumpBackoffMsMax);
  const { calls } = lane.database;
  expect(calls.length).toBeLessThan(45);
  expect(new Set(calls.map((call, index) => `${calls[index - 1] ?? ""} ${call}`))).toEqual(
    new Set([` ${calls[0] ?? ""}`, "read write", "write read"]),
  );
  isFull = false;
  expect(await world.drain(lane)).toBe(true);
  expect(lane.pump.status()).toMatchObject({ breaker: "closed", problem: null });
  expect(world.differences()).toEqual([]);
});
