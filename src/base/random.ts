// Random: the port through which every module draws chance, so that a seed can repeat it.
// Owns: the seeded generator. Does not own: secrets (those come from node:crypto where they are
// made, and never take part in what a seed must repeat).
// Source: sfc32 by Chris Doty-Humphrey (PractRand), seeded through splitmix32.
import { randomBytes } from "node:crypto";
import { assert } from "./assert.ts";

export interface Random {
  /** Whole number, 0 ≤ n < 2^32. */
  uint32(): number;
  /** Fraction, 0 ≤ x < 1, 32 bits fine. */
  fraction(): number;
  /** Whole number, 0 ≤ n < `limit`, for limits up to 2^32. */
  below(limit: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** One of a list that is not empty. */
  pick<T>(items: readonly T[]): T;
  /** A generator of its own, decided by this one and the label. */
  fork(label: string): Random;
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

function hashLabel(label: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < label.length; index++) {
    hash = Math.imul(hash ^ label.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(a: number, b: number, c: number) {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    for (let round = 0; round < 12; round++) this.uint32();
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  below(limit: number): number {
    assert(Number.isInteger(limit) && limit > 0, () => `below(${String(limit)})`);
    return Math.floor(this.fraction() * limit);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, "pick from an empty list");
    return items[this.below(items.length)] as T;
  }

  fork(label: string): Random {
    return seededRandom(this.uint32() ^ hashLabel(label));
  }
}

/** A generator that gives the same numbers for the same seed (32 bits of it count). */
export function seededRandom(seed: number): Random {
  const mix = splitmix32(seed);
  return new SeededRandom(mix(), mix(), mix());
}

/** A generator that no other has: 96 bits from the system decide it. */
export function systemRandom(): Random {
  const seed = randomBytes(12);
  return new SeededRandom(seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8));
}
