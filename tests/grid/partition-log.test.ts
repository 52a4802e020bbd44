// Goal: what is given to a log is journaled in order, one append at a time, and each entry is
// settled once, with the truth, whatever the store says and whoever takes over.
// Method: real logs on a memory store, under a layer that loses calls and answers by a seed; time
// that passes by waiting only. The protocol itself is explored in tests/simulation.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { failure, unwrap } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { TimerHandle } from "../../src/base/timers.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { generationMapName, recordKey } from "../../src/grid/grid-keys.ts";
import { checksum } from "../../src/grid/log-record.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";
import { HeldMap } from "../support/held-map.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import { LayeredStore, type Layer } from "./layered-store.ts";
import { InstantTime } from "./manual-timers.ts";
import {
  entry,
  journaledNames,
  namesIn,
  newGrid,
  newOwner,
  Owner,
  partition,
  unknown,
} from "./partition-log-owner.ts";

const ms = 1000;

/** Loses each call or its answer with this probability. */
function lossy(random: Random, probability: number): Layer {
  return async (_call, forward) => {
    if (!random.chance(probability)) return forward();
    if (random.chance(0.5)) await forward();
    return unknown;
  };
}

function layered(store: Store, identity: GridIdentity, layer: Layer): ByteMap {
  return new LayeredStore(store, layer).map(generationMapName(identity.generation));
}

describe("L2: an unknown outcome is repeated with the identical bytes", () => {
  test("until it is definite, more slowly each time", async () => {
    const { map, identity } = await newGrid();
    const asked: Buffer[] = [];
    const delays: number[] = [];
    class ObservedTime extends InstantTime {
      override after(delayMs: number, callback: () => void): TimerHandle {
        delays.push(delayMs);
        return super.after(delayMs, callback);
      }
    }
    const refusing: ByteMap = {
      get: (key, deadlineMs) => map.get(key, deadlineMs),
      getMany: (keys, deadlineMs) => map.getMany(keys, deadlineMs),
      put: (key, value, deadlineMs) => map.put(key, value, deadlineMs),
      replaceIfSame: (key, expected, value, deadlineMs) =>
        map.replaceIfSame(key, expected, value, deadlineMs),
      delete: (key, deadlineMs) => map.delete(key, deadlineMs),
      putIfAbsent: (key, value, deadlineMs) => {
        asked.push(Buffer.concat([key, value]));
        if (asked.length % 12 !== 0) return Promise.resolve(unknown);
        return map.putIfAbsent(key, value, deadlineMs);
      },
    };
    const owner = new Owner(refusing, identity, "owner", new ObservedTime());
    owner.log.open(); // the claim is put twelve times
    const claim = await owner.serving.promise;
    expect(asked).toHaveLength(12);
    for (const bytes of asked) expect(bytes).toEqual(asked[0]);
    expect(claim.checksum).toEqual(checksum(asked[0]?.subarray(11) ?? Buffer.of()));
    const doubling = Array.from({ length: 11 }, (_, repeat) =>
      Math.min(limits.storeBackoffMsMax, limits.storeBackoffMsMin * 2 ** repeat),
    );
    expect(delays).toEqual(doubling);
    owner.append("a");
    await owner.settled(1);
    expect(asked).toHaveLength(24);
    for (const bytes of asked.slice(12)) expect(bytes).toEqual(asked[12]);
    expect(await journaledNames(map, identity)).toEqual(["a"]);
  });

  test("a store that loses half of everything loses no entry and doubles none", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const { store, map, identity } = await newGrid();
      const bad = layered(store, identity, lossy(seededRandom(seed), 0.5));
      const owner = await newOwner(bad, identity, "owner");
      const given = Array.from({ length: 20 }, (_, index) => `n${index}`);
      for (const [index, name] of given.entries()) {
        owner.append(name);
        if (index % 3 === 0) await owner.settled(index); // all but this one
      }
      await owner.settled(given.length);
      expect(owner.batches.flat()).toEqual(given);
      expect(await journaledNames(map, identity)).toEqual(given);
    }
  });
});

describe("L8: one append is in flight, and what arrives meanwhile is the next batch", () => {
  test("in order, one record for all that waited", async () => {
    const { map, identity } = await newGrid();
    const held = new HeldMap(map);
    const owner = await newOwner(held, identity, "owner");
    held.hold("putIfAbsent");
    owner.append("a", "b"); // one tick, one record
    await held.waiting("putIfAbsent");
    owner.append("c");
    await Promise.resolve();
    owner.append("d", "e");
    expect(owner.log.unsettled).toBe(5);
    held.release("putIfAbsent");
    await owner.settled(5);
    expect(owner.batches).toEqual([
      ["a", "b"],
      ["c", "d", "e"],
    ]);
    expect(owner.log.unsettled).toBe(0);
  });

  test("never two calls at once, whatever the store loses", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { store, identity } = await newGrid();
      const random = seededRandom(seed);
      const losing = lossy(random, 0.3);
      let out = 0;
      const bad = layered(store, identity, async (call, forward) => {
        expect(++out).toBe(1);
        const outcome = await losing(call, forward);
        out--;
        return outcome;
      });
      const owner = await newOwner(bad, identity, "owner");
      for (let index = 0; index < 30; index++) {
        owner.append(`n${index}`);
        for (let turn = random.below(4); turn > 0; turn--) await Promise.resolve();
      }
      await owner.settled(30);
    }
  });

  test("records form a chain of full batches: what does not fit waits for the next", async () => {
    const { map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    const half = limits.recordBytesMax / 2;
    for (const name of ["a", "b", "c"]) owner.log.append(entry(name), half);
    owner.log.append(entry("d"), half + 1);
    owner.log.append(entry("e"), limits.recordBytesMax);
    await owner.settled(5);
    expect(owner.batches).toEqual([["a", "b"], ["c"], ["d"], ["e"]]);
    const claim = await owner.serving.promise;
    let before = claim.checksum;
    for (const { record, checksum: link } of owner.durable) {
      expect(record.previous).toEqual(before);
      before = link;
    }
    expect(() => owner.log.append(entry("g"), limits.recordBytesMax + 1)).toThrow(AssertionError);
  });

  test("a record that is composed leaves ahead of what waits, and knows its position", async () => {
    const { map, identity } = await newGrid();
    const held = new HeldMap(map);
    const owner = await newOwner(held, identity, "owner");
    held.hold("putIfAbsent");
    owner.append("a");
    await held.waiting("putIfAbsent");
    owner.append("b");
    let composedAt = 0;
    let durableThen: string[] = [];
    owner.log.appendRecord((position) => {
      composedAt = position;
      durableThen = owner.batches.flat();
      return { type: "release" };
    });
    held.release("putIfAbsent");
    await owner.settled(2);
    expect(owner.batches).toEqual([["a"], [], ["b"]]);
    expect(owner.durable.map(({ record }) => record.body.type)).toEqual([
      "changes",
      "release",
      "changes",
    ]);
    expect(composedAt).toBe(owner.durable[1]?.record.position);
    expect(durableThen).toEqual(["a"]);
  });
});

describe("L9: every entry is settled once, with the truth", () => {
  interface Run {
    readonly seed: number;
    readonly loss: number;
    readonly end: "close" | "take-over";
    readonly endsAt: number;
    readonly gaps: readonly number[];
  }
  const run: fc.Arbitrary<Run> = fc.record({
    seed: fc.nat(),
    loss: fc.constantFrom(0, 0.2, 0.6),
    end: fc.constantFrom("close" as const, "take-over" as const),
    endsAt: fc.nat(20),
    gaps: fc.array(fc.nat(6), { minLength: 20, maxLength: 20 }),
  });

  /** Appends until the owner is ended; returns it and what it took. */
  async function perform(one: Run, store: Store, identity: GridIdentity) {
    const bad = layered(store, identity, lossy(seededRandom(one.seed), one.loss));
    const owner = await newOwner(bad, identity, "owner");
    const taken: string[] = [];
    let successor: Promise<Owner> | null = null;
    for (const [index, gap] of one.gaps.entries()) {
      if (index === one.endsAt) {
        if (one.end === "close") owner.log.close(failure("SHUTTING_DOWN", "closed"));
        else successor = newOwner(bad, identity, "successor");
      }
      if (owner.stops === 0) {
        owner.append(`n${index}`);
        taken.push(`n${index}`);
      }
      for (let turn = 0; turn < gap * 3; turn++) await Promise.resolve();
    }
    await successor;
    if (owner.stops === 0) await owner.settled(taken.length);
    return { owner, taken };
  }

  test("durable, in flight with its fate, or never left", async () => {
    await fc.assert(
      fc.asyncProperty(run, async (one) => {
        const { store, map, identity } = await newGrid();
        const { owner, taken } = await perform(one, store, identity);
        const durable = owner.batches.flat();
        const journaled = await journaledNames(map, identity);
        expect(owner.stops).toBeLessThanOrEqual(1);
        const stop = owner.stops === 1 ? await owner.ended.promise : null;
        const rest = stop === null ? [] : [...stop.inFlight, ...stop.waiting];
        expect([...durable, ...rest]).toEqual(taken);
        expect(journaled.slice(0, durable.length)).toEqual(durable);
        const added = journaled.slice(durable.length);
        if (stop?.fate === "unknown") expect([[], stop.inFlight]).toContainEqual(added);
        else expect(added).toEqual([]);
      }),
      { numRuns: Number(process.env["FC_RUNS"] ?? 150) },
    );
  });

  test("a log that closes while a beaten append is being judged calls it unknown", async () => {
    const { map, identity } = await newGrid();
    const held = new HeldMap(map);
    const owner = await newOwner(held, identity, "owner");
    await newOwner(map, identity, "successor"); // its claim lies where the next record goes
    held.hold("get"); // of head, which would prove "not applied"
    owner.append("a");
    await held.waiting("get");
    owner.log.close(failure("SHUTTING_DOWN", "closed"));
    expect(await owner.ended.promise).toMatchObject({ fate: "unknown", inFlight: ["a"] });
  });

  test("a log that closed takes nothing, and closes once", async () => {
    const { map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    owner.append("a");
    const reason = failure("SHUTTING_DOWN", "closed");
    owner.log.close(reason);
    owner.log.close(failure("LANE_LOST", "too late"));
    const stop = { reason, inFlight: [], fate: "none", waiting: ["a"] };
    expect(await owner.ended.promise).toEqual(stop);
    expect(owner.stops).toBe(1);
    expect(() => owner.append("b")).toThrow(AssertionError);
  });
});

describe("L10: what cannot be meant stops the partition", () => {
  const nonsense = Buffer.from([1, 0xc1]); // MessagePack never uses this byte

  test("while it is taken over", async () => {
    const { map, identity } = await newGrid();
    unwrap(await map.put(recordKey(partition, 1), nonsense, ms));
    const owner = new Owner(map, identity, "owner");
    owner.log.open();
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ reason: { code: "PARTITION_STOPPED" }, fate: "none" });
  });

  test("while an append is in flight, which is unknown then", async () => {
    const { map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    unwrap(await map.put(recordKey(partition, owner.log.state.next), nonsense, ms));
    owner.append("a");
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ reason: { code: "PARTITION_STOPPED" }, fate: "unknown" });
    expect(stop.inFlight).toEqual(["a"]);
  });
});

describe("L10: a listener that throws stops its partition, and nothing escapes", () => {
  const broken = new Error("broken");

  function throwing(at: string): (what: string) => void {
    return (what) => {
      if (what === at) throw broken;
    };
  }

  test.each(["reset", "loaded", "serving"])("in %s: it never served", async (what) => {
    const { map, identity } = await newGrid();
    await newOwner(map, identity, "before"); // there is something to load
    const owner = new Owner(map, identity, "owner", new InstantTime(), throwing(what));
    owner.log.open();
    expect(await owner.ended.promise).toMatchObject({
      reason: { code: "PARTITION_STOPPED", message: expect.stringContaining("broken") as string },
      fate: "none",
    });
  });

  test("in durable: what was journaled was told, what left meanwhile is unknown", async () => {
    const { map, identity } = await newGrid();
    const held = new HeldMap(map);
    const owner = new Owner(held, identity, "owner", new InstantTime(), throwing("durable"));
    owner.log.open();
    await owner.serving.promise;
    held.hold("putIfAbsent");
    owner.append("a");
    await held.waiting("putIfAbsent");
    owner.append("b");
    held.release("putIfAbsent");
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ reason: { code: "PARTITION_STOPPED" }, inFlight: ["b"] });
    expect(stop.fate).toBe("unknown");
    expect(owner.stops).toBe(1);
  });

  test("in what composes a record", async () => {
    const { map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    owner.append("a");
    owner.log.appendRecord(() => {
      throw broken;
    });
    const stop = await owner.ended.promise;
    expect(stop).toMatchObject({ reason: { code: "PARTITION_STOPPED" }, waiting: ["a"] });
  });
});

describe("loading", () => {
  test("large records come in slices of a bounded size, small ones by the hundred", async () => {
    const { store, identity } = await newMemoryGrid(2);
    const writer = await newOwner(store.map(generationMapName(1)), identity, "writer");
    const large = 40;
    for (let count = 1; count <= large; count++) {
      writer.log.append(entry("x".repeat(limits.logReadBytes)), limits.recordBytesMax);
      await writer.settled(count);
    }
    for (let count = 1; count <= 600; count++) {
      writer.append("small");
      await writer.settled(large + count);
    }
    const slices: number[][] = [];
    const layered = new LayeredStore(store, async ({ op }, forward) => {
      const outcome = await forward();
      if (op === "getMany" && outcome.ok) {
        const values = outcome.value as (Buffer | null)[];
        slices.push(values.flatMap((value) => value?.length ?? []));
      }
      return outcome;
    });
    const reader = await newOwner(layered.map(generationMapName(1)), identity, "reader");
    expect(namesIn(reader.loaded)).toEqual(namesIn(writer.durable));
    const sums = slices.map((slice) => slice.reduce((sum, bytes) => sum + bytes, 0));
    // The first slice knows no sizes yet; finding the tail probes a fixed number of records.
    expect(Math.max(...sums)).toBeLessThan(limits.logReadBytes * 17);
    expect(sums.filter((bytes) => bytes > limits.logReadBytes * 2).length).toBeLessThan(4);
    expect(Math.max(...slices.map((slice) => slice.length))).toBe(limits.logReadRecords);
  });
});

describe("records are read again as they were stored", () => {
  test("a slice of the log, with its links", async () => {
    const { map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    for (const name of ["a", "b", "c"]) {
      owner.append(name);
      await owner.settled(owner.batches.length + 1);
    }
    const read = unwrap(await owner.log.read(0, 4));
    expect(namesIn(read)).toEqual(["a", "b", "c"]);
    expect(read.slice(2)).toEqual(owner.durable);
    expect(read[2]?.record.previous).toEqual(read[1]?.checksum);
    await expect(owner.log.read(0, limits.logReadRecords)).rejects.toThrow(AssertionError);
  });

  test("what is missing is GRID_LOST, what is newer GRID_FORMAT, what is unknown stays so", async () => {
    const { store, map, identity } = await newGrid();
    const owner = await newOwner(map, identity, "owner");
    const lost = { ok: false, failure: { code: "GRID_LOST" } };
    expect(await owner.log.read(0, 2)).toMatchObject(lost);
    unwrap(await map.put(recordKey(partition, 2), Buffer.from([2]), ms));
    const newer = { ok: false, failure: { code: "GRID_FORMAT" } };
    expect(await owner.log.read(0, 2)).toMatchObject(newer);
    const silent = layered(store, identity, () => Promise.resolve(unknown));
    expect(await new Owner(silent, identity, "other").log.read(0, 1)).toEqual(unknown);
  });
});
