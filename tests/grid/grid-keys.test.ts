// Goal: keys are where earlier versions put them, and no two things share one.
// Method: written-down bytes; order and uniqueness as properties.
import fc from "fast-check";
import { expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import {
  directoryMapName,
  generationMapName,
  gridIdKey,
  headKey,
  partitionOfKey,
  pointerKey,
  recordKey,
  secretKey,
  segmentKey,
  slotKey,
} from "../../src/grid/grid-keys.ts";

const partition = fc.nat(0xffff);
const position = fc.oneof(fc.nat(300), fc.maxSafeNat());
const segment = fc.record({
  epoch: fc.integer({ min: 1, max: 2 ** 38 - 1 }),
  checkpoint: fc.nat(2 ** 14 - 1),
  segment: fc.nat(2 ** 12 - 1),
});

test.each([
  ["head of partition 0", headKey(0), "0000" + "00" + "0000000000000000"],
  ["head of partition 258", headKey(258), "0102" + "00" + "0000000000000000"],
  ["genesis of partition 3", recordKey(3, 0), "0003" + "01" + "0000000000000000"],
  ["record 258", recordKey(3, 258), "0003" + "01" + "0000000000000102"],
  ["the last record", recordKey(0xffff, 2 ** 53 - 1), "ffff" + "01" + "001fffffffffffff"],
  ["segment", segmentKey(1, 1, 2, 3), "0001" + "02" + "0000000004002003"],
  ["the last segment", segmentKey(1, 2 ** 38 - 1, 16_383, 4095), "0001" + "02" + "f".repeat(16)],
  ["grid id", gridIdKey, "0000" + "10" + "0000000000000000"],
  ["generation pointer", pointerKey, "0000" + "11" + "0000000000000000"],
  ["slot 255 of the roster", slotKey(255), "0000" + "12" + "00000000000000ff"],
  ["secret 1", secretKey(1), "0000" + "13" + "0000000000000001"],
])("a key is partition u16, kind u8, number u64, big-endian: %s", (_name, key, hex) => {
  expect(key.toString("hex")).toBe(hex);
});

test("the maps' names are fixed, one for each generation", () => {
  expect(directoryMapName).toBe("grid");
  expect(generationMapName(1)).toBe("grid.1");
  expect(generationMapName(42)).toBe("grid.42");
});

test("keys of a partition sort by position, and all lie together", () => {
  fc.assert(
    fc.property(partition, position, position, (p, a, b) => {
      expect(Math.sign(Buffer.compare(recordKey(p, a), recordKey(p, b)))).toBe(Math.sign(a - b));
      for (const key of [headKey(p), recordKey(p, a), segmentKey(p, 1, 0, 0)]) {
        expect(partitionOfKey(key)).toBe(p);
        expect(key).toHaveLength(11);
      }
    }),
  );
});

test("no two segments share a key, and none is a record's", () => {
  fc.assert(
    fc.property(partition, segment, segment, (p, a, b) => {
      const first = segmentKey(p, a.epoch, a.checkpoint, a.segment);
      const second = segmentKey(p, b.epoch, b.checkpoint, b.segment);
      const same = a.epoch === b.epoch && a.checkpoint === b.checkpoint && a.segment === b.segment;
      expect(first.equals(second)).toBe(same);
      expect(first[2]).not.toBe(recordKey(p, 0)[2]);
    }),
  );
});

test("what does not fit a key is an assertion, not another key", () => {
  const misfits = [
    () => recordKey(-1, 0),
    () => recordKey(0x1_0000, 0),
    () => recordKey(1.5, 0),
    () => recordKey(0, -1),
    () => recordKey(0, 2 ** 53),
    () => segmentKey(0, 0, 0, 0),
    () => segmentKey(0, 2 ** 38, 0, 0),
    () => segmentKey(0, 1, 2 ** 14, 0),
    () => segmentKey(0, 1, 0, 2 ** 12),
    () => segmentKey(0, 1, -1, 0),
    () => slotKey(-1),
    () => secretKey(0.5),
  ];
  for (const misfit of misfits) expect(misfit).toThrow(AssertionError);
});
