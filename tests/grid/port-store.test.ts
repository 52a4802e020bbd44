// Goal: a store behind a port keeps the contract of src/grid/store.ts, and whatever becomes of
// the other thread, every call is answered. Method: the contract suite against another thread;
// a store that answers when the test says so; threads that die; counted messages.
import { once } from "node:events";
import { join } from "node:path";
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import fc from "fast-check";
import { expect, test } from "vitest";
import { failed, ok, unwrap, type Outcome } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { decodeItems, encodeItems, type PortItem } from "../../src/grid/stores/port-frames.ts";
import { PortStore, serveStore } from "../../src/grid/stores/port-store.ts";
import { ManualTimers } from "./manual-timers.ts";
import { storeContract } from "./store-contract.ts";

const deadlineMs = 10_000;

function storeThread(): Worker {
  return new Worker(join(import.meta.dirname, "port-store-worker.ts"), { execArgv: [] });
}

/** A handle on the store of a thread. */
function handle(thread: Worker): PortStore {
  const { port1, port2 } = new MessageChannel();
  thread.postMessage(port2, [port2]);
  return new PortStore(port1, systemTimers);
}

storeContract("port store", () => {
  const thread = storeThread();
  return Promise.resolve({
    open: () => Promise.resolve(handle(thread)),
    end: async () => {
      await thread.terminate();
    },
  });
});

/** Both ends in this thread: the store that is served, and a handle on it. */
function pair(store: Store, timers = systemTimers): { near: PortStore; ports: MessagePort[] } {
  const { port1, port2 } = new MessageChannel();
  serveStore(store, port2, systemTimers);
  return { near: new PortStore(port1, timers), ports: [port1, port2] };
}

/** A store whose gets answer what the test resolves them with. */
class AnsweringStore implements Store {
  readonly asked: ((outcome: Outcome<Buffer | null>) => void)[] = [];
  readonly #store = new MemoryStore();
  #onAsked: () => void = () => undefined;

  map(name: string): ByteMap {
    const map = this.#store.map(name);
    return {
      get: () =>
        new Promise((resolve) => {
          this.asked.push(resolve);
          this.#onAsked();
        }),
      getMany: (keys, ms) => map.getMany(keys, ms),
      put: (key, value, ms) => map.put(key, value, ms),
      putIfAbsent: (key, value, ms) => map.putIfAbsent(key, value, ms),
      replaceIfSame: (key, expected, value, ms) => map.replaceIfSame(key, expected, value, ms),
      delete: (key, ms) => map.delete(key, ms),
    };
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Resolves once `count` gets have been asked in all. */
  whenAsked(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onAsked = () => {
        if (this.asked.length >= count) resolve();
      };
      this.#onAsked();
    });
  }
}

test("S2: when the store's thread dies, calls under way and later ones are unknown", async () => {
  const thread = storeThread();
  const store = handle(thread);
  const map = store.map("m");
  expect(unwrap(await map.putIfAbsent(Buffer.of(0, 1), Buffer.of(1), deadlineMs))).toBeNull();
  const gone = once(thread, "exit");
  thread.postMessage("die");
  const underWay = Array.from({ length: 20 }, () => map.get(Buffer.of(0, 1), deadlineMs));
  await gone;
  for (const outcome of await Promise.all(underWay)) {
    if (!outcome.ok) expect(outcome.failure.code).toBe("STORE_UNAVAILABLE");
  }
  const later = await map.get(Buffer.of(0, 1), deadlineMs);
  expect(later).toMatchObject({ ok: false, failure: { kind: "unknown" } });
  await store.close();
});

test("S2: when a lane closes its handle, what is pending is unknown, and the store lives on", async () => {
  const answering = new AnsweringStore();
  const { near } = pair(answering);
  const pending = near.map("m").get(Buffer.of(0, 1), deadlineMs);
  await answering.whenAsked(1);
  await near.close();
  expect(await pending).toMatchObject({ ok: false, failure: { code: "STORE_UNAVAILABLE" } });
  answering.asked[0]?.(ok(null)); // its answer finds nobody, and harms nobody
  const other = pair(answering).near;
  const found = await other.map("m").putIfAbsent(Buffer.of(0, 1), Buffer.of(1), deadlineMs);
  expect(unwrap(found)).toBeNull();
  await other.close();
});

test("S2: a call without an answer is unknown at its deadline, and a late answer is dropped", async () => {
  const timers = new ManualTimers();
  const answering = new AnsweringStore();
  const { near } = pair(answering, timers);
  const map = near.map("m");
  const late = map.get(Buffer.of(0, 1), deadlineMs);
  await answering.whenAsked(1);
  timers.fireAll();
  expect(await late).toMatchObject({ ok: false, failure: { code: "STORE_TIMEOUT" } });
  const next = map.get(Buffer.of(0, 2), deadlineMs);
  await answering.whenAsked(2);
  answering.asked[0]?.(ok(Buffer.from("late")));
  answering.asked[1]?.(ok(Buffer.from("in time")));
  expect(unwrap(await next)).toEqual(Buffer.from("in time"));
  expect(timers.waiting).toBe(0);
  await near.close();
});

test("S2: a failure of the store arrives as it is", async () => {
  const answering = new AnsweringStore();
  const { near } = pair(answering);
  const pending = near.map("m").get(Buffer.of(0, 1), deadlineMs);
  await answering.whenAsked(1);
  const failure = failed("STORE_TIMEOUT", "the disk is slow: schön langsam");
  answering.asked[0]?.(failure);
  expect(await pending).toEqual(failure);
  await near.close();
});

test("calls of one tick are one message, and so are their answers; no pool is dragged along", async () => {
  const { near, ports } = pair(new MemoryStore());
  const sizes: number[] = [];
  for (const port of ports)
    port.on("message", (block: Uint8Array) => sizes.push(block.buffer.byteLength));
  const map = near.map("m");
  const puts = Array.from({ length: 100 }, (_, n) =>
    map.putIfAbsent(Buffer.from([0, 1, n]), Buffer.from("value"), deadlineMs),
  );
  await Promise.all(puts);
  expect(sizes).toHaveLength(2);
  expect(Math.max(...sizes)).toBeLessThan(100 * 50);
  await near.close();
});

test("a block of items decodes to what was encoded", () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  const item: fc.Arbitrary<PortItem> = fc.record({
    id: fc.maxSafeNat(),
    tag: fc.nat(255),
    number: fc.nat(0xffff_ffff),
    parts: fc.array(fc.option(bytes), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(item, { maxLength: 20 }), (items) => {
      const block = encodeItems(items);
      expect(block.byteLength).toBe(block.buffer.byteLength);
      expect(decodeItems(block)).toEqual(items);
    }),
  );
});
