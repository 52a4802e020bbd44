// Goal: segments, delta and what follows are the memory again, however slices, changes, further
// rounds and given-up attempts come between one another. Method: random steps (property), folded by
// a second memory after each checkpoint; rows changed in place as the engine's own are.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Change, Value } from "../../src/grid/log-record.ts";
import { requestSpace, senderSpace } from "../../src/processing-units/internal-spaces.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { space } from "../../src/processing-units/space.ts";

const spaces = [space({ name: "stock" }), space({ name: "users" })];
const names = ["stock", "users", senderSpace];
const numRuns = Number(process.env["FC_RUNS"] ?? 500);

function contents(memory: PartitionMemory): unknown {
  return names.map((name) => [...memory.entries(name)].sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Step =
  | { readonly kind: "change"; readonly space: string; readonly key: string; readonly value: Value }
  | { readonly kind: "slice"; readonly bytes: number }
  | { readonly kind: "begin" | "round" | "record" | "giveUp" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("change" as const),
      space: fc.constantFrom(...names),
      key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      value: fc.option(fc.nat(99)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("slice" as const), bytes: fc.nat(40) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("begin", "round", "record", "giveUp") }),
  },
);

/** A partition that checkpoints: what it would have stored. */
class Checkpoints {
  readonly memory = new PartitionMemory(spaces);
  base: (readonly Change[])[] = [];
  #attempt: (readonly Change[])[] | null = null;

  /** The fold of the last checkpoint, once one is recorded. */
  run(one: Step): PartitionMemory | null {
    const { memory } = this;
    if (one.kind === "change") memory.apply([one]);
    else if (one.kind === "begin") this.#begin();
    else if (this.#attempt === null) return null;
    else if (one.kind === "slice") this.#attempt.push(memory.slice(one.bytes));
    else if (one.kind === "round") {
      this.#finishRound(this.#attempt);
      memory.beginRound(false);
    } else if (one.kind === "giveUp") {
      memory.givenUp();
      this.#attempt = null;
    } else return this.#record(this.#attempt);
    return null;
  }

  #begin(): void {
    if (this.#attempt !== null) return;
    const full = this.base.length === 0 || this.base.length > 12;
    this.#attempt = full ? [] : [...this.base];
    this.memory.beginRound(full);
  }

  #finishRound(attempt: (readonly Change[])[]): void {
    for (;;) {
      const changes = this.memory.slice(1);
      if (changes.length === 0) return;
      attempt.push(changes);
    }
  }

  #record(attempt: (readonly Change[])[]): PartitionMemory {
    this.#finishRound(attempt);
    const delta = this.memory.delta(Infinity) ?? [];
    this.memory.encoded();
    this.base = attempt;
    this.#attempt = null;
    return folded(attempt, delta);
  }
}

function folded(segments: readonly (readonly Change[])[], delta: readonly Change[]) {
  const memory = new PartitionMemory(spaces);
  for (const segment of segments) memory.loadSegment(segment);
  memory.loadCheckpoint(delta);
  return memory;
}

test("K2: a checkpoint is the memory, through slices, rounds, given-up attempts, and a successor", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, succeeded) => {
      let owner = new Checkpoints();
      for (const one of steps) {
        const loaded = owner.run(one);
        if (loaded === null) continue;
        expect(contents(loaded)).toEqual(contents(owner.memory));
        if (!succeeded) continue;
        // Another owner goes on from what was stored, with the marks that loading gave it.
        const successor = new Checkpoints();
        for (const segment of owner.base) successor.memory.loadSegment(segment);
        successor.memory.loadCheckpoint(loaded.delta(Infinity) ?? []);
        successor.base = owner.base;
        owner = successor;
      }
    }),
    { numRuns },
  );
});

test("a row that is changed in place is encoded as it is when its turn comes", () => {
  const memory = new PartitionMemory(spaces);
  const row = { confirmed: 1, replies: [[2, "ok"]] };
  const change = { space: senderSpace, key: "s1", value: row };
  memory.apply([change]);
  memory.beginRound(true);
  row.confirmed = 2;
  memory.apply([change]);
  expect(memory.slice(1000)).toEqual([]); // it changed: it comes with the delta
  expect(memory.delta(1000)).toEqual([{ ...change, value: { ...row, confirmed: 2 } }]);
  expect(memory.delta(3)).toBeNull();
});

test("loaded values are frozen, those of the engine's own spaces are not", () => {
  const memory = new PartitionMemory(spaces);
  memory.loadSegment([
    { space: "stock", key: "a", value: { left: [1] } },
    { space: requestSpace, key: "r", value: [1, "buy", null] },
  ]);
  memory.loadCheckpoint([{ space: senderSpace, key: "s", value: { confirmed: 0, replies: [] } }]);
  expect(Object.isFrozen((memory.get("stock", "a") as { left: object }).left)).toBe(true);
  expect(Object.isFrozen(memory.get(requestSpace, "r"))).toBe(false);
  expect(Object.isFrozen(memory.get(senderSpace, "s"))).toBe(false);
});

test("bytes is about the encoded size of what is kept", () => {
  const memory = new PartitionMemory(spaces);
  expect(memory.bytes).toBe(0);
  for (let key = 0; key < 1000; key++) {
    memory.apply([{ space: "stock", key: `sku-${String(key)}`, value: "x".repeat(key % 200) }]);
  }
  expect(memory.bytes).toBeGreaterThan(80_000);
  expect(memory.bytes).toBeLessThan(160_000);
});
