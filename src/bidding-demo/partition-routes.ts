// Partition routes: for each partition a routing key that leads to it.
// Owns: the table. Needed where the partition is known and the user is not: a bid id names its
// partition, and need not carry the user to everybody who sees a notice's address.
import { assert, must } from "../base/assert.ts";
import { partitionOf } from "../base/murmur3.ts";

export class PartitionRoutes {
  readonly #keys: string[] = [];

  constructor(partitions: number) {
    assert(partitions > 0, "a grid has partitions");
    let missing = partitions;
    for (let number = 0; missing > 0; number++) {
      const key = `partition-route-${number}`;
      const partition = partitionOf(key, partitions);
      if (this.#keys[partition] !== undefined) continue;
      this.#keys[partition] = key;
      missing -= 1;
    }
  }

  /** Whether the grid has such a partition. */
  has(partition: number): boolean {
    return partition < this.#keys.length;
  }

  /** A key for which `partitionOf` gives the partition. */
  to(partition: number): string {
    return must(this.#keys[partition], () => `partition ${partition}`);
  }
}

let known: { readonly partitions: number; readonly routes: PartitionRoutes } | null = null;

/** The routes of a grid with so many partitions, made once. */
export function routesOf(partitions: number): PartitionRoutes {
  if (known?.partitions !== partitions) {
    known = { partitions, routes: new PartitionRoutes(partitions) };
  }
  return known.routes;
}
