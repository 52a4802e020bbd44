// Replica store: what a data grid's members hold, as a primary and its backups, key by key.
// Owns: how an operation meets the copies, and what is left when the primary dies.
// Does not own: time, and what a caller is told (lying-store.ts, log-script.ts).
// The model is Hazelcast's: the primary alone decides an operation; what it changed goes to each
// backup, or does not; an operation that changed nothing sends nothing. So a value that was
// *found* proves no backup. The stated failure bound: while any copy lives, what was on all
// copies is still there.
import { assert, must } from "../base/assert.ts";
import type { LogCall } from "../grid/log-write.ts";

export type StoreCall =
  | LogCall
  | { readonly op: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly op: "delete"; readonly key: Buffer };

export type StoreValue = null | boolean | Buffer | (Buffer | null)[];

export interface Execution {
  readonly value: StoreValue;
  /** True where no copy lacks what the operation changed. */
  readonly onAllCopies: boolean;
}

/** What one member holds: keys as latin1 strings behind their map's name. */
export type Replica = ReadonlyMap<string, Buffer>;

export function storedKey(map: string, key: Buffer): string {
  return `${map}/${key.toString("latin1")}`;
}

export class ReplicaStore {
  #copies: Map<string, Buffer>[];
  /** Copies that another store has, too: they are copied before they change. */
  #shared: ReadonlySet<Map<string, Buffer>> = new Set();

  constructor(copies: number) {
    assert(copies >= 1, "a store has a primary");
    this.#copies = Array.from({ length: copies }, () => new Map<string, Buffer>());
  }

  clone(): ReplicaStore {
    const other = new ReplicaStore(1);
    other.#copies = [...this.#copies];
    other.#shared = new Set(this.#copies);
    this.#shared = other.#shared;
    return other;
  }

  /** All live copies; the first is the primary. */
  get replicas(): readonly Replica[] {
    return this.#copies;
  }

  /** Executes one call at the primary; `reaches` says for each backup whether the change does. */
  execute(map: string, call: StoreCall, reaches: (backup: number) => boolean): Execution {
    const primary = must(this.#copies[0], "a live primary");
    const done = (value: StoreValue): Execution => ({ value, onAllCopies: true });
    switch (call.op) {
      case "get":
        return done(primary.get(storedKey(map, call.key)) ?? null);
      case "getMany":
        return done(call.keys.map((key) => primary.get(storedKey(map, key)) ?? null));
      case "putIfAbsent": {
        const key = storedKey(map, call.key);
        const found = primary.get(key);
        if (found !== undefined) return done(found);
        return { value: null, onAllCopies: this.#change(key, call.value, reaches) };
      }
      case "replaceIfSame": {
        const key = storedKey(map, call.key);
        if (primary.get(key)?.equals(call.expected) !== true) return done(false);
        return { value: true, onAllCopies: this.#change(key, call.value, reaches) };
      }
      case "put": {
        const key = storedKey(map, call.key);
        return { value: null, onAllCopies: this.#change(key, call.value, reaches) };
      }
      case "delete": {
        const key = storedKey(map, call.key);
        return { value: null, onAllCopies: this.#change(key, null, reaches) };
      }
    }
  }

  /** The primary dies, and the first backup takes its place. */
  losePrimary(): void {
    assert(this.#copies.length > 1, "the failure bound: one copy lives");
    this.#copies.shift();
  }

  /** Another member joins, and is given what the primary has. */
  joinBackup(): void {
    this.#copies.push(new Map(this.#copies[0]));
  }

  /** Anti-entropy: the backups become what the primary is. */
  catchUp(): void {
    for (let backup = 1; backup < this.#copies.length; backup++) {
      this.#copies[backup] = new Map(this.#copies[0]);
    }
  }

  /** What the primary has now, to go back to. */
  snapshot(): Replica {
    return new Map(this.#copies[0]);
  }

  /** Beyond the failure bound: every copy becomes what it was earlier, or empty. */
  rewind(to: Replica): void {
    this.#copies = this.#copies.map(() => new Map(to));
  }

  #own(index: number, copy: Map<string, Buffer>): Map<string, Buffer> {
    if (!this.#shared.has(copy)) return copy;
    const own = new Map(copy);
    this.#copies[index] = own;
    return own;
  }

  #change(key: string, value: Buffer | null, reaches: (backup: number) => boolean): boolean {
    let all = true;
    for (const [index, copy] of this.#copies.entries()) {
      if (index > 0 && !reaches(index - 1)) all = false;
      else if (value === null) this.#own(index, copy).delete(key);
      else this.#own(index, copy).set(key, value);
    }
    return all;
  }
}
