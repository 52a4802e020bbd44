// Key rotation: which keys the clients of a workload use at a time, and when a key is retired.
// Judging a history is hard in the clients and operations of one key, and hardest in operations of
// which nobody knows whether they happened (docs: src/checkers): so each key gets few of them.
// Owns: the keys in use. Does not own: operations, their history (history.ts).
import { must } from "../base/assert.ts";
import type { Random } from "../base/random.ts";

/** Clients that are there at a time; all of them use the same keys. */
export const clientsMax = 10;
const operationsPerKeyMax = 200;
const unknownPerKeyMax = 8;
/** Keys that are in use at a time: some contention on each, and several partitions. */
const keysAtOnce = 3;

interface KeyInUse {
  readonly name: string;
  operations: number;
  unknown: number;
}

export class KeyRotation {
  readonly #prefix: string;
  readonly #inUse: KeyInUse[];
  readonly #byName = new Map<string, KeyInUse>();

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.#inUse = Array.from({ length: keysAtOnce }, () => this.#fresh());
  }

  /** Every key that was ever used, in its order. */
  get all(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** A key for one more operation. */
  next(random: Random): string {
    const place = random.below(keysAtOnce);
    let key = must(this.#inUse[place], "a key is in use in each place");
    if (key.operations >= operationsPerKeyMax || key.unknown >= unknownPerKeyMax) {
      key = this.#fresh();
      this.#inUse[place] = key;
    }
    key.operations++;
    return key.name;
  }

  /** Nobody will know what became of an operation on this key. */
  isUnknown(name: string): void {
    must(this.#byName.get(name), "a key that was given out").unknown++;
  }

  #fresh(): KeyInUse {
    const name = `${this.#prefix}${String(this.#byName.size)}`;
    const key = { name, operations: 0, unknown: 0 };
    this.#byName.set(name, key);
    return key;
  }
}
