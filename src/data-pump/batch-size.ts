// Batch size: how much one transaction carries; it follows what the database takes.
// Owns: the size between its limits. Does not own: what goes into a batch (pump-batch.ts).
import { limits } from "../base/limits.ts";

/** The smallest share of the limits that a transaction may carry. */
const shareMin = 1 / 64;

export class BatchSize {
  #share = 1 / 4;

  get records(): number {
    return Math.ceil(limits.pumpTransactionRecordsMax * this.#share);
  }

  get bytes(): number {
    return Math.ceil(limits.pumpTransactionBytesMax * this.#share);
  }

  /** True where so much is worth a transaction of its own while another is under way. */
  isLarge(records: number, bytes: number): boolean {
    return records * 4 >= this.records || bytes * 4 >= this.bytes;
  }

  /** A transaction of that size was written, and kept the database busy for so long. */
  took(durationMs: number, records: number, bytes: number): void {
    const isFull = records * 4 >= this.records * 3 || bytes * 4 >= this.bytes * 3;
    if (durationMs > 1.5 * limits.pumpTransactionMs && this.isLarge(records, bytes)) {
      this.#share = Math.max(shareMin, this.#share / 2);
    } else if (durationMs < 0.5 * limits.pumpTransactionMs && isFull) {
      this.#share = Math.min(1, this.#share * 2);
    }
  }
}
