// Goal: only plain data is kept, it cannot be changed afterwards, and its size is bounded from
// above. Method: examples of what is refused; a property over all plain data, against msgpack.
import fc from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { FailureError } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { decodeRecord, encodeRecord } from "../../src/grid/log-record.ts";
import type { Entry } from "../../src/processing-units/space.ts";
import { freezeValue } from "../../src/processing-units/value.ts";

/** Any characters but U+0000, which no value may hold. */
const text = (maxLength: number) =>
  fc.string({ unit: "binary", maxLength }).map((any) => any.replaceAll("\0", "0"));

const propertyName = fc.string({ maxLength: 8 }).filter((any) => any !== "__proto__");

const plain: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    text(300),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(propertyName, tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

test("values: the bound of the size holds for all plain data", () => {
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  fc.assert(
    fc.property(plain, (any) => {
      const value = { any };
      const bound = freezeValue(value);
      expect(packr.pack(value).length).toBeLessThanOrEqual(bound);
    }),
  );
});

const anyString = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 })
  .map((units) => String.fromCharCode(...units));
const name = fc.oneof(anyString, fc.constant("__proto__"), fc.constant("constructor"));

test("P2: what is kept is what the log gives back", () => {
  const value = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, plain, anyString, fc.dictionary(name, tie("value"))),
  })).value;
  fc.assert(
    fc.property(value, (any) => {
      const kept = { any };
      try {
        freezeValue(kept);
      } catch (error) {
        expect(error).toBeInstanceOf(FailureError);
        return;
      }
      const entry = { sender: null, number: 0, confirmed: 0, attempt: 0, reply: null };
      const changes = [{ space: "s", key: "k", value: kept }];
      const body = { type: "changes", entries: [{ ...entry, changes }] } as const;
      const header = { position: 1, epoch: 1, token: "t", timeMs: 1, previous: Buffer.alloc(16) };
      expect(decodeRecord(encodeRecord({ ...header, body }))?.body).toEqual(body);
    }),
  );
});

test("P2: -0, which the log does not know, is kept as 0", () => {
  const value = { a: -0, list: [1, -0] };
  freezeValue(value);
  expect(value).toEqual({ a: 0, list: [1, 0] });
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

function nested(levels: number): Value {
  let value: Value = 0;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

test("values: nesting is allowed up to its limit", () => {
  expect(() => freezeValue([nested(limits.valueDepthMax - 1)])).not.toThrow();
});

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
  ["half of a surrogate pair", { a: "\ud800" }, /surrogate pair at a$/],
  ["U+0000", { a: "x\0y" }, /U\+0000 at a$/],
  ["half a pair in a name", { "\udfff": 1 }, /surrogate pair/],
  ["a property __proto__", JSON.parse('{"a":{"__proto__":1}}'), /__proto__ at a$/],
  ["more than 64 levels", nested(limits.valueDepthMax + 1), /64 levels/],
  ["a bigint of 65 bits", 2n ** 64n, /64 bits/],
  ["-0 that cannot be made 0", { a: Object.freeze([-0]) }, /-0 .*frozen.* at a$/],
];

test.each(refused)("values: %s is refused, and the place is named", (_name, value, message) => {
  expect(() => freezeValue(value as Entry)).toThrow(FailureError);
  expect(() => freezeValue(value as Entry)).toThrow(message);
});
