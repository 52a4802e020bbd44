// Log refill: reads what the pump's memory does not hold, after a take-over and after the database
// was away.
// Owns: how much is read, and that no more is held than memory may. Does not own: which records
// are missing (pumped-partition.ts), what a failed read means (progress-keeper.ts).
// Invariants (docs/invariants.md):
//   D6. The pump's memory is bounded, and nothing is left out for it.
import type { Clock } from "../base/clock.ts";
import type { Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { approximateBytes, type PumpedPartition } from "./pumped-partition.ts";

export interface LogRefillOptions {
  readonly clock: Clock;
  /** Bytes that all partitions hold. */
  readonly heldBytes: () => number;
  /** Null where the log could not be read. */
  readonly read: (
    partition: PumpedPartition,
    from: number,
    to: number,
    neededFrom: number,
  ) => Promise<ChainedRecord[] | null>;
  readonly halt: (partition: PumpedPartition, reason: Failure) => void;
}

const transactionsAhead = 2;

export class LogRefill {
  readonly #options: LogRefillOptions;

  constructor(options: LogRefillOptions) {
    this.#options = options;
  }

  /**
   * Reads for those that are behind, a share for each. It is more than a transaction takes: so they
   * come up with the log where memory has room, and from then on hold what is journaled. Reading
   * only what goes next would go on for as long as they stay behind.
   */
  async refill(partitions: readonly PumpedPartition[]): Promise<void> {
    const behind = partitions.filter(({ isBehind }) => isBehind);
    const records = transactionsAhead * limits.pumpTransactionRecordsMax;
    const share = Math.ceil(records / Math.max(1, behind.length));
    await Promise.all(behind.map((partition) => this.#refillOne(partition, share)));
  }

  /** Reads up to `count` records in slices; ends early where memory is full or the log fails. */
  async #refillOne(partition: PumpedPartition, count: number): Promise<void> {
    const { heldBytes, read, halt } = this.#options;
    const end = Math.min(partition.source.tail(), partition.heldTo + count);
    while (partition.heldTo < end && heldBytes() < limits.pumpMemoryBytesMax) {
      const from = partition.heldTo + 1;
      const to = Math.min(end, partition.heldTo + limits.pumpReadRecords);
      const records = await read(partition, from, to, from);
      for (const record of records ?? []) {
        const problem = partition.hold(record, approximateBytes(record), this.#journaledMs(record));
        if (problem !== null) halt(partition, problem);
      }
      if (records === null || partition.phase !== "pump") return;
    }
  }

  /** When a record that was read back was journaled, by this lane's monotonic clock: about. */
  #journaledMs({ record }: ChainedRecord): number {
    const { clock } = this.#options;
    return clock.monotonicMs() - Math.max(0, clock.wallMs() - record.timeMs);
  }
}
