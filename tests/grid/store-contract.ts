// The contract of src/grid/store.ts as tests, the same for every engine. S1 to S5 are its numbers.
// Method: two handles on the same data, as two lanes have them; a model map for random calls.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";

export interface Engine {
  /** A handle on the data, another one where the engine has several; the suite closes it. */
  open(): Promise<Store>;
  /** Ends what `open` needs, after all handles were closed. */
  end(): Promise<void>;
}

const deadlineMs = 60_000;
const runs = Number(process.env["FC_RUNS"] ?? 30);

/** A key of partition 1 with any bytes behind. */
function key(...bytes: number[]): Buffer {
  return Buffer.from([0, 1, ...bytes]);
}

async function counted(map: ByteMap, at: Buffer): Promise<void> {
  for (;;) {
    const found = unwrap(await map.get(at, deadlineMs));
    if (found === null) {
      if (unwrap(await map.putIfAbsent(at, Buffer.of(1), deadlineMs)) === null) return;
    } else {
      const next = Buffer.of(found.readUInt8() + 1);
      if (unwrap(await map.replaceIfSame(at, found, next, deadlineMs))) return;
    }
  }
}

type Call =
  | { readonly op: "get" | "delete"; readonly at: number }
  | { readonly op: "put" | "putIfAbsent"; readonly at: number; readonly value: Buffer }
  | {
      readonly op: "replaceIfSame";
      readonly at: number;
      readonly expected: Buffer;
      readonly value: Buffer;
    }
  | { readonly op: "getMany"; readonly ats: readonly number[] };

const at = fc.nat(3);
const value = fc
  .oneof(fc.constantFrom("a", "b", "c"), fc.string({ maxLength: 5000, size: "max" }))
  .map((text) => Buffer.from(text));
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.record({ op: fc.constantFrom("get" as const, "delete" as const), at }),
  fc.record({ op: fc.constantFrom("put" as const, "putIfAbsent" as const), at, value }),
  fc.record({ op: fc.constant("replaceIfSame" as const), at, expected: value, value }),
  fc.record({ op: fc.constant("getMany" as const), ats: fc.array(at, { maxLength: 6 }) }),
);

function keyOf(index: number): Buffer {
  return key(2, index);
}

async function perform(map: ByteMap, one: Call): Promise<unknown> {
  switch (one.op) {
    case "get":
      return unwrap(await map.get(keyOf(one.at), deadlineMs));
    case "getMany":
      return unwrap(await map.getMany(one.ats.map(keyOf), deadlineMs));
    case "put":
      return unwrap(await map.put(keyOf(one.at), one.value, deadlineMs));
    case "putIfAbsent":
      return unwrap(await map.putIfAbsent(keyOf(one.at), one.value, deadlineMs));
    case "replaceIfSame":
      return unwrap(await map.replaceIfSame(keyOf(one.at), one.expected, one.value, deadlineMs));
    case "delete":
      return unwrap(await map.delete(keyOf(one.at), deadlineMs));
  }
}

/** What a call must answer, and what it does to the model. */
function model(values: Map<number, Buffer>, one: Call): unknown {
  switch (one.op) {
    case "get":
      return values.get(one.at) ?? null;
    case "getMany":
      return one.ats.map((index) => values.get(index) ?? null);
    case "put":
      values.set(one.at, one.value);
      return null;
    case "putIfAbsent": {
      const found = values.get(one.at) ?? null;
      if (found === null) values.set(one.at, one.value);
      return found;
    }
    case "replaceIfSame": {
      const same = values.get(one.at)?.equals(one.expected) === true;
      if (same) values.set(one.at, one.value);
      return same;
    }
    case "delete":
      values.delete(one.at);
      return null;
  }
}

/** Declares the contract's tests for an engine. */
export function storeContract(name: string, start: () => Promise<Engine>): void {
  describe(name, () => {
    let engine: Engine;
    let first: Store;
    let second: Store;
    let maps = 0;

    beforeAll(async () => {
      engine = await start();
      first = await engine.open();
      second = await engine.open();
    });
    afterAll(async () => {
      await first.close();
      await second.close();
      await engine.end();
    });

    /** A map that no other test knows, through both handles. */
    function newMap(): [ByteMap, ByteMap] {
      const map = `grid.${maps++}`;
      return [first.map(map), second.map(map)];
    }

    test("S1: every call answers and changes what a map of bytes would", async () => {
      const calls = fc.array(call, { maxLength: 40, size: "max" });
      await fc.assert(
        fc.asyncProperty(calls, fc.boolean(), async (list, alternate) => {
          const handles = newMap();
          const values = new Map<number, Buffer>();
          for (const [index, one] of list.entries()) {
            const handle = handles[alternate ? index % 2 : 0] ?? handles[0];
            expect(await perform(handle, one)).toEqual(model(values, one));
          }
        }),
        { numRuns: runs },
      );
    });

    test("S1: keys are bytes, and maps do not see one another", async () => {
      const [map] = newMap();
      const [other] = newMap();
      const keys = [
        key(),
        key(0),
        key(0, 0),
        key(0xff),
        key(0xc3, 0x28), // no UTF-8
        key(0x7f),
        Buffer.from([0, 0]),
        Buffer.from([0xff, 0xff, 1]),
        Buffer.alloc(11, 0xee),
      ];
      for (const [index, one] of keys.entries()) {
        expect(unwrap(await map.putIfAbsent(one, Buffer.of(index), deadlineMs))).toBeNull();
      }
      for (const [index, one] of keys.entries()) {
        expect(unwrap(await map.get(one, deadlineMs))).toEqual(Buffer.of(index));
        expect(unwrap(await other.get(one, deadlineMs))).toBeNull();
      }
      expect(unwrap(await map.getMany([], deadlineMs))).toEqual([]);
    });

    test("S1: of many that put if absent, one wins, and all others find its value", async () => {
      const handles = newMap();
      for (let round = 0; round < 20; round++) {
        const contenders = Array.from({ length: 16 }, (_, index) => {
          const handle = handles[index % 2] ?? handles[0];
          return handle.putIfAbsent(key(round), Buffer.of(index), deadlineMs);
        });
        const found = (await Promise.all(contenders)).map(unwrap);
        const winner = found.indexOf(null);
        expect(found.filter((one) => one === null)).toHaveLength(1);
        for (const [index, one] of found.entries()) {
          if (index !== winner) expect(one).toEqual(Buffer.of(winner));
        }
        expect(unwrap(await handles[1].get(key(round), deadlineMs))).toEqual(Buffer.of(winner));
      }
    });

    test("S1: of concurrent replacements by value none is lost", async () => {
      const handles = newMap();
      const increments = Array.from({ length: 40 }, (_, index) =>
        counted(handles[index % 2] ?? handles[0], key(7)),
      );
      await Promise.all(increments);
      expect(unwrap(await handles[0].get(key(7), deadlineMs))).toEqual(Buffer.of(40));
    });

    test("S3: a value found is confirmed by replacing it with itself", async () => {
      const [map, other] = newMap();
      unwrap(await map.put(key(1), Buffer.from("v"), deadlineMs));
      const confirm = (handle: ByteMap, bytes: string) =>
        handle.replaceIfSame(key(1), Buffer.from(bytes), Buffer.from(bytes), deadlineMs);
      expect(unwrap(await confirm(other, "v"))).toBe(true);
      expect(unwrap(await confirm(other, "w"))).toBe(false);
      const both = await Promise.all([confirm(map, "v"), confirm(other, "v")]);
      expect(both.map(unwrap)).toEqual([true, true]);
      unwrap(await map.delete(key(1), deadlineMs));
      expect(unwrap(await confirm(other, "v"))).toBe(false);
    });

    test("S4: values of any size come back whole, and stay what they were", async () => {
      const [map, other] = newMap();
      const sizes = [0, 1, 8, 500, 4096, 32_767, 32_768, 32_769, 100_000, 1024 * 1024];
      const written = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const [index, bytes] of written.entries()) {
        unwrap(await map.putIfAbsent(key(index), bytes, deadlineMs));
      }
      const keys = sizes.map((_, index) => key(index));
      const read = unwrap(await other.getMany(keys, deadlineMs));
      const alone = unwrap(await other.get(key(4), deadlineMs));
      for (const [index, size] of sizes.entries()) {
        unwrap(await map.put(key(index), Buffer.alloc(size, 0xee), deadlineMs));
        unwrap(await other.get(key(index), deadlineMs));
        unwrap(await map.delete(key(index), deadlineMs));
      }
      for (const [index, size] of sizes.entries()) {
        expect(Buffer.compare(read[index] ?? Buffer.of(), Buffer.alloc(size, index + 1))).toBe(0);
        expect(Buffer.compare(written[index] ?? Buffer.of(), Buffer.alloc(size, index + 1))).toBe(
          0,
        );
      }
      expect(alone).toEqual(Buffer.alloc(500 + 3596, 5));
    });

    test("S5: a read shows what another handle wrote before it began", async () => {
      const [map, other] = newMap();
      for (let round = 0; round < 50; round++) {
        unwrap(await other.get(key(1), deadlineMs)); // a snapshot that is soon too old
        unwrap(await map.put(key(1), Buffer.of(round), deadlineMs));
        expect(unwrap(await other.get(key(1), deadlineMs))).toEqual(Buffer.of(round));
        expect(unwrap(await other.getMany([key(1)], deadlineMs))).toEqual([Buffer.of(round)]);
      }
    });

    test("S2: closing settles what is under way, and later calls are unknown", async () => {
      const own = await start();
      const closing = await own.open();
      const map = closing.map("grid.closing");
      const underWay = Array.from({ length: 10 }, (_, index) =>
        map.putIfAbsent(key(index), Buffer.of(index), deadlineMs),
      );
      await closing.close();
      for (const outcome of await Promise.all(underWay)) {
        if (!outcome.ok) expect(outcome.failure.kind).toBe("unknown");
      }
      const later = await Promise.all([
        map.get(key(1), deadlineMs),
        map.getMany([key(1)], deadlineMs),
        map.put(key(1), Buffer.of(1), deadlineMs),
        map.putIfAbsent(key(1), Buffer.of(1), deadlineMs),
        map.replaceIfSame(key(1), Buffer.of(1), Buffer.of(2), deadlineMs),
        map.delete(key(1), deadlineMs),
        closing.map("grid.another").get(key(1), deadlineMs),
      ]);
      for (const outcome of later) {
        expect(outcome).toMatchObject({ ok: false, failure: { kind: "unknown" } });
      }
      await closing.close(); // twice does no harm
      await own.end();
    });
  });
}
