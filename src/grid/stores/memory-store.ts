// Memory store: the engine for tests, for simulation, and for `memory:` inside one process.
// Owns: maps of bytes that die with the process. Does not own: sharing them between threads
// (port-store.ts). Nothing here waits: every outcome is definite, and arrives in a later turn.
import { failed, ok, type Outcome } from "../../base/failure.ts";
import type { ByteMap, Store } from "../store.ts";

class MemoryMap implements ByteMap {
  readonly #store: MemoryStore;
  // Keys as latin1 strings: one character a byte, so equal strings are equal bytes.
  readonly #values = new Map<string, Buffer>();

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  get(key: Buffer): Promise<Outcome<Buffer | null>> {
    return this.#answer(() => this.#read(key));
  }

  getMany(keys: readonly Buffer[]): Promise<Outcome<(Buffer | null)[]>> {
    return this.#answer(() => keys.map((key) => this.#read(key)));
  }

  put(key: Buffer, value: Buffer): Promise<Outcome<null>> {
    return this.#answer(() => {
      this.#values.set(key.toString("latin1"), value);
      return null;
    });
  }

  putIfAbsent(key: Buffer, value: Buffer): Promise<Outcome<Buffer | null>> {
    return this.#answer(() => {
      const found = this.#read(key);
      if (found === null) this.#values.set(key.toString("latin1"), value);
      return found;
    });
  }

  replaceIfSame(key: Buffer, expected: Buffer, value: Buffer): Promise<Outcome<boolean>> {
    return this.#answer(() => {
      if (this.#read(key)?.equals(expected) !== true) return false;
      this.#values.set(key.toString("latin1"), value);
      return true;
    });
  }

  delete(key: Buffer): Promise<Outcome<null>> {
    return this.#answer(() => {
      this.#values.delete(key.toString("latin1"));
      return null;
    });
  }

  #answer<T>(operation: () => T): Promise<Outcome<T>> {
    return Promise.resolve(
      this.#store.closed
        ? failed("STORE_UNAVAILABLE", "the memory store is closed")
        : ok(operation()),
    );
  }

  #read(key: Buffer): Buffer | null {
    return this.#values.get(key.toString("latin1")) ?? null;
  }
}

export class MemoryStore implements Store {
  readonly #maps = new Map<string, MemoryMap>();
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  map(name: string): ByteMap {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = new MemoryMap(this);
      this.#maps.set(name, map);
    }
    return map;
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}
