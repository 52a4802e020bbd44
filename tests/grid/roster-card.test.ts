// Goal: the stored form of a card keeps everything, and never changes under people.
// Method: any card survives (property); a second reader understands the bytes; bytes written by
// earlier versions (tests/fixtures) are read, and written, as they were; later versions' are told
// from ours.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeCard,
  encodeCard,
  mergeOwned,
  unreadCard,
  type LaneCard,
  type OwnedPartition,
} from "../../src/grid/roster-card.ts";
import { readPlain } from "./plain-msgpack.ts";
import { laneCard } from "./roster-cards.ts";

const numRuns = Number(process.env["FC_RUNS"] ?? 200);

const position = fc.oneof(fc.nat(300), fc.maxSafeNat());
const owned: fc.Arbitrary<OwnedPartition[]> = fc.array(
  fc.record({ partition: fc.nat(0xffff), epoch: position, acknowledged: position }),
  { maxLength: 20 },
);
const text = fc.string({ unit: "binary", maxLength: 40 });
const card: fc.Arbitrary<LaneCard> = fc.record({
  incarnation: text,
  unit: text,
  name: text,
  address: fc.option(text),
  release: text,
  database: fc.option(text),
  format: fc.nat(0xffff),
  state: fc.constantFrom("joining", "ready", "leaving", "left"),
  joins: fc.nat(1000),
  wallMs: position,
  counter: position,
  owned,
  witnessed: owned,
});

interface Fixture {
  readonly name: string;
  readonly hex: string;
  readonly decoded: LaneCard;
}

const fixtures = JSON.parse(
  readFileSync(join(import.meta.dirname, "../fixtures/roster-cards.v1.json"), "utf8"),
) as Fixture[];

test.each(fixtures)("a card of an earlier version is read and written: $name", (fixture) => {
  const stored = Buffer.from(fixture.hex, "hex");
  expect(decodeCard(stored)).toEqual(fixture.decoded);
  expect(encodeCard(fixture.decoded).toString("hex")).toBe(fixture.hex);
});

test("any card survives, as one format byte and a plain msgpack list", () => {
  fc.assert(
    fc.property(card, (one) => {
      const stored = encodeCard(one);
      expect(decodeCard(stored)).toEqual(one);
      expect(stored[0]).toBe(1);
      const fields = readPlain(stored.subarray(1)) as unknown[];
      expect(fields).toHaveLength(one.database === null ? 12 : 13);
      expect(fields[0]).toBe(one.incarnation);
      expect(fields[10]).toHaveLength(3 * one.owned.length);
    }),
    { numRuns },
  );
});

test("fields that a later version added at the end do no harm", () => {
  const one = laneCard({ incarnation: "a", database: "d" });
  const stored = encodeCard(one);
  expect(stored[1]).toBe(0x9d); // a list of 13
  const longer = Buffer.concat([stored, Buffer.of(0xc3)]);
  longer[1] = 0x9e;
  expect(decodeCard(longer)).toEqual(one);
});

test("another format or an unknown state is not read: a lane that lives while its bytes change", () => {
  const stored = encodeCard(laneCard({ incarnation: "a", state: "left" }));
  const newer = Buffer.from(stored);
  newer[0] = 2;
  expect(decodeCard(newer)).toBeNull();
  const at = stored.indexOf(Buffer.of(1, 3, 1)); // format, state, joins
  const unknown = Buffer.from(stored);
  unknown[at + 1] = 9;
  expect(decodeCard(unknown)).toBeNull();

  const shown = unreadCard(7, newer);
  expect(shown).toMatchObject({ incarnation: "", format: 2, state: "joining", owned: [] });
  expect(unreadCard(7, newer)).toEqual(shown);
  expect(unreadCard(7, unknown).counter).not.toBe(shown.counter);
});

test("merging keeps for each partition what acknowledged most", () => {
  const at = (partition: number, acknowledged: number): OwnedPartition => {
    return { partition, epoch: 1, acknowledged };
  };
  const merged = mergeOwned([at(3, 10), at(1, 5)], [at(1, 4), at(3, 11), at(2, 0)]);
  expect(merged).toEqual([at(1, 5), at(2, 0), at(3, 11)]);
});
