// Goal: a seed repeats everything, today and in a year. Method: sequences written down; ranges as
// properties; the spread of one fixed seed, so that no run differs from another.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { newId } from "../../src/base/ids.ts";
import { seededRandom, systemRandom, type Random } from "../../src/base/random.ts";

function drawn(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.uint32());
}

describe("a seed repeats", () => {
  test("the numbers of a seed are those that were written down", () => {
    expect(drawn(seededRandom(1), 4)).toEqual([2420951833, 2513034076, 3847892949, 4064752930]);
    expect(drawn(seededRandom(0), 4)).toEqual([2899526011, 769844623, 220372281, 4270301181]);
  });

  test("each verb draws the same again, and a fork is decided by its parent and label", () => {
    fc.assert(
      fc.property(fc.integer(), fc.string(), (seed, label) => {
        const [first, second] = [seededRandom(seed), seededRandom(seed)].map((random) => [
          random.uint32(),
          random.fraction(),
          random.below(1000),
          random.chance(0.5),
          random.pick(["a", "b", "c"]),
          drawn(random.fork(label), 3),
          newId(random),
          random.uint32(),
        ]);
        expect(second).toEqual(first);
      }),
    );
  });

  test("different seeds and different labels differ", () => {
    const starts = new Set<string>();
    for (let seed = 0; seed < 1000; seed++) {
      starts.add(String(drawn(seededRandom(seed), 2)));
      starts.add(String(drawn(seededRandom(seed).fork("a"), 2)));
      starts.add(String(drawn(seededRandom(seed).fork("b"), 2)));
    }
    expect(starts.size).toBe(3000);
    expect(drawn(systemRandom(), 4)).not.toEqual(drawn(systemRandom(), 4));
  });
});

test("numbers stay in their ranges", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, limit) => {
      const random = seededRandom(seed);
      const below = random.below(limit);
      expect(Number.isInteger(below) && below >= 0 && below < limit).toBe(true);
      const fraction = random.fraction();
      expect(fraction >= 0 && fraction < 1).toBe(true);
      const uint32 = random.uint32();
      expect(Number.isInteger(uint32) && uint32 >= 0 && uint32 < 2 ** 32).toBe(true);
      expect(random.chance(0)).toBe(false);
      expect(random.chance(1)).toBe(true);
    }),
  );
  for (const limit of [0, -1, 0.5]) {
    expect(() => seededRandom(1).below(limit)).toThrow(AssertionError);
  }
  expect(() => seededRandom(1).pick([])).toThrow(AssertionError);
});

test("numbers are spread evenly", () => {
  const random = seededRandom(7);
  const draws = 100_000;
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < draws; draw++) {
    const at = random.below(10);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  // Chi squared with 9 degrees of freedom: 27.9 is passed once in a thousand seeds.
  const expected = draws / 10;
  const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chiSquared).toBeLessThan(27.9);
});

test("an id has its length, only letters that cannot be mistaken, and no double", () => {
  const random = seededRandom(3);
  const ids = Array.from({ length: 10_000 }, () => newId(random));
  for (const id of ids) expect(id).toMatch(/^[0-9bcdfghjkmnpqrstvwxyz]{16}$/);
  expect(new Set(ids).size).toBe(ids.length);
  expect(newId(random, 5)).toHaveLength(5);
});
