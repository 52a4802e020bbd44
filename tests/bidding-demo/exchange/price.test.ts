// Goal: prices are exact on their way from JSON to text and to what is charged.
// Method: a table of halves, and a property against decimal arithmetic on texts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { cpmText, microsOfNanos, nanosOfCpm } from "../../../src/bidding-demo/exchange/price.ts";

test.each([
  [1.2344, 1234],
  [1.2345, 1235],
  [1.2346, 1235],
  [1.0005, 1001],
  [0.0004, 0],
  [0.0005, 1],
  [2.5, 2500],
])("a clearing price is whole micros, halves rounded up: CPM %f → %i", (cpm, micros) => {
  expect(microsOfNanos(nanosOfCpm(cpm))).toBe(micros);
});

test("a price as text is the same price, whatever its decimals", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (nanos) => {
      const text = cpmText(nanos);
      expect(text).toMatch(/^\d+(\.\d{0,5}[1-9])?$/);
      const [whole = "", decimals = ""] = text.split(".");
      expect(BigInt(whole + decimals.padEnd(6, "0"))).toBe(BigInt(nanos));
      expect(nanosOfCpm(Number(text))).toBe(nanos);
    }),
  );
});
