// Goal: a rebuild loses no money and frees none. Method: purses of any sizes, over any numbers of
// partitions before and after (property); what comes out is summed.
import fc from "fast-check";
import { expect, test } from "vitest";
import { partitionOf } from "../../src/base/murmur3.ts";
import { shareOf } from "../../src/bidding-demo/money.ts";
import { purseMender } from "../../src/bidding-demo/purse-mender.ts";
import { idleMicros, purseKeyOf } from "../../src/bidding-demo/purse.ts";
import { purses, type Purse } from "../../src/bidding-demo/spaces.ts";
import type { Mender } from "../../src/data-pump/mender.ts";

const campaignId = "one";
const fractions = fc.array(fc.tuple(fc.nat(100), fc.nat(100), fc.nat(100)), {
  minLength: 1,
  maxLength: 40,
});

/** Purses of a campaign within their shares: so many parts in a hundred reserved, spent, gone. */
function pursesOf(budgetMicros: number, parts: readonly (readonly number[])[]): Purse[] {
  return parts.map(([reserved = 0, spent = 0, gone = 0], partition) => {
    const shareMicros = shareOf(budgetMicros, parts.length, partition);
    const part = (share: number) => Math.floor((shareMicros * share) / 300);
    const money = { reservedMicros: part(reserved), spentMicros: part(spent) };
    const writtenOffMicros = gone === 0 ? null : part(gone);
    return { campaignId, partition, shareMicros, ...money, writtenOffMicros };
  });
}

function sum(of: readonly Purse[], field: "spentMicros" | "reservedMicros" | "shareMicros") {
  return of.reduce((total, purse) => total + purse[field], 0);
}

function writtenOff(of: readonly Purse[]): number {
  return of.reduce((total, { writtenOffMicros }) => total + (writtenOffMicros ?? 0), 0);
}

function mendAll(mender: Mender, of: readonly Purse[]): [key: string, purse: Purse][] {
  for (const value of of) {
    const key = purseKeyOf(value.campaignId, value.partition);
    expect(mender.mend({ space: purses.name, key, value })).toBeNull();
  }
  return [...mender.rest()].map(({ key, value }) => [key, value as Purse]);
}

test("B1, B5: spent stays spent, reserved is written off, and every new purse fits its share", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 ** 15 }),
      fractions,
      fc.integer({ min: 1, max: 50 }),
      (budgetMicros, parts, partitions) => {
        const before = pursesOf(budgetMicros, parts);
        const mender = purseMender(new Map([[campaignId, budgetMicros]]), partitions);
        const mended = mendAll(mender, before);
        const after = mended.map(([, purse]) => purse);
        expect(sum(after, "spentMicros")).toBe(sum(before, "spentMicros"));
        expect(writtenOff(after)).toBe(sum(before, "reservedMicros") + writtenOff(before));
        expect(sum(after, "shareMicros")).toBe(budgetMicros);
        expect(after.length).toBe(partitions);
        for (const [key, purse] of mended) {
          expect(key).toBe(purseKeyOf(campaignId, purse.partition));
          expect(purse.reservedMicros).toBe(0);
          expect(idleMicros(purse)).toBeGreaterThanOrEqual(0);
          const route = purses.routeOf?.(key, purse, partitions) ?? "";
          expect(partitionOf(route, partitions)).toBe(purse.partition);
        }
        // Once more, with nothing reserved since: nothing changes.
        const again = purseMender(new Map([[campaignId, budgetMicros]]), partitions);
        expect(mendAll(again, after)).toEqual(mended);
      },
    ),
  );
});

test("B5: a smaller budget leaves no room; a campaign that is gone keeps its money", () => {
  const before = pursesOf(3000, [
    [0, 60, 0],
    [0, 90, 0],
  ]);
  const smaller = mendAll(purseMender(new Map([[campaignId, 100]]), 4), before);
  expect(smaller.every(([, purse]) => idleMicros(purse) < 0)).toBe(true);
  const gone = mendAll(purseMender(new Map(), 1), before).map(([, purse]) => purse);
  expect(gone).toMatchObject([{ shareMicros: 3000, spentMicros: 750, writtenOffMicros: 0 }]);
});

test("entries of other spaces come back as they are", () => {
  const entry = { space: "others", key: "k", value: { partition: 7 } };
  const mender = purseMender(new Map(), 2);
  expect(mender.mend(entry)).toBe(entry);
  expect([...mender.rest()]).toEqual([]);
});
