// Backlog: what is journaled and not yet in the database, of each partition and of the whole lane,
// and the room that is left for more of it.
// Owns: the sums, their limits, how fast they grow. Does not own: what is refused at a limit (the
// partitions), the positions behind the sums (pumped-partition.ts).
import { limits } from "../base/limits.ts";

interface Sum {
  readonly records: number;
  readonly bytes: number;
}

/** What still fits, where it is tightest. */
export interface BacklogRoom extends Sum {
  /** How long it lasts at the growth of the last seconds; null: it does not grow. */
  readonly msLeft: number | null;
}

/** Growth is measured over so long. */
const windowMs = 10_000;

class Scope {
  records = 0;
  bytes = 0;
  readonly #max: Sum;
  /** As it was at some moments of the last seconds, oldest first. */
  #samples: { readonly atMs: number; readonly sum: Sum }[] = [];

  constructor(max: Sum) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.records >= this.#max.records || this.bytes >= this.#max.bytes;
  }

  sample(atMs: number): void {
    this.#samples = this.#samples.filter((sample) => sample.atMs > atMs - windowMs);
    this.#samples.push({ atMs, sum: { records: this.records, bytes: this.bytes } });
  }

  get room(): BacklogRoom {
    const records = Math.max(0, this.#max.records - this.records);
    const bytes = Math.max(0, this.#max.bytes - this.bytes);
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs === first.atMs) {
      return { records, bytes, msLeft: null };
    }
    const elapsedMs = last.atMs - first.atMs;
    const lasts = (left: number, grown: number): number => {
      return grown <= 0 ? Infinity : (left * elapsedMs) / grown;
    };
    const msLeft = Math.min(
      lasts(records, last.sum.records - first.sum.records),
      lasts(bytes, last.sum.bytes - first.sum.bytes),
    );
    return { records, bytes, msLeft: msLeft === Infinity ? null : msLeft };
  }
}

const partitionMax = { records: limits.backlogRecordsMax, bytes: limits.backlogBytesMax };
const laneMax = { records: limits.backlogLaneRecordsMax, bytes: limits.backlogLaneBytesMax };

export class Backlog {
  readonly #lane = new Scope(laneMax);
  readonly #partitions = new Map<number, Scope>();

  /** Of all partitions. */
  get records(): number {
    return this.#lane.records;
  }

  get bytes(): number {
    return this.#lane.bytes;
  }

  /** True where nothing may be added to a partition. */
  isFull(partition: number): boolean {
    return this.#lane.isFull || this.#partitions.get(partition)?.isFull === true;
  }

  /** What a partition's backlog is now. */
  set(partition: number, { records, bytes }: Sum): void {
    const known = this.#partitions.get(partition);
    const scope = known ?? new Scope(partitionMax);
    if (known === undefined) this.#partitions.set(partition, scope);
    this.#lane.records += records - scope.records;
    this.#lane.bytes += bytes - scope.bytes;
    scope.records = records;
    scope.bytes = bytes;
  }

  /** One more record was journaled. */
  add(partition: number, bytes: number): void {
    const scope = this.#partitions.get(partition);
    if (scope === undefined) return;
    this.set(partition, { records: scope.records + 1, bytes: scope.bytes + bytes });
  }

  remove(partition: number): void {
    this.set(partition, { records: 0, bytes: 0 });
    this.#partitions.delete(partition);
  }

  /** Notes how large everything is now: the room's time follows from some such notes. */
  sample(atMs: number): void {
    for (const scope of this.#scopes()) scope.sample(atMs);
  }

  /** The tightest of the lane's room and its partitions'. */
  get room(): BacklogRoom {
    let tightest = this.#lane.room;
    for (const { room } of this.#partitions.values()) {
      const msLeft = Math.min(tightest.msLeft ?? Infinity, room.msLeft ?? Infinity);
      tightest = {
        records: Math.min(tightest.records, room.records),
        bytes: Math.min(tightest.bytes, room.bytes),
        msLeft: msLeft === Infinity ? null : msLeft,
      };
    }
    return tightest;
  }

  #scopes(): Scope[] {
    return [this.#lane, ...this.#partitions.values()];
  }
}
