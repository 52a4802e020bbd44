// Goal: every partition has exactly one owner, and lanes differ by at most one partition.
// Method: a property over all sizes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { OwnerTable, staticOwners } from "../../src/messaging-grid/owner-table.ts";

test("one owner: the lanes' partitions are all partitions, each once, in even shares", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: limits.partitionsMax }),
      fc.integer({ min: 1, max: limits.lanesMax }),
      (partitions, lanes) => {
        const table = staticOwners(partitions, lanes);
        const shares = Array.from({ length: lanes }, (_, lane) => table.ownedBy(lane));
        expect(table.partitions).toBe(partitions);
        expect(shares.flat().sort((a, b) => a - b)).toEqual([...Array(partitions).keys()]);
        const sizes = shares.map((share) => share.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const [lane, share] of shares.entries()) {
          for (const partition of share) expect(table.ownerOf(partition)).toBe(lane);
        }
      },
    ),
    { numRuns: 20 },
  );
});

test("one owner: a partition that does not exist has none", () => {
  const table = new OwnerTable([2, 0]);
  expect(table.ownerOf(0)).toBe(2);
  expect(() => table.ownerOf(2)).toThrow("there is no partition 2");
});
