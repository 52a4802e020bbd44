// Goal: a partition's log is bounded by its state, and whoever loads it finds exactly that state,
// whoever made the checkpoints and however they ended. Method: real logs, memories and checkpoints
// over a memory store whose keys are looked at; calls are held where an order matters.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { segmentKey } from "../../src/grid/grid-keys.ts";
import { encodeSegment } from "../../src/grid/log-record.ts";
import { HeldMap } from "../support/held-map.ts";
import {
  newCheckpointGrid,
  newCheckpointOwner,
  partition,
  smallSizes,
  until,
  type CheckpointOwner,
} from "./checkpoint-owner.ts";

const numRuns = Number(process.env["FC_RUNS"] ?? 30);

/** So many changes of so many keys, each in a batch of its own or with a few others. */
async function work(owner: CheckpointOwner, changes: number, keys: number): Promise<void> {
  for (let number = 0; number < changes; number++) {
    const isDelete = number % 7 === 6;
    owner.put(
      `k${String(number % keys)}`,
      isDelete ? null : { number, text: "x".repeat(number % 40) },
    );
    if (number % 3 === 0) await new Promise(setImmediate);
  }
  await owner.rest();
}

function checkpoints(owner: CheckpointOwner): number[] {
  return owner.durable.flatMap(({ body, position }) =>
    body.type === "checkpoint" ? [position] : [],
  );
}

describe("K1: a checkpoint is the fold of the log up to and with its record", () => {
  test("a successor loads what the owner had, from a log that was trimmed", async () => {
    const { map, identity } = await newCheckpointGrid();
    const owner = await newCheckpointOwner({ map, identity, token: "a" });
    await work(owner, 300, 20);
    const [first, ...more] = checkpoints(owner);
    expect(more.length).toBeGreaterThan(3);
    const successor = await newCheckpointOwner({ map, identity, token: "b" });
    expect(successor.contents).toEqual(owner.contents);
    // Its claim stays; between that and the newest checkpoint is nothing more.
    expect(map.records.slice(0, 2)).toEqual([1, checkpoints(owner).at(-1)]);
    expect(first).toBeGreaterThan(1);
    expect(map.segments).toBe(owner.checkpointer.state?.base?.segments.length);
  });

  test("the record carries the batch that waits: what memory has, the log has with it", async () => {
    const { map, identity } = await newCheckpointGrid();
    const held = new HeldMap(map);
    const owner = await newCheckpointOwner({ map, logMap: held, identity, token: "a" });
    await work(owner, 5, 3);
    owner.put("before", "x".repeat(300));
    await until(() => owner.log.unsettled === 0);
    held.hold("putIfAbsent");
    owner.put("flies", 1);
    await held.waiting("putIfAbsent");
    owner.checkpointer.request(() => undefined);
    await until(() => owner.checkpointer.state?.phase.name === "append");
    for (const value of [1, 2]) owner.put("waits", value);
    for (const value of [1, null]) owner.put("gone", value);
    held.release("putIfAbsent");
    await owner.rest();
    const [at = 0] = checkpoints(owner);
    const { body } = map.record(at);
    const carried = body.type === "checkpoint" ? body.entries : [];
    expect(carried.map(({ changes }) => changes[0]?.key)).toEqual([
      "waits",
      "waits",
      "gone",
      "gone",
    ]);
    expect(owner.settled).toBe(5 + 6);
    const successor = await newCheckpointOwner({ map, identity, token: "b" });
    expect(successor.contents).toEqual(owner.contents);
    expect(successor.contents).toMatchObject({ flies: 1, waits: 2 });
  });

  test("any work, owners that come and go at any moment: the state is that of the log", async () => {
    const step = fc.record({
      puts: fc.nat(12),
      keys: fc.integer({ min: 1, max: 30 }),
      pause: fc.nat(4),
      ends: fc.constantFrom("stays", "stays", "stays", "dies", "is overtaken"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { map, identity } = await newCheckpointGrid();
        const expected = new Map<string, number>();
        let owner = await newCheckpointOwner({ map, identity, token: "o" });
        let number = 0;
        for (const { puts, keys, pause, ends } of steps) {
          for (let put = 0; put < puts; put++) {
            const key = `k${String(number % keys)}`;
            expected.set(key, ++number);
            owner.put(key, number);
          }
          for (let turn = 0; turn < pause; turn++) await new Promise(setImmediate);
          if (ends === "stays") continue;
          await until(() => owner.log.unsettled === 0); // what is acknowledged must be there
          if (ends === "dies") owner.kill();
          owner = await newCheckpointOwner({ map, identity, token: "o" });
          expect(owner.contents).toEqual(Object.fromEntries([...expected].sort()));
        }
        await owner.rest();
        const last = await newCheckpointOwner({ map, identity, token: "z" });
        expect(last.contents).toEqual(Object.fromEntries([...expected].sort()));
      }),
      { numRuns },
    );
  });
});

describe("segments are shared, and written anew when they outweigh the state", () => {
  test("a hot key costs its own size, not the state's; the sum stays bounded", async () => {
    const { map, identity } = await newCheckpointGrid();
    const owner = await newCheckpointOwner({ map, identity, token: "a" });
    await work(owner, 400, 200);
    const before = { bytes: map.segmentBytes, checkpoints: checkpoints(owner).length };
    for (let round = 0; round < 60; round++) await work(owner, 6, 1);
    const made = checkpoints(owner).length - before.checkpoints;
    expect(made).toBeGreaterThan(3);
    expect((map.segmentBytes - before.bytes) / made).toBeLessThan(before.bytes / 5);
    await work(owner, 3000, 200);
    const { base } = owner.checkpointer.state ?? {};
    const live = base?.segments.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
    expect(live).toBeLessThan(4 * owner.memory.bytes);
    expect(map.segments).toBe(base?.segments.length);
  });

  test("more changes than a record takes are encoded in further rounds, or it is given up", async () => {
    const { map, identity } = await newCheckpointGrid();
    const sizes = { ...smallSizes, deltaBytesMax: 10 };
    const owner = await newCheckpointOwner({ map, identity, token: "a", sizes });
    await work(owner, 500, 100);
    expect(checkpoints(owner).length).toBeGreaterThan(1);
    const successor = await newCheckpointOwner({ map, identity, token: "b" });
    expect(successor.contents).toEqual(owner.contents);
  });
});

describe("K6: what is trimmed is behind head, written, and no claim", () => {
  test("nothing goes that the database lacks; it goes on with the pump, at a successor too", async () => {
    const { map, identity } = await newCheckpointGrid();
    let written: number | null = 10;
    const confirmWritten = () => Promise.resolve(written);
    const owner = await newCheckpointOwner({ map, identity, token: "a", confirmWritten });
    await work(owner, 200, 10);
    const head = owner.checkpointer.state?.head ?? 0;
    expect(head).toBeGreaterThan(40);
    expect(map.records.slice(0, 2)).toEqual([1, 11]);
    written = null; // its row could not be read, or is another owner's
    owner.checkpointer.written(30);
    await owner.rest();
    expect(map.records[1]).toBe(11);
    const successor = await newCheckpointOwner({ map, identity, token: "b", confirmWritten });
    await successor.rest();
    expect(map.records[1]).toBe(11);
    written = head - 5;
    successor.checkpointer.written(head - 5);
    await successor.rest();
    expect(map.records.slice(0, 2)).toEqual([1, 11]); // few: they wait for more
    written = head + 5;
    successor.checkpointer.written(head + 5);
    await successor.rest();
    expect(map.records.slice(0, 2)).toEqual([1, successor.checkpointer.state?.head]);
    expect(successor.contents).toEqual(owner.contents);
  });

  test("claims stay, also those that the owner before left behind with its records", async () => {
    const { map, identity } = await newCheckpointGrid();
    let written: number | null = null;
    const confirmWritten = () => Promise.resolve(written);
    const claims = [1];
    let owner = await newCheckpointOwner({ map, identity, token: "a", confirmWritten });
    for (const token of ["b", "c", "d"]) {
      await work(owner, 60, 10);
      owner = await newCheckpointOwner({ map, identity, token, confirmWritten });
      claims.push(owner.log.state.epoch);
    }
    await work(owner, 60, 10);
    expect(map.records.length).toBeGreaterThan(60);
    written = Infinity;
    owner.checkpointer.written(1e9);
    await owner.rest();
    const { head = 0, trimmedTo } = owner.checkpointer.state ?? {};
    expect(trimmedTo).toBe(head);
    expect(map.records.filter((position) => position < head)).toEqual(claims);
    expect(map.segments).toBe(owner.checkpointer.state?.base?.segments.length);
  });

  test("segments of attempts that died are found and deleted, those that are named are not", async () => {
    const { map, identity } = await newCheckpointGrid();
    const owner = await newCheckpointOwner({ map, identity, token: "a" });
    await work(owner, 100, 10);
    const number = owner.checkpointer.state?.nextNumber ?? 0;
    owner.kill();
    for (const [attempt, segments] of [
      [number, 11],
      [number + 2, 1],
    ] as const) {
      for (let segment = 0; segment < segments; segment++) {
        const key = segmentKey(partition, owner.log.state.epoch, attempt, segment);
        await map.putIfAbsent(key, encodeSegment([]), 1000);
      }
    }
    const successor = await newCheckpointOwner({ map, identity, token: "b" });
    await successor.rest();
    expect(map.segments).toBe(successor.checkpointer.state?.base?.segments.length);
    const third = await newCheckpointOwner({ map, identity, token: "c" });
    expect(third.contents).toEqual(owner.contents);
  });
});

describe("K5: an owner that was overtaken does no harm", () => {
  test.each(["replaceIfSame", "putIfAbsent", "delete"] as const)(
    "asleep with %s under way, while the next owner makes checkpoints",
    async (operation) => {
      const { map, identity } = await newCheckpointGrid();
      const held = new HeldMap(map);
      const zombie = await newCheckpointOwner({ map: held, identity, token: "a" });
      await work(zombie, 60, 10);
      for (let number = 0; number < 40; number++) zombie.put(`z${String(number)}`, number);
      await until(() => zombie.log.unsettled === 0);
      held.hold(operation);
      zombie.checkpointer.request(() => undefined);
      await held.waiting(operation);
      const next = await newCheckpointOwner({ map, identity, token: "b" });
      await work(next, 200, 10);
      held.release(operation);
      await zombie.rest();
      await work(next, 100, 10);
      const last = await newCheckpointOwner({ map, identity, token: "c" });
      expect(last.contents).toEqual(next.contents);
      expect(zombie.stopped?.code ?? zombie.checkpointer.state?.phase.name).toMatch(
        /NOT_OWNER|ended|idle/,
      );
    },
  );
});

describe("what a partition asks", () => {
  test("a hand-over is told when head has moved, or at once where little log is left", async () => {
    const { map, identity } = await newCheckpointGrid();
    const owner = await newCheckpointOwner({ map, identity, token: "a" });
    await new Promise<void>((resolve) => owner.checkpointer.request(resolve));
    expect(checkpoints(owner)).toEqual([]);
    for (let number = 0; number < 4; number++) {
      owner.put(`k${String(number)}`, "x".repeat(60));
      await until(() => owner.log.unsettled === 0);
    }
    expect(checkpoints(owner)).toEqual([]);
    await new Promise<void>((resolve) => owner.checkpointer.request(resolve));
    expect(checkpoints(owner)).toEqual([owner.checkpointer.state?.head]);
    owner.kill();
    await new Promise<void>((resolve) => owner.checkpointer.request(resolve));
  });

  test("bytes is about what lies in the grid; full is more than it may be", async () => {
    const { map, identity } = await newCheckpointGrid();
    let written: number | null = null;
    const confirmWritten = () => Promise.resolve(written);
    const options = { map, identity, confirmWritten, gridBytesMax: 6000 };
    const owner = await newCheckpointOwner({ ...options, token: "a" });
    const stored = (): number => {
      let bytes = 0;
      for (const [key, value] of map.values) if (key.startsWith("0001")) bytes += value.length;
      return bytes;
    };
    await work(owner, 100, 10);
    expect(owner.checkpointer.isFull).toBe(true);
    expect(Math.abs(owner.checkpointer.bytes - stored())).toBeLessThan(stored() / 5);
    const successor = await newCheckpointOwner({ ...options, token: "b" });
    await successor.rest();
    expect(Math.abs(successor.checkpointer.bytes - stored())).toBeLessThan(stored() / 5);
    written = Infinity;
    successor.checkpointer.written(1e9);
    await successor.rest();
    await work(successor, 30, 10);
    expect(successor.checkpointer.isFull).toBe(false);
    expect(Math.abs(successor.checkpointer.bytes - stored())).toBeLessThan(stored() / 3);
  });
});
