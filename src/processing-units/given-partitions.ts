// Given partitions: what a lane released to an heir, which that one may not serve yet.
// Owns: for how long each counts as on its way, and whether anybody has served it since.
// Does not own: who the heirs are, and what follows from it (ownership.ts).
// Invariants (docs/invariants.md):
//   O4. What a lane gives away as it leaves is served by somebody before the lane is gone.
import { limits } from "../base/limits.ts";
import type { OwnerTable } from "../messaging-grid/owner-table.ts";

export class GivenPartitions {
  readonly #owners: OwnerTable;
  /** By partition: the epoch that was released. */
  readonly #given = new Map<number, number>();
  /** Until when it is waited for before more is given. */
  readonly #movingUntilMs = new Map<number, number>();

  constructor(owners: OwnerTable) {
    this.#owners = owners;
  }

  give(partition: number, epoch: number, nowMs: number): void {
    this.#given.set(partition, epoch);
    this.#movingUntilMs.set(partition, nowMs + limits.handOverMsMax);
  }

  /** It was released to nobody: nobody is waited for. */
  drop(partition: number): void {
    this.#given.delete(partition);
  }

  /** Somebody serves it. True where it was on its way. */
  served(partition: number): boolean {
    return this.#movingUntilMs.delete(partition);
  }

  /** How many are on their way. */
  movingCount(nowMs: number): number {
    for (const [partition, untilMs] of this.#movingUntilMs) {
      if (nowMs >= untilMs) this.#movingUntilMs.delete(partition);
    }
    return this.#movingUntilMs.size;
  }

  /** Those that nobody is known to have served since. */
  get unserved(): ReadonlySet<number> {
    for (const [partition, epoch] of this.#given) {
      if (this.#owners.epochOf(partition) > epoch) this.#given.delete(partition);
    }
    return new Set(this.#given.keys());
  }
}
