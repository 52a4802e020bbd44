// Pump batch: the records of many partitions that go to the database in one transaction.
// Owns: how much goes into one, and which changes become dead letters instead of rows.
// Does not own: when it is written and what becomes of it (pump.ts), what is refused
// (refusal-search.ts).
// Invariants (docs/invariants.md):
//   D12. A change of a parked key is never a row.
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { BatchSize } from "./batch-size.ts";
import type { DeadLetter, ProgressStep, PumpTransaction } from "./database.ts";
import type { HeldRecord, PumpedPartition } from "./pumped-partition.ts";
import { RowBatch, type TablesBySpace } from "./rows.ts";

/** One partition's part of a transaction: the records after `before` up to `seq`. */
export interface BatchPart {
  readonly partition: PumpedPartition;
  readonly before: number;
  readonly seq: number;
  /** Checksum of record `seq`. */
  readonly chain: Buffer;
  /** Record `seq` is a final release. */
  readonly complete: boolean;
}

export interface Batch {
  /** Sorted by partition. */
  readonly parts: readonly BatchPart[];
  readonly rows: RowBatch;
  readonly letters: readonly DeadLetter[];
  readonly records: number;
  readonly bytes: number;
}

export interface BatchOptions {
  readonly tables: TablesBySpace;
  readonly timers: Timers;
  readonly size: BatchSize;
}

class Former {
  readonly rows = new RowBatch();
  readonly parts: BatchPart[] = [];
  readonly letters: DeadLetter[] = [];
  readonly #options: BatchOptions;
  records = 0;
  bytes = 0;
  #changesInTick = 0;

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  #hasRoomFor(bytes: number): boolean {
    if (this.records === 0) return true; // any record goes, be it alone
    const { size } = this.#options;
    return this.records < size.records && this.bytes + bytes <= size.bytes;
  }

  /** Takes what the partition holds, as far as there is room. */
  async take(partition: PumpedPartition): Promise<void> {
    const before = partition.formedTo;
    const { recordsMax } = partition.search ?? { recordsMax: Infinity };
    let last: HeldRecord | null = null;
    let taken = 0;
    for (let held = partition.peek(); held !== null; held = partition.peek()) {
      if (taken >= recordsMax || !this.#hasRoomFor(held.bytes)) break;
      if (!this.#add(partition, held)) break;
      partition.form();
      last = held;
      taken++;
      this.records++;
      this.bytes += held.bytes;
      if (this.#changesInTick >= limits.pumpSliceChanges) await this.#letOthersRun();
    }
    if (last === null) return;
    const { position: seq, checksum: chain, isLastWord: complete } = last;
    this.parts.push({ partition, before, seq, chain, complete });
  }

  /** The record's changes, as rows or letters. False where there may be no more letters. */
  #add(partition: PumpedPartition, { position, changes }: HeldRecord): boolean {
    const { tables } = this.#options;
    const { parked, search, number } = partition;
    const verdict = search?.verdict?.position === position ? search.verdict.reasons : null;
    const isFull = parked.countWithFormed >= limits.deadLettersMax;
    const isLetter = (space: string, key: string, index: number): boolean => {
      return tables.has(space) && (verdict?.has(index) === true || parked.has(space, key));
    };
    if (isFull && changes.some(({ space, key }, index) => isLetter(space, key, index))) {
      partition.block();
      return false;
    }
    for (const [index, { space, key, value }] of changes.entries()) {
      const table = tables.get(space);
      if (table === undefined) continue; // a space that lives in the grid only
      if (isLetter(space, key, index)) {
        const reason = parked.has(space, key) ? null : (verdict?.get(index) ?? null);
        const letter = { partition: number, position, change: index, space, key, value, reason };
        parked.form(letter);
        this.letters.push(letter);
      } else this.rows.add(table, key, value);
    }
    this.#changesInTick += changes.length;
    return true;
  }

  #letOthersRun(): Promise<void> {
    this.#changesInTick = 0;
    return new Promise((resolve) => this.#options.timers.endOfTick(resolve));
  }
}

/**
 * A batch of what the partitions hold, those first in the list first; null where nothing may go.
 * A partition whose refusal is looked into alone gets a batch of its own, where `aloneFirst`, or
 * nobody else has anything.
 */
export async function formBatch(
  partitions: readonly PumpedPartition[],
  aloneFirst: boolean,
  options: BatchOptions,
): Promise<Batch | null> {
  const ready = partitions.filter(({ isReady }) => isReady);
  const alone = ready.find(({ search }) => search?.isAlone === true);
  const others = ready.filter(({ search }) => search?.isAlone !== true);
  const isAlone = alone !== undefined && (aloneFirst || others.length === 0);
  const former = new Former(options);
  for (const partition of isAlone ? [alone] : others) await former.take(partition);
  const { parts, rows, letters, records, bytes } = former;
  if (parts.length === 0) return null;
  parts.sort((a, b) => a.partition.number - b.partition.number);
  return { parts, rows, letters, records, bytes };
}

/** One partition's step, on the row as it is known. */
export function stepOf(part: BatchPart): ProgressStep {
  const { partition, before, seq, chain, complete } = part;
  const { number, source, parked } = partition;
  const { epoch } = source;
  return { partition: number, epoch, before, seq, chain, letters: parked.version, complete };
}

export function transactionOf(batch: Batch, generation: number): PumpTransaction {
  const { parts, rows, letters } = batch;
  return { generation, steps: parts.map(stepOf), rows: rows.toTables(), letters };
}
