// Store tap: a store as it is, and how many of its appends are under way in which partition.
// Owns: the count. Changes nothing, except that it can keep a lane's heartbeats to itself.
import { failed, type Outcome } from "../../../src/base/failure.ts";
import { partitionOfKey, slotKey } from "../../../src/grid/grid-keys.ts";
import type { ByteMap, Store } from "../../../src/grid/store.ts";

export class StoreTap implements Store {
  readonly #store: Store;
  readonly #appends = new Map<number, number>();
  /** Heartbeats do not reach the store. */
  keepsSilent = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Partitions with an append that the store has not answered. */
  get appending(): number[] {
    return [...this.#appends].filter(([, count]) => count > 0).map(([partition]) => partition);
  }

  map(name: string): ByteMap {
    const map = this.#store.map(name);
    return {
      get: (key, deadlineMs) => map.get(key, deadlineMs),
      getMany: (keys, deadlineMs) => map.getMany(keys, deadlineMs),
      put: (key, value, deadlineMs) => map.put(key, value, deadlineMs),
      putIfAbsent: (key, value, deadlineMs) =>
        this.#counted(key, map.putIfAbsent(key, value, deadlineMs)),
      replaceIfSame: (key, expected, value, deadlineMs) =>
        this.keepsSilent && isOfSlot(key)
          ? Promise.resolve(failed("STORE_UNAVAILABLE", "the test keeps this lane silent"))
          : map.replaceIfSame(key, expected, value, deadlineMs),
      delete: (key, deadlineMs) => map.delete(key, deadlineMs),
    };
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #counted<T>(key: Buffer, append: Promise<Outcome<T>>): Promise<Outcome<T>> {
    const partition = partitionOfKey(key);
    this.#add(partition, 1);
    const outcome = await append;
    this.#add(partition, -1);
    return outcome;
  }

  #add(partition: number, by: number): void {
    this.#appends.set(partition, (this.#appends.get(partition) ?? 0) + by);
  }
}

const slotPrefixBytes = 3;

function isOfSlot(key: Buffer): boolean {
  const prefix = (bytes: Buffer) => bytes.subarray(0, slotPrefixBytes);
  return prefix(key).equals(prefix(slotKey(0)));
}
