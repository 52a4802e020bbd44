// Memory store: the engine for tests, for simulation, and for `memory:` inside one process.
// Owns: maps of bytes that die with the process. Does not own: sharing them between threads
// (port-store.ts). Nothing here waits: every outcome is definite, and arrives in a later turn.
import { ok, type Outcome } from "../../base/failure.ts";
import type { ByteMap, Store } from "../store.ts";

class MemoryMap implements ByteMap {
  // Keys as latin1 strings: one character a byte, so equal strings are equal bytes.
  readonly #values = new Map<string, Buffer>();

  get(key: Buffer): Promise<Outcome<Buffer | null>> {
    return Promise.resolve(ok(this.#read(key)));
  }

  getMany(keys: readonly Buffer[]): Promise<Outcome<(Buffer | null)[]>> {
    return Promise.resolve(ok(keys.map((key) => this.#read(key))));
  }

  put(key: Buffer, value: Buffer): Promise<Outcome<null>> {
    this.#values.set(key.toString("latin1"), value);
    return Promise.resolve(ok(null));
  }

  putIfAbsent(key: Buffer, value: Buffer): Promise<Outcome<Buffer | null>> {
    const found = this.#read(key);
    if (found === null) this.#values.set(key.toString("latin1"), value);
    return Promise.resolve(ok(found));
  }

  replaceIfSame(key: Buffer, expected: Buffer, value: Buffer): Promise<Outcome<boolean>> {
    const found = this.#read(key);
    if (found?.equals(expected) !== true) return Promise.resolve(ok(false));
    this.#values.set(key.toString("latin1"), value);
    return Promise.resolve(ok(true));
  }

  delete(key: Buffer): Promise<Outcome<null>> {
    this.#values.delete(key.toString("latin1"));
    return Promise.resolve(ok(null));
  }

  #read(key: Buffer): Buffer | null {
    return this.#values.get(key.toString("latin1")) ?? null;
  }
}

export class MemoryStore implements Store {
  readonly #maps = new Map<string, MemoryMap>();

  map(name: string): ByteMap {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = new MemoryMap();
      this.#maps.set(name, map);
    }
    return map;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
