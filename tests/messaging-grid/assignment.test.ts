// Goal: everybody computes the same balanced assignment, and nothing moves without need.
// Method: properties over any members and any ownership, and over long histories of joins and
// leaves; the least number of moves that balance asks is counted by itself.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { assign, joinDelayMs, type AssignmentMember } from "../../src/messaging-grid/assignment.ts";

const numRuns = Number(process.env["FC_RUNS"] ?? 300);

const partitionCount = fc.integer({ min: 1, max: 300 });
// Few names: lanes of one name differ by their slots only.
const name = fc.oneof(fc.constantFrom("lane 0", "lane 1"), fc.string({ maxLength: 12 }));
const slots = fc.uniqueArray(fc.nat(limits.rosterSlotsMax - 1), { minLength: 1, maxLength: 40 });

/** Members with any ownership at all: partitions that two own, or that there are not. */
const members: fc.Arbitrary<AssignmentMember[]> = slots.chain((list) =>
  fc.tuple(
    ...list.map((slot) =>
      fc.record({ slot: fc.constant(slot), name, owned: fc.array(fc.nat(320), { maxLength: 60 }) }),
    ),
  ),
);

function ownedOf(assigned: readonly (number | null)[], slot: number): number[] {
  return [...assigned.keys()].filter((partition) => assigned[partition] === slot);
}

/** The members once the assignment has come true. */
function fulfilled(
  list: readonly AssignmentMember[],
  assigned: readonly (number | null)[],
): AssignmentMember[] {
  return list.map((member) => ({ ...member, owned: ownedOf(assigned, member.slot) }));
}

function expectBalanced(
  partitions: number,
  list: readonly AssignmentMember[],
  assigned: readonly (number | null)[],
): void {
  expect(assigned).toHaveLength(partitions);
  const counts = list.map(({ slot }) => ownedOf(assigned, slot).length);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(partitions);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
}

/** How many partitions stay where they are, at most, if members differ by at most one. */
function keepable(partitions: number, owned: readonly (readonly number[])[]): number {
  const base = Math.floor(partitions / owned.length);
  const rich = owned.filter(({ length }) => length > base).length;
  const kept = owned.reduce((sum, { length }) => sum + Math.min(length, base), 0);
  return kept + Math.min(rich, partitions % owned.length);
}

describe("A1: the same balanced answer everywhere", () => {
  test("A1: balanced, whatever the order, and its own fixpoint", () => {
    fc.assert(
      fc.property(partitionCount, members, fc.nat(), (partitions, list, turn) => {
        const assigned = assign(partitions, list);
        expectBalanced(partitions, list, assigned);
        const turned = [...list.slice(turn % list.length), ...list.slice(0, turn % list.length)];
        expect(assign(partitions, turned)).toEqual(assigned);
        const shuffled = turned.reverse().map((member) => ({
          ...member,
          owned: [...member.owned].reverse(),
        }));
        expect(assign(partitions, shuffled)).toEqual(assigned);
        expect(assign(partitions, fulfilled(list, assigned))).toEqual(assigned);
      }),
      { numRuns },
    );
  });

  test("A1: where nobody owns anything, names decide and slots do not", () => {
    const lanes = Array.from({ length: 7 }, (_, index) => `lane ${String(index)} of here`);
    const place = (order: readonly string[]): Map<string, number[]> => {
      const list = order.map((lane, slot) => ({ slot, name: lane, owned: [] }));
      const assigned = assign(100, list);
      return new Map(list.map(({ slot, name: lane }) => [lane, ownedOf(assigned, slot)]));
    };
    const first = place(lanes);
    const second = place([...lanes].reverse());
    for (const lane of lanes) expect(second.get(lane)).toEqual(first.get(lane));
  });

  test("A1: 64 lanes and 4096 partitions: 64 for each, from nothing and from one that has all", () => {
    const empty = Array.from({ length: 64 }, (_, slot) => {
      return { slot, name: `lane ${String(slot % 4)} of unit ${String(slot >> 2)}`, owned: [] };
    });
    const all = Array.from({ length: limits.partitionsMax }, (_, partition) => partition);
    const rich = empty.map((member) => (member.slot === 5 ? { ...member, owned: all } : member));
    for (const list of [empty, rich]) {
      const assigned = assign(limits.partitionsMax, list);
      for (const { slot } of list) expect(ownedOf(assigned, slot)).toHaveLength(64);
    }
  });

  test("A1: without members nobody is assigned anything", () => {
    expect(assign(3, [])).toEqual([null, null, null]);
  });
});

describe("A2: nothing moves without need", () => {
  test("A2: from any ownership, as many partitions stay as balance allows", () => {
    const owners = fc.tuple(
      slots,
      fc.array(fc.option(fc.nat(1000)), { minLength: 1, maxLength: 300 }),
    );
    fc.assert(
      fc.property(owners, fc.array(name, { minLength: 40, maxLength: 40 }), ([list, of], names) => {
        const lanes = list.map((slot, index) => ({
          slot,
          name: names[index] ?? "",
          owned: [...of.keys()].filter((at) => (of[at] ?? -1) % list.length === index),
        }));
        const assigned = assign(of.length, lanes);
        const kept = lanes.flatMap(({ slot, owned }) =>
          owned.filter((at) => assigned[at] === slot),
        );
        expect(kept).toHaveLength(
          keepable(
            of.length,
            lanes.map(({ owned }) => owned),
          ),
        );
      }),
      { numRuns },
    );
  });

  test("A2: a join moves to the joiner only, a leave only what the leaver had", () => {
    const step = fc.record({ joins: fc.boolean(), pick: fc.nat(), name });
    fc.assert(
      fc.property(partitionCount, fc.array(step, { maxLength: 30 }), (partitions, steps) => {
        let list: AssignmentMember[] = [{ slot: 0, name: "first", owned: [] }];
        let before = assign(partitions, list);
        for (const [index, { joins, pick, name: lane }] of steps.entries()) {
          if (!joins && list.length === 1) continue;
          list = fulfilled(list, before);
          const leaver = list[pick % list.length]?.slot;
          const joiner = index + 1;
          if (joins) list.push({ slot: joiner, name: lane, owned: [] });
          else list = list.filter(({ slot }) => slot !== leaver);
          const after = assign(partitions, list);
          expectBalanced(partitions, list, after);
          const moved = [...after.keys()].filter((at) => after[at] !== before[at]);
          if (joins) {
            expect(moved).toHaveLength(Math.floor(partitions / list.length));
            for (const at of moved) expect(after[at]).toBe(joiner);
          } else {
            for (const at of moved) expect(before[at]).toBe(leaver);
          }
          before = after;
        }
      }),
      { numRuns },
    );
  });
});

test("a lane that keeps joining waits ever longer, up to a limit", () => {
  const delays = Array.from({ length: 100 }, (_, index) => joinDelayMs(index + 1));
  expect(delays.slice(0, limits.joinsAtOnceMax).every((delayMs) => delayMs === 0)).toBe(true);
  expect(delays[limits.joinsAtOnceMax]).toBeGreaterThan(limits.joinSettleMs);
  expect(delays).toEqual([...delays].sort((a, b) => a - b));
  expect(delays.at(-1)).toBe(limits.joinDelayMsMax);
  expect(joinDelayMs(Number.MAX_SAFE_INTEGER)).toBe(limits.joinDelayMsMax);
});
