// Goal: only plain data is kept, it cannot be changed afterwards, and its size is bounded from
// above. Method: examples of what is refused; a property over all plain data, against msgpack.
import fc from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { FailureError } from "../../src/base/failure.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { freezeValue } from "../../src/processing-units/value.ts";

const plain: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string({ maxLength: 8 }), tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

test("values: the bound of the size holds for all plain data", () => {
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  fc.assert(
    fc.property(plain, (value) => {
      const bound = freezeValue(value);
      expect(packr.pack(value).length).toBeLessThanOrEqual(bound);
    }),
  );
});

test("values: what was kept cannot be changed, however deep", () => {
  const inner = [1, 2];
  const value = { list: inner, map: { a: 1 } };
  freezeValue(value);
  expect(() => inner.push(3)).toThrow(TypeError);
  expect(() => {
    value.map.a = 2;
  }).toThrow(TypeError);
});

class Money {
  readonly micros = 1;
}

const refused: readonly (readonly [string, unknown, RegExp])[] = [
  ["undefined", { a: undefined }, /undefined.* at a$/],
  ["a function", { a: [() => 1] }, /function.* at a\.0$/],
  ["NaN", { a: Number.NaN }, /NaN at a$/],
  ["infinity", Number.POSITIVE_INFINITY, /Infinity/],
  ["a symbol", Symbol("s"), /symbol/],
  ["a date", { at: new globalThis.Date(0) }, /class Date.* at at$/],
  ["a class instance", new Money(), /class Money/],
  ["a map", new Map(), /class Map/],
  ["bytes", Buffer.from("x"), /class Buffer/],
  ["a bigint of 65 bits", 2n ** 64n, /64 bits/],
];

test.each(refused)("values: %s is refused, and the place is named", (_name, value, message) => {
  expect(() => freezeValue(value as Value)).toThrow(FailureError);
  expect(() => freezeValue(value as Value)).toThrow(message);
});
