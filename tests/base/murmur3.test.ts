// Goal: the hash that decides the partition of a routing key is MurmurHash3 x86 32, for ever.
// Method: published vectors, smhasher's own verification value, partitions written down.
import fc from "fast-check";
import { expect, test } from "vitest";
import { murmur3, partitionOf } from "../../src/base/murmur3.ts";

const seedUsed = 0x9747b28c;

// Collected from implementations that agree with the reference; bytes as hex.
test.each([
  ["", 0, 0x00000000],
  ["", 1, 0x514e28b7],
  ["", 0xffffffff, 0x81f16f39],
  ["ffffffff", 0, 0x76293b50],
  ["21436587", 0, 0xf55b516b],
  ["21436587", 0x5082edee, 0x2362f9de],
  ["214365", 0, 0x7e4a8634],
  ["2143", 0, 0xa0f7b07a],
  ["21", 0, 0x72661cf4],
  ["00000000", 0, 0x2362f9de],
  ["000000", 0, 0x85f0b427],
  ["0000", 0, 0x30f4c306],
  ["00", 0, 0x514e28b7],
])("published vector: bytes %s, seed %i", (hex, seed, hash) => {
  expect(murmur3(Buffer.from(hex, "hex"), seed)).toBe(hash);
});

test.each([
  ["aaaa", 0x5a97808a],
  ["aaa", 0x283e0130],
  ["aa", 0x5d211726],
  ["a", 0x7fa09ea6],
  ["abcd", 0xf0478627],
  ["abc", 0xc84a62dd],
  ["ab", 0x74875592],
  ["Hello, world!", 0x24884cba],
  ["ππππππππ", 0xd58063c1],
  ["a".repeat(256), 0x37405bdc],
  ["The quick brown fox jumps over the lazy dog", 0x2fa826cd],
])("published vector: text %s", (text, hash) => {
  expect(murmur3(Buffer.from(text), seedUsed)).toBe(hash);
});

test("smhasher's verification value for MurmurHash3_x86_32", () => {
  // KeysetTest.cpp, VerificationTest: the hash of the hashes of 0, 01, 0102, … with falling seeds.
  const hashes = Buffer.alloc(256 * 4);
  for (let length = 0; length < 256; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => index));
    hashes.writeUInt32LE(murmur3(bytes, 256 - length), length * 4);
  }
  expect(murmur3(hashes, 0)).toBe(0xb0f57ee3);
});

test("a routing key's partition is its murmur3 mod partitions, and never moves", () => {
  const places = ["", "a", "user-1", "user-2", "ß€😀", "x".repeat(1000), "é".repeat(700)].map(
    (text) => partitionOf(text, 32),
  );
  expect(places).toEqual([0, 18, 3, 11, 10, 14, 6]);
});

test("a partition is always the hash of the UTF-8 bytes, however long the key", () => {
  const text = fc.string({ unit: "binary", maxLength: 1500, size: "max" });
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 4096 }), (one, partitions) => {
      expect(partitionOf(one, partitions)).toBe(murmur3(Buffer.from(one)) % partitions);
    }),
  );
});
