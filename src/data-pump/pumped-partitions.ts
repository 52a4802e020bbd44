// Pumped partitions: the partitions of one lane's pump, and what is true of all of them together.
// Owns: the set. Does not own: one partition (pumped-partition.ts), what follows (pump.ts).
import { failure, type Failure } from "../base/failure.ts";
import type { BatchSize } from "./batch-size.ts";
import { lettersListed, type ListedLetter } from "./database.ts";
import type { PumpedPartition } from "./pumped-partition.ts";

export class PumpedPartitions {
  readonly #byNumber = new Map<number, PumpedPartition>();

  get size(): number {
    return this.#byNumber.size;
  }

  get all(): PumpedPartition[] {
    return [...this.#byNumber.values()];
  }

  get(number: number): PumpedPartition | undefined {
    return this.#byNumber.get(number);
  }

  set(partition: PumpedPartition): void {
    this.#byNumber.set(partition.number, partition);
  }

  delete(number: number): void {
    this.#byNumber.delete(number);
  }

  /** False where another ownership has taken its place, or none. */
  has(partition: PumpedPartition): boolean {
    return this.#byNumber.get(partition.number) === partition;
  }

  /** Bytes of the records that are held. */
  get heldBytes(): number {
    let bytes = 0;
    for (const partition of this.#byNumber.values()) bytes += partition.heldBytes;
    return bytes;
  }

  get deadLetters(): number {
    let count = 0;
    for (const { parked } of this.#byNumber.values()) count += parked.count;
    return count;
  }

  get newestLetters(): ListedLetter[] {
    const newest = this.all.flatMap(({ parked }) => parked.newest);
    return newest.sort((a, b) => b.timeMs - a.timeMs).slice(0, lettersListed);
  }

  /** When the oldest record that is not written was journaled; `nowMs` where all are. */
  oldestMs(nowMs: number): number {
    let oldestMs = nowMs;
    for (const partition of this.#byNumber.values()) {
      oldestMs = Math.min(oldestMs, partition.oldestMs(nowMs));
    }
    return oldestMs;
  }

  /** True where what may go in a transaction now is worth one while another is under way. */
  isLargeReady(size: BatchSize): boolean {
    let [records, bytes] = [0, 0];
    for (const partition of this.#byNumber.values()) {
      if (!partition.isReady) continue;
      const { unformed } = partition;
      records += unformed.records;
      bytes += unformed.bytes;
    }
    return size.isLarge(records, bytes);
  }

  get isAnyStarved(): boolean {
    return this.all.some(({ isStarved }) => isStarved);
  }

  /** True where everything is written, as far as it can be. */
  get isAtRest(): boolean {
    return this.all.every(({ isDone, phase }) => isDone || phase === "halted");
  }

  get isAnyHalted(): boolean {
    return this.all.some(({ phase }) => phase === "halted");
  }

  /** True where there is something to do now. */
  get hasWork(): boolean {
    return this.all.some(({ phase, isAsked, isDone, isBlocked }) => {
      return phase !== "halted" && (isAsked || (!isDone && !isBlocked));
    });
  }

  /** True where a record's changes are to be tried. */
  get isAnySuspect(): boolean {
    return this.all.some(({ isSuspect }) => isSuspect);
  }

  /** True where a row is to be claimed or read, or a record's changes are to be tried. */
  get needsRows(): boolean {
    const isWanted = this.all.some(({ phase }) => phase === "claim" || phase === "check");
    return isWanted || this.isAnySuspect;
  }

  /** Why one of them is written no further for now; null: none is held up. */
  get blocked(): Failure | null {
    const blocked = this.all.find(({ isBlocked }) => isBlocked);
    if (blocked === undefined) return null;
    const letters = `${String(blocked.parked.count)} dead letters, and may have no more`;
    const advice = "retry or drop some of them: orrery dead-letters";
    return failure("DEAD_LETTERS_FULL", `partition ${blocked.number} has ${letters}; ${advice}`);
  }
}
