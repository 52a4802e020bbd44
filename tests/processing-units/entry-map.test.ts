// Goal: P2: an entry map is a Map, however much it grows and whatever goes on while it is walked.
// Method: the same random puts and deletes on both, of keys that differ at their ends, at their
// beginnings, or hardly; walks that changes interrupt.
import { expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { EntryMap } from "../../src/processing-units/entry-map.ts";

const kinds: readonly ((number: number) => string)[] = [
  (number) => `user-${String(number)}`,
  (number) => `${String(number)}-with-the-same-long-end`,
  (number) => String.fromCharCode(number % 65_536, Math.floor(number / 65_536)),
];

test.each(kinds.map((keyOf, kind) => [kind, keyOf] as const))(
  "P2: it holds what a Map holds (keys of kind %i)",
  (_kind, keyOf) => {
    const random = seededRandom(7);
    const expected = new Map<string, number>();
    const entries = new EntryMap<number>();
    for (let step = 0; step < 60_000; step++) {
      const key = keyOf(random.below(30_000));
      if (random.chance(0.2)) {
        expected.delete(key);
        entries.delete(key);
      } else {
        expected.set(key, step);
        entries.set(key, step);
      }
    }
    expect(entries.size).toBe(expected.size);
    expect(new Map(entries.entries())).toEqual(expected);
    const keys = Array.from({ length: 30_000 }, (_, number) => keyOf(number));
    expect(keys.filter((key) => entries.get(key) !== expected.get(key))).toEqual([]);
  },
);

test("K2: a walk comes to every entry that is there all the time, while others come and go", () => {
  const entries = new EntryMap<number>();
  const lasting = Array.from({ length: 10_000 }, (_, number) => `lasting-${String(number)}`);
  for (const key of lasting) entries.set(key, 0);
  const seen = new Set<string>();
  let others = 0;
  for (const [key] of entries.entries()) {
    seen.add(key);
    // Four come and one goes for each that is seen: the map doubles twice meanwhile.
    if (others < 40_000) {
      for (let more = 0; more < 4; more++) entries.set(`other-${String(others++)}`, 1);
      entries.delete(`other-${String(others - 7)}`);
    }
  }
  expect(lasting.filter((key) => !seen.has(key))).toEqual([]);
});
