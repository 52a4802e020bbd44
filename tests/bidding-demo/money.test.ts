// Goal: decimals become whole micros exactly, halves rounded up, whatever floats would do.
// Method: known traps as a table; a comparison with BigInt arithmetic as a property.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  cpmOf,
  dollarsToMicros,
  floorMicros,
  impressionMicros,
  shareOf,
} from "../../src/bidding-demo/money.ts";

describe("a clearing price is rounded half up to whole micros", () => {
  test.each([
    ["2.50", 2500],
    ["0", 0],
    ["0.000", 0],
    ["1.005", 1005],
    ["1.0005", 1001],
    ["1.0004999999999999999", 1000],
    ["2.3456", 2346],
    ["0.0005", 1],
    ["0.00049", 0],
    ["0.00005", 0],
    ["0007.1", 7100],
    ["1e-3", 1],
    ["5e-4", 1],
    ["4.9e-4", 0],
    ["1.5E+2", 150_000],
    ["9007199254740.991", Number.MAX_SAFE_INTEGER],
  ])("%s → %i", (cpm, micros) => {
    expect(impressionMicros(cpm)).toBe(micros);
  });

  test.each([
    "",
    " ",
    "-1",
    "-0",
    "+1",
    "NaN",
    "Infinity",
    "AUDIT",
    "${AUCTION_PRICE}",
    "1,5",
    "1.",
    ".5",
    "0x10",
    "1e",
    "1e99",
    "1e400",
    "1e-400",
    "9007199254740.992",
    "9".repeat(33),
    "1 ",
    "١",
  ])("refused: %j", (cpm) => {
    expect(impressionMicros(cpm)).toBeNull();
  });
});

test("rounding agrees with whole-number arithmetic for every decimal", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 15n), fc.integer({ min: 0, max: 12 }), (digits, places) => {
      const text = digits.toString().padStart(places + 1, "0");
      const at = text.length - places;
      const decimal = places === 0 ? text : `${text.slice(0, at)}.${text.slice(at)}`;
      // floor(x + 1/2) with x = digits × 10^3 / 10^places
      const scale = 10n ** BigInt(places);
      const exact = (digits * 1000n * 2n + scale) / (2n * scale);
      const expected = exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : null;
      expect(impressionMicros(decimal)).toBe(expected);
    }),
  );
});

test("a price printed as CPM and read again is the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (micros) => {
      expect(impressionMicros(String(cpmOf(micros)))).toBe(micros);
    }),
  );
});

test("a floor is the smallest price whose CPM is not below it", () => {
  const floors = fc.oneof(
    fc.double({ min: 0, max: 1000, noNaN: true }),
    fc.integer({ min: 0, max: 1_000_000 }).map((micros) => micros / 1000),
    fc.constantFrom(0.28, 1.005, 2.01, 0.57, 1.1, 8.2, 4.35),
  );
  fc.assert(
    fc.property(floors, (floor) => {
      const micros = floorMicros(floor);
      expect(cpmOf(micros)).toBeGreaterThanOrEqual(floor);
      if (micros > 0) expect(cpmOf(micros - 1)).toBeLessThan(floor);
    }),
  );
});

test("the shares of all partitions are exactly the budget, and differ by a micro at most", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      fc.integer({ min: 1, max: 4096 }),
      (budget, partitions) => {
        let sum = 0n;
        const shares = new Set<number>();
        for (let partition = 0; partition < partitions; partition++) {
          const share = shareOf(budget, partitions, partition);
          shares.add(share);
          sum += BigInt(share);
        }
        expect(sum).toBe(BigInt(budget));
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test("dollars of a budget become micros exactly", () => {
  expect(dollarsToMicros("12.34")).toBe(12_340_000);
  expect(dollarsToMicros("0.1")).toBe(100_000);
  expect(dollarsToMicros("19.99")).toBe(19_990_000);
});
