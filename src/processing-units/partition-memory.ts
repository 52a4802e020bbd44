// Partition memory: the entries of one partition's spaces, as the log says they are, and which of
// them a checkpoint has to encode.
// Owns: the maps, the marks on what changed, encoding in slices. Does not own: when they change,
// and when a checkpoint is made (src/grid/checkpointer.ts); it is a cache of the log, and dropped
// with it.
// Invariants (docs/invariants.md):
//   P2. Memory is the fold of the partition's changes in order, and of nothing else: its values
//       are frozen, whether they were put here or loaded from the log. (Not those of the engine's
//       own spaces, whose rows are changed in place by who owns them.)
//   K2. Every change is marked, those of a checkpoint record's delta and batch included.
import type { CheckpointMemory } from "../grid/checkpoint-memory.ts";
import { DirtyKeys, type KeySet } from "../grid/dirty-keys.ts";
import type { Change, CommandEntry, Value } from "../grid/log-record.ts";
import { changeBytes } from "../grid/value-bytes.ts";
import { EntryMap } from "./entry-map.ts";
import { requestSpace, senderSpace } from "./internal-spaces.ts";
import type { Space } from "./space.ts";
import { freezeLoaded } from "./value.ts";

const internalSpaces: readonly string[] = [senderSpace, requestSpace];

/** The first changes are measured, then one in so many; the average follows the last measured. */
const sampleEvery = 16;
const averageOver = 64;

interface KeptSpace {
  readonly entries: EntryMap<Value>;
  /** About the encoded size of one entry. */
  averageBytes: number;
  puts: number;
  readonly isInternal: boolean;
}

export class PartitionMemory implements CheckpointMemory {
  // null: write-only, its changes are journaled and written, and kept nowhere here.
  readonly #spaces = new Map<string, KeptSpace | null>();
  readonly #dirty = new DirtyKeys();
  #round: Iterator<Change> = [][Symbol.iterator]();

  constructor(spaces: readonly Space[]) {
    for (const { name, writeOnly } of spaces)
      this.#spaces.set(name, writeOnly ? null : kept(false));
    for (const name of internalSpaces) this.#spaces.set(name, kept(true));
  }

  knows(space: string): boolean {
    return this.#spaces.has(space);
  }

  get(space: string, key: string): Value | undefined {
    return this.#spaces.get(space)?.entries.get(key);
  }

  entries(space: string): Iterable<[string, Value]> {
    return this.#spaces.get(space)?.entries.entries() ?? [];
  }

  /** About the encoded size of all entries. */
  get bytes(): number {
    let bytes = 0;
    for (const space of this.#spaces.values()) {
      if (space !== null) bytes += space.entries.size * space.averageBytes;
    }
    return Math.ceil(bytes);
  }

  /** Applies changes in order. Spaces that the application no longer has are passed over. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const space = this.#spaces.get(change.space);
      if (space === null || space === undefined) continue;
      put(space, change);
      this.#dirty.mark(change.space, change.key); // K2
    }
  }

  /** Applies changes that were read from the log. */
  load(changes: readonly Change[]): void {
    this.#freeze(changes);
    this.apply(changes);
  }

  /** Loads what each command of a record changed, in order. */
  fold(entries: readonly CommandEntry[]): void {
    for (const entry of entries) this.load(entry.changes);
  }

  /** Loads a segment of the checkpoint that loading begins from: what it says is clean. */
  loadSegment(changes: readonly Change[]): void {
    for (const change of changes) {
      const space = this.#spaces.get(change.space);
      if (space === null || space === undefined) continue;
      if (!space.isInternal) freezeLoaded(change.value);
      put(space, change);
    }
  }

  /**
   * Loads what a checkpoint record says before its batch. It is the base of the next checkpoint:
   * only what its segments may lack is marked, which is its delta, and all that follows.
   */
  loadCheckpoint(delta: readonly Change[]): void {
    this.#dirty.clear();
    this.load(delta);
  }

  beginRound(everything: boolean): void {
    const marked = this.#dirty.beginRound();
    this.#round = everything ? this.#everything() : this.#marked(marked);
  }

  slice(bytes: number): readonly Change[] {
    const changes: Change[] = [];
    let size = 0;
    while (size < bytes) {
      const next = this.#round.next();
      if (next.done === true) break;
      changes.push(next.value);
      size += changeBytes(next.value);
    }
    return changes;
  }

  delta(bytesMax: number): readonly Change[] | null {
    const changes: Change[] = [];
    let bytes = 0;
    for (const change of this.#marked(this.#dirty.open)) {
      bytes += changeBytes(change);
      if (bytes > bytesMax) return null;
      changes.push(change);
    }
    return changes;
  }

  encoded(): void {
    this.#dirty.encoded();
  }

  givenUp(): void {
    this.#dirty.giveUp();
  }

  #freeze(changes: readonly Change[]): void {
    for (const { space, value } of changes) {
      if (this.#spaces.get(space)?.isInternal === false) freezeLoaded(value);
    }
  }

  // Entries that come and go while a map is walked do no harm: they are marked, and come later.
  *#everything(): Generator<Change> {
    for (const [space, keptSpace] of this.#spaces) {
      if (keptSpace === null) continue;
      for (const [key, value] of keptSpace.entries.entries()) {
        if (this.#dirty.open.get(space)?.has(key) !== true) yield { space, key, value };
      }
    }
  }

  *#marked(marked: KeySet): Generator<Change> {
    for (const [space, keys] of marked) {
      const entries = this.#spaces.get(space)?.entries;
      for (const key of keys) yield { space, key, value: entries?.get(key) ?? null };
    }
  }
}

function kept(isInternal: boolean): KeptSpace {
  return { entries: new EntryMap(), averageBytes: 0, puts: 0, isInternal };
}

function put(space: KeptSpace, change: Change): void {
  if (change.value === null) {
    space.entries.delete(change.key);
    return;
  }
  space.entries.set(change.key, change.value);
  if (space.puts++ < averageOver || space.puts % sampleEvery === 0) {
    const over = Math.min(space.puts, averageOver);
    space.averageBytes += (changeBytes(change) - space.averageBytes) / over;
  }
}
