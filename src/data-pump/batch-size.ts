// Batch size: how much one transaction carries; it follows what the database takes.
// Owns: the size between its limits. Does not own: what goes into a batch (pump-batch.ts).
import { limits } from "../base/limits.ts";

/** The smallest share of the limits where transactions are slow, but go well. */
const shareMin = 1 / 64;
/** Where they fail of it: one record. */
const shareLast = 1 / limits.pumpTransactionRecordsMax;

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
    if (this.#isSlow(durationMs) && this.isLarge(records, bytes)) {
      if (this.#share > shareMin) this.#share /= 2;
    } else if (durationMs < 0.5 * limits.pumpTransactionMs && isFull) {
      this.#share = Math.min(1, this.#share * 2);
    }
  }

  /** One of that size failed after so long, maybe of its length: a smaller one may go well. */
  failed(durationMs: number, records: number, bytes: number): void {
    if (!this.#isSlow(durationMs) || !this.isLarge(records, bytes)) return;
    this.#share = Math.max(shareLast, this.#share / 2);
  }

  #isSlow(durationMs: number): boolean {
    return durationMs > 1.5 * limits.pumpTransactionMs;
  }
}
