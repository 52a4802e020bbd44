// Partition memory: the entries of one partition's spaces, as the log says they are.
// Owns: the maps. Does not own: when they change; it is a cache of the log, and dropped with it.
// Invariants (docs/invariants.md):
//   P2. Memory is the fold of the partition's changes in order, and of nothing else: its values
//       are frozen, whether they were put here or loaded from the log.
import type { Change, CommandEntry, Value } from "../grid/log-record.ts";
import type { Space } from "./space.ts";
import { freezeLoaded } from "./value.ts";

export class PartitionMemory {
  // null: write-only, its changes are journaled and written, and kept nowhere here.
  readonly #spaces = new Map<string, Map<string, Value> | null>();

  constructor(spaces: readonly Space[]) {
    for (const space of spaces) this.#spaces.set(space.name, space.writeOnly ? null : new Map());
  }

  knows(space: string): boolean {
    return this.#spaces.has(space);
  }

  get(space: string, key: string): Value | undefined {
    return this.#spaces.get(space)?.get(key);
  }

  entries(space: string): Iterable<[string, Value]> {
    return this.#spaces.get(space)?.entries() ?? [];
  }

  /** Applies changes in order. Spaces that the application no longer has are passed over. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const entries = this.#spaces.get(change.space);
      if (entries === null || entries === undefined) continue;
      if (change.value === null) entries.delete(change.key);
      else entries.set(change.key, change.value);
    }
  }

  /** Applies changes that were read from the log. */
  load(changes: readonly Change[]): void {
    for (const { space, value } of changes) {
      if (this.#spaces.get(space) instanceof Map) freezeLoaded(value);
    }
    this.apply(changes);
  }

  /** Loads what each command of a record changed, in order. */
  fold(entries: readonly CommandEntry[]): void {
    for (const entry of entries) this.load(entry.changes);
  }
}
