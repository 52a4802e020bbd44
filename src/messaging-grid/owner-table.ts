// Owner table: which lane owns which partition, as far as this lane has heard.
// Owns: the newest epoch known of each partition, and the slot of its lane. Does not own: who
// decides on an assignment, what is heard (notices, the roster), whether a lane lives.
// It may be behind, never wrong for long: the log decides who owns a partition.
// Invariants (docs/invariants.md):
//   M6. A partition's owner gives way only to one of a higher epoch; what was released or
//       overtaken never comes back.
import { assert, must } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

export interface Owner {
  readonly slot: number;
  readonly epoch: number;
}

interface Known {
  /** The newest epoch that was heard of; 0: none. */
  epoch: number;
  /** That epoch's owner; null where it released the partition, or its lane is lost. */
  owner: Owner | null;
  released: boolean;
}

export class OwnerTable {
  readonly #known: readonly Known[];
  /** Called whenever another owner, or none, is known of a partition. */
  onChange: (partition: number) => void = () => undefined;

  constructor(partitions: number) {
    assert(partitions > 0 && partitions <= limits.partitionsMax, "a grid has partitions");
    this.#known = Array.from({ length: partitions }, () => ({
      epoch: 0,
      owner: null,
      released: false,
    }));
  }

  get partitions(): number {
    return this.#known.length;
  }

  /** Who owns `partition`; null while nobody is known to. */
  ownerOf(partition: number): Owner | null {
    return this.#of(partition).owner;
  }

  /** The newest epoch that was heard of, its owner known or not; 0: none. */
  epochOf(partition: number): number {
    return this.#of(partition).epoch;
  }

  /** A lane owns a partition under this epoch. True where that is news. */
  learn(partition: number, slot: number, epoch: number): boolean {
    assert(epoch > 0, "an owner has claimed its partition");
    const known = this.#of(partition);
    // The same epoch again is its lane that was only thought to be lost.
    const isBack = epoch === known.epoch && known.owner === null && !known.released;
    if (epoch <= known.epoch && !isBack) return false; // M6
    known.epoch = epoch;
    known.owner = { slot, epoch };
    known.released = false;
    this.onChange(partition);
    return true;
  }

  /** The owner of this epoch released the partition. True where that is news. */
  released(partition: number, epoch: number): boolean {
    const known = this.#of(partition);
    if (epoch < known.epoch || (epoch === known.epoch && known.released)) return false; // M6
    known.epoch = epoch;
    known.owner = null;
    known.released = true;
    this.onChange(partition);
    return true;
  }

  /** The lane in that slot is gone: nobody is known to own what it had. */
  lost(slot: number): void {
    for (const partition of this.ownedBy(slot)) {
      this.#of(partition).owner = null;
      this.onChange(partition);
    }
  }

  /** The partitions that the lane in that slot owns, ascending. */
  ownedBy(slot: number): number[] {
    const owned: number[] = [];
    for (const [partition, { owner }] of this.#known.entries()) {
      if (owner?.slot === slot) owned.push(partition);
    }
    return owned;
  }

  #of(partition: number): Known {
    return must(this.#known[partition], () => `there is no partition ${String(partition)}`);
  }
}
