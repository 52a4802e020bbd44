// Micro transactions: what a command costs the partition that runs it, and what a checkpoint costs
// for each entry. Owns: the operations. Does not own: how they are measured (micro-operation.ts).
import { assert, must } from "../src/base/assert.ts";
import { limits } from "../src/base/limits.ts";
import { seededRandom } from "../src/base/random.ts";
import { encodeNext } from "../src/grid/checkpoint-machine.ts";
import { decodeSegment, type Change } from "../src/grid/log-record.ts";
import { space } from "../src/processing-units/application.ts";
import { PartitionMemory } from "../src/processing-units/partition-memory.ts";
import { BufferedTransaction } from "../src/processing-units/transaction.ts";
import { countRight, type MicroGroup, type MicroOperation } from "./micro-operation.ts";

type Stock = { readonly sku: string; readonly quantity: number; readonly sold: number };

const names = ["shelf", "store-room", "orders"] as const;
const spaces = names.map((name) => space<Stock>({ name }));
const entries = 10_000;
const quantity = 1_000_000_000;
const timeMs = 1_700_000_000_000;

const keys = Array.from({ length: entries }, (_, entry) => `sku-${String(entry).padStart(6, "0")}`);

function filledMemory(): PartitionMemory {
  const memory = new PartitionMemory(spaces);
  const value = (sku: string): Stock => ({ sku, quantity, sold: 0 });
  for (const { name } of spaces) {
    memory.load(keys.map((key) => ({ space: name, key, value: value(key) })));
  }
  return memory;
}

export function transactionGroup(): MicroGroup {
  const operations = [
    transaction("transaction: get, check and put one entry", 1),
    transaction("transaction: three entries of three spaces", 3),
    encodeCheckpoint(),
    loadCheckpoint(),
  ];
  return { operations };
}

/** One sale of each of so many spaces, in one transaction, applied to the memory. */
function transaction(name: string, spacesUsed: number): MicroOperation {
  const memory = filledMemory();
  const random = seededRandom(1);
  const used = spaces.slice(0, spacesUsed);
  let next = 0;
  const sell = (key: string): readonly Change[] => {
    const tx = new BufferedTransaction({ partition: 0, timeMs, memory, random });
    for (const one of used) {
      const stock = tx.get(one, key);
      if (stock === undefined || stock.quantity < 1) break;
      const { sku, quantity: before, sold } = stock;
      tx.put(one, key, { sku, quantity: before - 1, sold: sold + 1 });
    }
    const { changes } = tx.close();
    memory.apply(changes);
    return changes;
  };
  return {
    name,
    check() {
      const key = "sku-000007";
      const changes = sell(key);
      for (const [place, { name: space }] of used.entries()) {
        const value = { sku: key, quantity: quantity - 1, sold: 1 };
        assert(isSame(changes[place], { space, key, value }), "one is sold in each space");
        assert(isSame(memory.get(space, key), value), "and the memory has it");
      }
      return JSON.stringify(changes);
    },
    run: (calls) =>
      countRight(calls, () => {
        next = (next + 7919) % entries;
        return sell(must(keys[next], "a key")).length === spacesUsed;
      }),
  };
}

const sizes = {
  segmentBytes: limits.segmentBytes,
  deltaBytesMax: limits.checkpointDeltaBytesMax,
};

/** All entries into segments, as a full checkpoint has them; nothing is stored. */
function encodeAll(memory: PartitionMemory): Buffer[] {
  const segments: Buffer[] = [];
  memory.beginRound(true);
  for (;;) {
    const event = encodeNext(memory, 1, sizes);
    if (event.kind !== "slice") break;
    segments.push(event.value);
  }
  memory.encoded();
  return segments;
}

function decodeAll(segments: readonly Buffer[]): Change[] {
  return segments.flatMap((one) => must(decodeSegment(one), "of this format"));
}

function encodeCheckpoint(): MicroOperation {
  const memory = filledMemory();
  let segmentCount = 0;
  return {
    name: "checkpoint: encode, an entry",
    parts: entries * names.length,
    check() {
      const segments = encodeAll(memory);
      const found = decodeAll(segments);
      assert(found.length === entries * names.length, "a checkpoint has all entries");
      for (const { space, key, value } of found) {
        assert(isSame(memory.get(space, key), value), "as they are");
      }
      segmentCount = segments.length;
      return segments.map((one) => one.toString("base64")).join();
    },
    run: (calls) => countRight(calls, () => encodeAll(memory).length === segmentCount),
  };
}

/** The same segments, folded into an empty memory, as a new owner does. */
function loadCheckpoint(): MicroOperation {
  const source = filledMemory();
  const segments = encodeAll(source);
  const load = (): PartitionMemory => {
    const memory = new PartitionMemory(spaces);
    for (const one of segments) memory.loadSegment(must(decodeSegment(one), "of this format"));
    return memory;
  };
  const last = must(keys.at(-1), "there are keys");
  return {
    name: "checkpoint: load, an entry",
    parts: entries * names.length,
    check() {
      const memory = load();
      for (const { space, key, value } of decodeAll(segments)) {
        assert(isSame(memory.get(space, key), value), "what was loaded is what was encoded");
      }
      const sizes = names.map((name) => [...memory.entries(name)].length);
      assert(isSame(sizes, [entries, entries, entries]), "and nothing more");
      return sizes.join();
    },
    run: (calls) => countRight(calls, () => load().get("orders", last) !== undefined),
  };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
