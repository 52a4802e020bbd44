// Pump batch: the records of many partitions that go to the database in one transaction.
// Owns: how much goes into one. Does not own: when it is written and what becomes of it (pump.ts).
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { PumpedPartition } from "./pumped-partition.ts";
import { changesIn, RowBatch, type TablesBySpace } from "./rows.ts";

/** One partition's part of a transaction: the records after `before` up to `seq`. */
export interface BatchPart {
  readonly partition: PumpedPartition;
  readonly before: number;
  readonly seq: number;
  /** Checksum of record `seq`. */
  readonly chain: Buffer;
}

export interface Batch {
  /** Sorted by partition. */
  readonly parts: readonly BatchPart[];
  readonly rows: RowBatch;
  /** Not worth waiting to make it larger. */
  readonly isLarge: boolean;
}

class Former {
  readonly rows: RowBatch;
  readonly parts: BatchPart[] = [];
  readonly #timers: Timers;
  #records = 0;
  #bytes = 0;
  #changesInTick = 0;

  constructor(tables: TablesBySpace, timers: Timers) {
    this.rows = new RowBatch(tables);
    this.#timers = timers;
  }

  get isLarge(): boolean {
    return (
      this.#records >= limits.pumpTransactionRecordsMax / 4 ||
      this.#bytes >= limits.pumpTransactionBytesMax / 4
    );
  }

  #hasRoomFor(bytes: number): boolean {
    if (this.#records === 0) return true; // any record goes, be it alone
    return (
      this.#records < limits.pumpTransactionRecordsMax &&
      this.#bytes + bytes <= limits.pumpTransactionBytesMax
    );
  }

  /** Takes what the partition holds, as far as there is room. */
  async take(partition: PumpedPartition): Promise<void> {
    const before = partition.formedTo;
    let seq = before;
    let chain: Buffer | null = null;
    for (let held = partition.peek(); held !== null; held = partition.peek()) {
      if (!this.#hasRoomFor(held.bytes)) break;
      const { record, checksum } = held.chained;
      this.rows.add(record);
      partition.form();
      seq = record.position;
      chain = checksum;
      this.#records++;
      this.#bytes += held.bytes;
      this.#changesInTick += changesIn(record);
      if (this.#changesInTick >= limits.pumpSliceChanges) await this.#letOthersRun();
    }
    if (chain !== null) this.parts.push({ partition, before, seq, chain });
  }

  #letOthersRun(): Promise<void> {
    this.#changesInTick = 0;
    return new Promise((resolve) => this.#timers.endOfTick(resolve));
  }
}

/**
 * A batch of what the partitions hold, those first in the list first; null where they hold
 * nothing. A partition marked `alone` gets a batch of its own.
 */
export async function formBatch(
  partitions: readonly PumpedPartition[],
  tables: TablesBySpace,
  timers: Timers,
): Promise<Batch | null> {
  const ready = partitions.filter((one) => one.phase === "pump" && one.peek() !== null);
  const alone = ready.find((one) => one.alone);
  const former = new Former(tables, timers);
  for (const partition of alone === undefined ? ready : [alone]) await former.take(partition);
  const { parts, rows, isLarge } = former;
  if (parts.length === 0) return null;
  parts.sort((a, b) => a.partition.number - b.partition.number);
  return { parts, rows, isLarge };
}
