// Goal: a transaction reads its own changes, keeps memory untouched, and knows its limits.
// Method: against a model (a plain map) over random sequences; limits by example.
import fc from "fast-check";
import { expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { space } from "../../src/processing-units/application.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { BufferedTransaction } from "../../src/processing-units/transaction.ts";

const stock = space<{ readonly count: number }>({ name: "stock" });
const other = space<{ readonly count: number }>({ name: "other" });
const rows = space<{ readonly count: number }>({
  name: "rows",
  writeOnly: true,
  table: { name: "rows", key: "id", columns: { count: "integer" } },
});

function begin(memory = new PartitionMemory([stock, other, rows])): BufferedTransaction {
  return new BufferedTransaction({ partition: 3, timeMs: 1000, memory, random: seededRandom(1) });
}

const step = fc.record({
  verb: fc.constantFrom("get", "put", "delete"),
  space: fc.constantFrom(stock, other),
  key: fc.integer({ min: 0, max: 40 }).map(String),
  count: fc.nat(),
});

test("P1: reads see own changes; memory sees them only when they are applied", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const memory = new PartitionMemory([stock, other]);
      memory.apply([{ space: "stock", key: "1", value: { count: -1 } }]);
      const model = new Map<string, number>([["stock/1", -1]]);
      const tx = begin(memory);
      for (const { verb, space: target, key, count } of steps) {
        const name = `${target.name}/${key}`;
        if (verb === "put") {
          tx.put(target, key, { count });
          model.set(name, count);
        } else if (verb === "delete") {
          tx.delete(target, key);
          model.delete(name);
        } else {
          expect(tx.get(target, key)?.count).toBe(model.get(name));
        }
      }
      expect([...memory.entries("stock")]).toEqual([["1", { count: -1 }]]);
      const { changes } = tx.close();
      expect(new Set(changes.map((change) => `${change.space}/${change.key}`)).size).toBe(
        changes.length,
      );
      memory.apply(changes);
      const seen = ["stock", "other"].flatMap((name) =>
        [...memory.entries(name)].map(([key, value]) => [`${name}/${key}`, value]),
      );
      expect(new Map(seen as [string, { count: number }][])).toEqual(
        new Map([...model].map(([name, count]) => [name, { count }])),
      );
    }),
  );
});

test("P1: a transaction ends with its handler", () => {
  const tx = begin();
  tx.close();
  expect(() => tx.get(stock, "a")).toThrow(AssertionError);
  expect(() => {
    tx.put(stock, "a", { count: 1 });
  }).toThrow(AssertionError);
});

test("spaces: write-only entries can be put and deleted, not read; unknown spaces are refused", () => {
  const tx = begin();
  tx.put(rows, "a", { count: 1 });
  expect(() => tx.get(rows, "a")).toThrow(/write-only/);
  expect(() => tx.get(space({ name: "unknown" }), "a")).toThrow(/not of the application/);
});

test("limits: a value, a command's changes and a key that are too large are refused by name", () => {
  const text = "x".repeat(limits.valueBytesMax);
  const big = space<{ readonly text: string }>({ name: "stock" });
  expect(() => {
    begin().put(big, "a", { text });
  }).toThrow(/value for stock\/a is too large/);
  const tx = begin();
  const half = "x".repeat(limits.valueBytesMax / 2);
  expect(() => {
    for (let key = 0; key < 10; key++) tx.put(big, String(key), { text: half });
  }).toThrow(/what one command changes is too large/);
  expect(() => begin().get(stock, "k".repeat(limits.keyBytesMax + 1))).toThrow(/longer than/);
  // Two such keys would be one after they were read from the log.
  expect(() => begin().get(stock, "\ud800")).toThrow(/surrogate pair/);
  expect(() => begin().get(stock, "a\0")).toThrow(/U\+0000/);
});

test.each([
  ["text", "a", 1],
  ["bigint", 2 ** 53 - 1, 1.5],
  ["bigint", 2n ** 63n - 1n, 2n ** 63n],
  ["bigint", -1, 1e300],
  ["integer", 2 ** 31 - 1, 2 ** 31],
  ["integer", -(2 ** 31), -(2 ** 31) - 1],
  ["bigint", 5, 5n],
  ["int64", 5n, 5],
  ["integer", -5, 5n],
  ["numeric", "-12.50", "1e1"],
  ["numeric", "0.0", "-0.0"],
  ["numeric", "7", "07"],
  ["date", "2024-02-29", "2023-02-29"],
  ["date", "0001-01-01", "0000-01-01"],
  ["bytea", "AAEC/w==", "AAEC/w"],
  ["timestamptz", 1, 1.5],
  ["double precision", 1.5, "1.5"],
  ["boolean", false, 0],
  ["timestamptz", 0, 8.64e15],
  ["jsonb", { any: [1, null] }, undefined],
] as const)("D7: a column of type %s takes %s, not %s", (type, good, bad) => {
  const typed = space<{ readonly cell: Value }>({
    name: "stock",
    table: { name: "stock", key: "id", columns: { cell: type } },
  });
  begin().put(typed, "a", { cell: good });
  begin().put(typed, "a", { cell: null });
  if (bad === undefined) return;
  expect(() => {
    begin().put(typed, "a", { cell: bad });
  }).toThrow(/cell of stock\/a does not fit its column|64 bits/);
});
