// Goal: once members have changed, a log acknowledges nothing before it was seen to be whole; where
// it is not, it stops and says what is missing; where it is, nobody notices.
// Method: real logs on a memory store that holds calls back or loses them, and from which records
// are taken away. What a check reads, and in which order, is in log-machine.test.ts; schedules
// are explored in tests/simulation.
import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { failure, unwrap } from "../../src/base/failure.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { HeldMap } from "../support/held-map.ts";
import { ManualTimers } from "./manual-timers.ts";
import {
  journaledNames,
  newGrid,
  newOwner,
  Owner,
  partition,
  unknown,
} from "./partition-log-owner.ts";

const ms = 1000;
const reason = failure("SHUTTING_DOWN", "closed");

/** Delays that wait to be fired, and a clock that stands. */
class HeldTime extends ManualTimers implements Clock {
  wallMs(): number {
    return 0;
  }

  monotonicMs(): number {
    return 0;
  }
}

/** A map that notes each call, and answers those unknown that it is told to. */
class NotedMap extends HeldMap {
  readonly calls: string[] = [];
  unknownPuts = 0;

  override getMany(keys: readonly Buffer[], deadlineMs: number) {
    this.calls.push("getMany");
    return super.getMany(keys, deadlineMs);
  }

  override putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number) {
    this.calls.push("putIfAbsent");
    if (this.unknownPuts-- > 0) return Promise.resolve(unknown);
    return super.putIfAbsent(key, value, deadlineMs);
  }

  override replaceIfSame(key: Buffer, expected: Buffer, value: Buffer, deadlineMs: number) {
    this.calls.push("replaceIfSame");
    return super.replaceIfSame(key, expected, value, deadlineMs);
  }
}

/** An owner that serves and has journaled "a"; its calls are noted from here on. */
async function serving() {
  const { map, identity } = await newGrid();
  const noted = new NotedMap(map);
  const owner = await newOwner(noted, identity, "owner");
  owner.append("a");
  await owner.settled(1);
  noted.calls.length = 0;
  return { map, identity, noted, owner };
}

async function lose(map: ByteMap, position: number): Promise<void> {
  unwrap(await map.delete(recordKey(partition, position), ms));
}

/** Lets everything happen that waits for nobody. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

const oneCheck = ["getMany", "replaceIfSame", "replaceIfSame", "getMany"];

describe("L11: a check of the log", () => {
  test("begins at once while nothing is in flight, and the next batch waits for it", async () => {
    const { noted, owner, map, identity } = await serving();
    noted.hold("getMany");
    owner.log.check();
    owner.append("b");
    await rest();
    owner.append("c");
    expect(noted.calls).toEqual(["getMany"]);
    expect(owner.log.unsettled).toBe(2);
    noted.release("getMany");
    await owner.settled(3);
    expect(noted.calls).toEqual([...oneCheck, "putIfAbsent"]);
    expect(owner.batches).toEqual([["a"], ["b", "c"]]);
    expect(await journaledNames(map, identity)).toEqual(["a", "b", "c"]);
  });

  test("told several times at once, it is made twice at most", async () => {
    const { noted, owner } = await serving();
    for (let time = 0; time < 10; time++) owner.log.check();
    await rest();
    expect(noted.calls).toEqual([...oneCheck, ...oneCheck]);
    expect(owner.stops).toBe(0);
  });

  test("while an append is in flight it comes before that one is acknowledged", async () => {
    const { noted, owner } = await serving();
    noted.hold("putIfAbsent");
    noted.hold("getMany");
    owner.append("b");
    await noted.waiting("putIfAbsent");
    owner.append("c");
    owner.log.check();
    noted.release("putIfAbsent");
    await noted.waiting("getMany");
    expect(owner.batches).toEqual([["a"]]);
    noted.release("getMany");
    await owner.settled(3);
    expect(owner.batches).toEqual([["a"], ["b"], ["c"]]);
    expect(noted.calls).toEqual(["putIfAbsent", ...oneCheck, "putIfAbsent"]);
  });

  test("an append that went over the hole is not acknowledged: it is unknown", async () => {
    const { map, noted, owner } = await serving();
    await lose(map, 2);
    noted.hold("putIfAbsent");
    owner.append("b");
    await noted.waiting("putIfAbsent");
    owner.append("c");
    owner.log.check();
    noted.release("putIfAbsent");
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ inFlight: ["b"], fate: "unknown", waiting: ["c"] });
    expect(stop.reason).toMatchObject({
      code: "GRID_LOST",
      message:
        "partition 1: the grid lost data: record 2 is missing; record 2 was the last acknowledged",
    });
  });

  async function waitingToRepeat() {
    const { map, identity } = await newGrid();
    const noted = new NotedMap(map);
    const time = new HeldTime();
    const owner = new Owner(noted, identity, "owner", time);
    owner.log.open();
    await owner.serving.promise;
    noted.calls.length = 0;
    noted.unknownPuts = 1;
    owner.append("a");
    while (time.waiting === 0) await new Promise(setImmediate);
    expect(noted.calls).toEqual(["putIfAbsent"]);
    return { map, identity, noted, time, owner };
  }

  test("an append that waits to be repeated waits for it, and then goes on at once", async () => {
    const { map, identity, noted, time, owner } = await waitingToRepeat();
    owner.log.check();
    await owner.settled(1);
    expect(time.waiting).toBe(0);
    const claimOnly = oneCheck.slice(0, 3); // nothing lies between the claim and the last record
    expect(noted.calls).toEqual(["putIfAbsent", ...claimOnly, "putIfAbsent"]);
    expect(await journaledNames(map, identity)).toEqual(["a"]);
  });

  test("and is repeated nowhere where the log is gone", async () => {
    const { map, noted, owner } = await waitingToRepeat();
    for (const position of [0, 1]) await lose(map, position);
    owner.log.check();
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ inFlight: ["a"], fate: "unknown" });
    expect(stop.reason.message).toBe(
      "partition 1: the grid lost data: its genesis record is missing, the grid was emptied; " +
        "record 1 was the last acknowledged",
    );
    expect(noted.calls).toEqual(["putIfAbsent", "getMany"]);
    expect(unwrap(await map.get(recordKey(partition, 2), ms))).toBeNull();
  });

  test("what is left of it is read in slices, and one batch leaves between two", async () => {
    const { map, identity, noted, owner } = await serving();
    for (let count = 2; count <= 30; count++) {
      owner.append(`n${count}`);
      await owner.settled(count);
    }
    noted.calls.length = 0;
    owner.log.check();
    for (let turn = 0; turn < 3; turn++) owner.append(`m${turn}`);
    await owner.settled(33);
    await rest();
    // The check with 4 records, then 8, then 16, then the one that is left.
    expect(noted.calls).toEqual([...oneCheck, "putIfAbsent", "getMany", "getMany", "getMany"]);
    expect(await journaledNames(map, identity)).toHaveLength(33);
  });

  test("a hole far below is found while appends go on", async () => {
    const { map, owner } = await serving();
    for (let count = 2; count <= 30; count++) {
      owner.append(`n${count}`);
      await owner.settled(count);
    }
    await lose(map, 2);
    owner.log.check();
    owner.append("b");
    const stop = await owner.ended.promise;
    expect(stop.reason.message).toContain("record 2 is missing; record 32 was the last");
    expect(owner.batches.at(-1)).toEqual(["b"]);
  });

  test("before serving, and after stopping, it does no harm", async () => {
    const { map, identity } = await newGrid();
    const owner = new Owner(map, identity, "owner");
    owner.log.check();
    owner.log.open();
    owner.log.check();
    await owner.serving.promise;
    owner.append("a");
    await owner.settled(1);
    owner.log.close(reason);
    owner.log.check();
    expect(await owner.ended.promise).toMatchObject({ reason, fate: "none" });
    expect(owner.stops).toBe(1);
  });

  test("a log that closes during one says what became of what it interrupted", async () => {
    const { noted, owner } = await serving();
    noted.hold("getMany");
    owner.append("b");
    owner.log.check();
    owner.log.close(reason);
    expect(await owner.ended.promise).toMatchObject({ waiting: ["b"], fate: "none" });
    const other = await serving();
    other.noted.hold("putIfAbsent");
    other.noted.hold("getMany");
    other.owner.append("b");
    await other.noted.waiting("putIfAbsent");
    other.owner.log.check();
    other.noted.release("putIfAbsent");
    await other.noted.waiting("getMany");
    other.owner.log.close(reason);
    expect(await other.owner.ended.promise).toMatchObject({ inFlight: ["b"], fate: "unknown" });
  });
});
