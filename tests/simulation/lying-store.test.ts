// Goal: the simulated store lies as a data grid does, and only within its failure bound.
// Method: seeds of random calls under heavy lies while primaries die and members join; whatever
// was answered definitely must be on every live copy then.
import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { honest, LyingStore, type Lies } from "../../src/simulation/lying-store.ts";
import { ReplicaStore, storedKey } from "../../src/simulation/replica-store.ts";
import { TraceHash } from "../../src/simulation/trace-hash.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";

const lies: Lies = {
  lostRequest: 0.1,
  lostAnswer: 0.2,
  missedBackup: 0.3,
  duplicate: 0.2,
  duplicateMsMax: 50,
  lateRequest: 0.1,
  quickError: 0.8,
  delayMsMax: 3,
};

test("a definite change is on every live copy, whatever else is true", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const random = seededRandom(seed);
      const time = new VirtualTime();
      const process = new VirtualProcess(time);
      const trace = new TraceHash();
      const store = new LyingStore({ time, random: random.fork("s"), trace, copies: 3, lies });
      const map = store.connect(process).map("m");
      let unknown = 0;
      const missing: number[] = [];
      for (let index = 0; index < 60; index++) {
        // One writer per key, once: what is there can only be its value.
        const key = Buffer.of(0, 0, index);
        const value = Buffer.of(index);
        time.after(random.fraction() * 40, () => {
          void map.putIfAbsent(key, value, 20).then((outcome) => {
            if (!outcome.ok) unknown++;
            if (!outcome.ok || outcome.value !== null) return;
            const isMissing = store.copies.replicas.some(
              (replica) => replica.get(storedKey("m", key))?.equals(value) !== true,
            );
            if (isMissing) missing.push(index);
          });
        });
      }
      for (let fault = 0; fault < 6; fault++) {
        time.after(random.fraction() * 40, () => {
          if (store.copies.replicas.length > 1) store.copies.losePrimary();
          else store.copies.joinBackup();
        });
      }
      await time.run({ untilMs: Infinity, eventsMax: 10_000 });
      expect(missing).toEqual([]);
      expect(unknown).toBeGreaterThan(0);
    }),
    { numRuns: 50 },
  );
});

test("a value that is found proves no backup: it dies with its primary", () => {
  const copies = new ReplicaStore(2);
  const key = Buffer.of(1);
  const put = { op: "putIfAbsent", key, value: Buffer.of(7) } as const;
  expect(copies.execute("m", put, () => false)).toEqual({ value: null, onAllCopies: false });
  expect(copies.execute("m", put, () => true)).toEqual({ value: put.value, onAllCopies: true });
  copies.losePrimary();
  expect(copies.execute("m", { op: "get", key }, () => true).value).toBeNull();
});

test("a confirmed value does not", () => {
  const copies = new ReplicaStore(2);
  const [key, value] = [Buffer.of(1), Buffer.of(7)];
  copies.execute("m", { op: "putIfAbsent", key, value }, () => false);
  const confirm = { op: "replaceIfSame", key, expected: value, value } as const;
  expect(copies.execute("m", confirm, () => true)).toEqual({ value: true, onAllCopies: true });
  copies.losePrimary();
  expect(copies.execute("m", { op: "get", key }, () => true).value).toEqual(value);
});

test("full, cut off or too slow: unknown, and the caller waits no longer than it said", async () => {
  const time = new VirtualTime();
  const process = new VirtualProcess(time);
  const trace = new TraceHash();
  const random = seededRandom(1);
  const store = new LyingStore({ time, random, trace, copies: 2, lies: honest });
  const map = store.connect(process).map("m");
  const [key, value] = [Buffer.of(0, 7, 1), Buffer.of(1)];
  const calls = {
    put: () => map.put(key, value, 50),
    putIfAbsent: () => map.putIfAbsent(key, value, 50),
    replaceIfSame: () => map.replaceIfSame(key, value, value, 50),
    delete: () => map.delete(key, 50),
    get: () => map.get(key, 50),
  };
  const outcomes = async () => {
    const told = new Map<string, boolean>();
    for (const [name, call] of Object.entries(calls)) {
      void call().then(({ ok }) => told.set(name, ok));
    }
    await time.run({ untilMs: time.nowMs + 51, eventsMax: 1000 });
    return told;
  };
  const reads = new Map(Object.keys(calls).map((name) => [name, name === "get"]));
  const nothing = new Map(Object.keys(calls).map((name) => [name, false]));
  store.isFull = true;
  expect(await outcomes()).toEqual(reads);
  store.isFull = false;
  store.reach(process, false);
  expect(await outcomes()).toEqual(nothing);
  store.reach(process, true);
  expect(store.copies.replicas[0]?.size).toBe(0);
  store.lies = { ...honest, delayMsMax: 100_000 };
  expect(await outcomes()).toEqual(nothing);
  await time.run({ untilMs: 200_000, eventsMax: 1000 });
  store.lies = honest;
  const executed: string[] = [];
  store.onExecuted = (_, { op }) => executed.push(op);
  expect(await outcomes()).toEqual(new Map(Object.keys(calls).map((name) => [name, true])));
  expect(executed.sort()).toEqual(Object.keys(calls).sort());
});
