// Goal: whatever is heard, in whatever order, the table ends with the owner of the newest epoch, or
// with none where that one released or is lost. Method: properties over what lanes may say of a
// history of claims and releases, shuffled and doubled; examples for each rule.
import fc from "fast-check";
import { expect, test } from "vitest";
import { OwnerTable } from "../../src/messaging-grid/owner-table.ts";

type Heard =
  | { readonly kind: "serving"; readonly slot: number; readonly epoch: number }
  | { readonly kind: "released"; readonly epoch: number };

/** All that lanes say of one partition: each epoch is one claim by one slot, some end released. */
const histories: fc.Arbitrary<Heard[]> = fc
  .array(fc.record({ slot: fc.nat({ max: 3 }), ends: fc.boolean(), gap: fc.nat({ max: 9 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((claims) => {
    let epoch = 0;
    return claims.flatMap(({ slot, ends, gap }): Heard[] => {
      epoch += 1 + gap;
      const serving = { kind: "serving", slot, epoch } as const;
      return ends ? [serving, { kind: "released", epoch }] : [serving];
    });
  });

const shuffled = histories.chain((history) =>
  fc
    .shuffledSubarray([...history, ...history], { minLength: history.length * 2 })
    .map((heard) => ({ history, heard })),
);

function hear(table: OwnerTable, heard: Heard): boolean {
  if (heard.kind === "released") return table.released(0, heard.epoch);
  return table.learn(0, heard.slot, heard.epoch);
}

test("M6: whatever the order and however often it is heard, the newest epoch decides", () => {
  fc.assert(
    fc.property(shuffled, ({ history, heard }) => {
      const table = new OwnerTable(1);
      for (const each of heard) hear(table, each);
      const last = history.at(-1);
      const owner = last?.kind === "serving" ? { slot: last.slot, epoch: last.epoch } : null;
      expect(table.ownerOf(0)).toEqual(owner);
    }),
  );
});

test("M6: epochs only rise, each change is told once, and what is no news changes nothing", () => {
  fc.assert(
    fc.property(shuffled, fc.array(fc.nat({ max: 3 })), ({ heard }, losses) => {
      const table = new OwnerTable(1);
      let changes = 0;
      table.onChange = () => changes++;
      let epoch = 0;
      for (const [index, each] of heard.entries()) {
        const before = { owner: table.ownerOf(0), changes };
        const isNews = hear(table, each);
        expect(changes - before.changes).toBe(isNews ? 1 : 0);
        const owner = table.ownerOf(0);
        if (!isNews) expect(owner).toBe(before.owner);
        expect(owner?.epoch ?? epoch).toBeGreaterThanOrEqual(epoch);
        epoch = owner?.epoch ?? epoch;
        const slot = losses[index];
        if (slot === undefined) continue;
        const had = table.ownerOf(0)?.slot === slot;
        changes = 0;
        table.lost(slot);
        expect(changes).toBe(had ? 1 : 0);
        expect(table.ownedBy(slot)).toEqual([]);
      }
    }),
  );
});

test("M6: a lane that was only thought to be lost is the owner again, under its own epoch", () => {
  const table = new OwnerTable(3);
  expect([table.learn(0, 5, 7), table.learn(2, 5, 4), table.learn(1, 6, 9)]).toEqual([
    true,
    true,
    true,
  ]);
  expect(table.ownedBy(5)).toEqual([0, 2]);
  table.lost(5);
  expect([table.ownerOf(0), table.ownerOf(1)]).toEqual([null, { slot: 6, epoch: 9 }]);
  expect(table.learn(0, 5, 6)).toBe(false);
  expect(table.learn(0, 5, 7)).toBe(true);
  expect(table.ownerOf(0)).toEqual({ slot: 5, epoch: 7 });
  expect(table.released(0, 7)).toBe(true);
  expect(table.learn(0, 5, 7)).toBe(false);
  expect(table.ownerOf(0)).toBeNull();
});

test("M6: what follows a change may change the table at once", () => {
  const table = new OwnerTable(2);
  table.learn(0, 1, 1);
  table.learn(1, 1, 1);
  table.onChange = (partition) => {
    if (table.ownerOf(partition) === null) table.learn(partition, 2, 2);
  };
  table.lost(1);
  expect(table.ownedBy(2)).toEqual([0, 1]);
});

test("owners: a partition that does not exist has none", () => {
  const table = new OwnerTable(2);
  expect([table.partitions, table.ownerOf(1)]).toEqual([2, null]);
  expect(() => table.ownerOf(2)).toThrow("there is no partition 2");
});
