// Goal: a grid is made once, whoever is interrupted, whoever else makes it at the same time, and
// whatever the store does not say; and what does not fit is refused before anything is written.
// Method: a memory store under a layer that loses calls, loses answers, dies at a given call, or
// holds calls back so that the test (a seed) decides the order of two creators.
import { describe, expect, test } from "vitest";
import { failed, ok, unwrap, type Outcome } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import { openGrid, type GridIdentity } from "../../src/grid/grid-directory.ts";
import {
  directoryMapName,
  generationMapName,
  gridIdKey,
  headKey,
  pointerKey,
  recordKey,
} from "../../src/grid/grid-keys.ts";
import { decodeHead, decodeRecord } from "../../src/grid/log-record.ts";
import type { Store } from "../../src/grid/store.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { LayeredStore, type Layer } from "./layered-store.ts";
import { InstantTime } from "./manual-timers.ts";

const ms = 1000;
const partitions = 3;

interface OpenOptions {
  readonly seed?: number;
  readonly partitions?: number | null;
  readonly mayCreate?: () => Promise<Outcome<null>>;
}

function open(store: Store, options: OpenOptions = {}): Promise<Outcome<GridIdentity>> {
  const time = new InstantTime();
  return openGrid({
    store,
    timers: time,
    clock: time,
    random: seededRandom(options.seed ?? 1),
    partitions: options.partitions ?? null,
    partitionsDefault: partitions,
    mayCreate: options.mayCreate ?? (() => Promise.resolve(ok(null))),
  });
}

/** The bytes of a key, as they lie in the store. */
async function stored(store: Store, map: string, key: Buffer): Promise<Buffer | null> {
  return unwrap(await store.map(map).get(key, ms));
}

/** Checks that a whole grid lies in the store, the one that was opened. */
async function expectWhole(store: Store, identity: GridIdentity): Promise<void> {
  const map = generationMapName(identity.generation);
  for (let partition = 0; partition < identity.partitions; partition++) {
    const head = await stored(store, map, headKey(partition));
    expect(head === null ? null : decodeHead(head)).toBe(0);
    const genesis = await stored(store, map, recordKey(partition, 0));
    const body = genesis === null ? null : decodeRecord(genesis)?.body;
    expect(body).toEqual({ type: "genesis", genesis: { ...identity, partition } });
  }
  expect(await open(store, { seed: 99, mayCreate: mustNotCreate })).toEqual(ok(identity));
}

/** Checks what must hold at every moment of a creation: head before genesis, all before open. */
async function expectOrder(store: Store): Promise<void> {
  const pointer = await stored(store, directoryMapName, pointerKey);
  const isOpen = pointer !== null && pointer.includes("open");
  for (let partition = 0; partition < partitions; partition++) {
    const head = await stored(store, generationMapName(1), headKey(partition));
    const genesis = await stored(store, generationMapName(1), recordKey(partition, 0));
    if (genesis !== null) expect(head).not.toBeNull();
    if (isOpen) expect(genesis).not.toBeNull();
  }
}

function mustNotCreate(): Promise<Outcome<null>> {
  throw new Error("asked whether a grid may be made where there is one");
}

describe("G1: a grid is made only where there is none", () => {
  test("an empty store gets a grid of the wanted or the usual size", async () => {
    for (const wanted of [null, 7]) {
      const store = new MemoryStore();
      const identity = unwrap(await open(store, { partitions: wanted }));
      expect(identity).toMatchObject({ generation: 1, partitions: wanted ?? partitions });
      await expectWhole(store, identity);
    }
  });

  test("what is not allowed is not made, and nothing is written", async () => {
    const store = new MemoryStore();
    const writes: string[] = [];
    const watched = new LayeredStore(store, (call, forward) => {
      if (call.op !== "get" && call.op !== "getMany") writes.push(call.op);
      return forward();
    });
    const refusal = failed("GRID_LOST", "the database knows of an earlier grid");
    expect(await open(watched, { mayCreate: () => Promise.resolve(refusal) })).toEqual(refusal);
    expect(writes).toEqual([]);
  });

  test("GRID_PARTITIONS: another number of partitions is refused, and said", async () => {
    const store = new MemoryStore();
    unwrap(await open(store, { partitions: 4 }));
    const refused = await open(store, { partitions: 8, mayCreate: mustNotCreate });
    expect(refused).toMatchObject({ ok: false, failure: { code: "GRID_PARTITIONS" } });
    const same = await open(store, { partitions: 4, mayCreate: mustNotCreate });
    expect(same).toMatchObject({ ok: true, value: { partitions: 4 } });
  });

  test.each([
    ["grid id", gridIdKey],
    ["generation pointer", pointerKey],
  ])("GRID_FORMAT: a %s of a newer version is refused, not repaired", async (_name, key) => {
    const store = new MemoryStore();
    unwrap(await open(store));
    const newer = Buffer.from([2, 0xc0]);
    unwrap(await store.map(directoryMapName).put(key, newer, ms));
    const refused = await open(store, { mayCreate: mustNotCreate });
    expect(refused).toMatchObject({ ok: false, failure: { code: "GRID_FORMAT" } });
    expect(await stored(store, directoryMapName, key)).toEqual(newer);
  });

  test("STORE_UNREACHABLE: a store that never answers is given up, saying so", async () => {
    const store = new LayeredStore(new MemoryStore(), () =>
      Promise.resolve(failed("STORE_TIMEOUT", "no answer")),
    );
    const refused = await open(store, { mayCreate: mustNotCreate });
    expect(refused).toMatchObject({ ok: false, failure: { code: "STORE_UNREACHABLE" } });
  });
});

describe("G2: an interrupted creation is finished, never mistaken for a loss", () => {
  /** Creates over a layer, and gives the outcome, or null where the creator died before it. */
  async function createOver(store: Store, layer: Layer, died: Promise<null>) {
    return Promise.race([open(new LayeredStore(store, layer)), died]);
  }

  test.each(["before", "after"] as const)("dead %s any of its calls took effect", async (when) => {
    let deaths = 0;
    for (let deadline = 1; ; deadline++) {
      const store = new MemoryStore();
      const died = Promise.withResolvers<null>();
      let calls = 0;
      const layer: Layer = async (_call, forward) => {
        if (++calls < deadline) return forward();
        if (calls === deadline && when === "after") await forward();
        died.resolve(null);
        return new Promise(() => undefined); // the dead ask no more, and hear nothing
      };
      const first = await createOver(store, layer, died.promise);
      if (first !== null) break; // it ended before that call: every call has been tried
      deaths++;
      await expectOrder(store);
      const idBefore = await stored(store, directoryMapName, gridIdKey);
      const identity = unwrap(await open(store, { seed: 2 }));
      if (idBefore !== null) {
        expect(await stored(store, directoryMapName, gridIdKey)).toEqual(idBefore);
      }
      await expectWhole(store, identity);
    }
    expect(deaths).toBeGreaterThan(2 * partitions + 4);
  });

  test.each(["call", "answer"] as const)("a lost %s at any place changes nothing", async (lost) => {
    for (let at = 1; ; at++) {
      const store = new MemoryStore();
      let calls = 0;
      const identity = unwrap(
        await open(
          new LayeredStore(store, async (_call, forward) => {
            if (++calls !== at) return forward();
            if (lost === "answer") await forward();
            return failed("STORE_TIMEOUT", "lost");
          }),
        ),
      );
      await expectWhole(store, identity);
      if (calls < at) break;
    }
  });

  test("a store that says unknown half of the time does not stop it", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seededRandom(seed);
      const store = new MemoryStore();
      const identity = unwrap(
        await open(
          new LayeredStore(store, async (_call, forward) => {
            const outcome = random.chance(0.75) ? await forward() : null;
            return random.chance(0.5) && outcome !== null ? outcome : failed("STORE_TIMEOUT", "?");
          }),
        ),
      );
      await expectWhole(store, identity);
    }
  });

  test("two creators at once make one grid, in whatever order their calls arrive", async () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(seed);
      const store = new MemoryStore();
      const waiting: (() => void)[] = [];
      const layer: Layer = async (_call, forward) => {
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
        return forward();
      };
      const creators = [1, 2].map((one) =>
        open(new LayeredStore(store, layer), { seed: seed * 2 + one }),
      );
      const creation = { over: false };
      const all = Promise.all(creators).finally(() => {
        creation.over = true;
      });
      while (!creation.over) {
        if (waiting.length > 0) waiting.splice(random.below(waiting.length), 1)[0]?.();
        await new Promise(setImmediate); // everything that this call set going has come to rest
      }
      const [first, second] = (await all).map(unwrap);
      expect(second).toEqual(first);
      if (first !== undefined) await expectWhole(store, first);
    }
  });

  test("GRID_LOST: a generation that is being rebuilt is not finished as if it were new", async () => {
    const store = new MemoryStore();
    const identity = unwrap(await open(store));
    const { Packr } = await import("msgpackr");
    const pointer = { generation: 2, state: "rebuilding", token: "t", base: identity.generation };
    const packed = new Packr({ useRecords: false }).pack(pointer);
    const bytes = Buffer.concat([Buffer.of(1), packed]);
    unwrap(await store.map(directoryMapName).put(pointerKey, bytes, ms));
    const refused = await open(store, { mayCreate: mustNotCreate });
    expect(refused).toMatchObject({ ok: false, failure: { code: "GRID_LOST" } });
  });
});
