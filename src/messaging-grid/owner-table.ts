// Owner table: which lane owns which partition.
// Owns: the table, which never changes; another assignment is another table.
// Does not own: who decides on an assignment, nor whether an owner has claimed its partitions yet.
import { assert, must } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

export class OwnerTable {
  readonly #owners: readonly number[];

  /** `owners[partition]` is the number of the lane that owns it. */
  constructor(owners: readonly number[]) {
    assert(owners.length > 0 && owners.length <= limits.partitionsMax, "a grid has partitions");
    this.#owners = [...owners];
  }

  get partitions(): number {
    return this.#owners.length;
  }

  /** Number of the lane that owns `partition`. */
  ownerOf(partition: number): number {
    return must(this.#owners[partition], () => `there is no partition ${String(partition)}`);
  }

  /** The partitions that `lane` owns, ascending. */
  ownedBy(lane: number): number[] {
    const owned: number[] = [];
    for (const [partition, owner] of this.#owners.entries()) {
      if (owner === lane) owned.push(partition);
    }
    return owned;
  }
}

/** The table in which partition p belongs to lane p mod `lanes`. */
export function staticOwners(partitions: number, lanes: number): OwnerTable {
  assert(lanes > 0, "partitions need a lane");
  return new OwnerTable(Array.from({ length: partitions }, (_, partition) => partition % lanes));
}
