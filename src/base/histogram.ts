// Histogram: durations in whole microseconds, three digits exact, from 1 µs to 1 hour.
// Owns: recording, merging, percentiles. Does not own: when a window ends.
// Node's own histogram (HdrHistogram) does the counting: 31 ns a record, mergeable.
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

const highestUs = 3_600_000_000;

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: highestUs,
    figures: 3,
  });

  /** Records one duration in milliseconds (fractions count). Beyond an hour counts as an hour. */
  recordMs(durationMs: number): void {
    const us = Math.round(durationMs * 1000);
    this.#counts.record(Math.min(highestUs, Math.max(1, us)));
  }

  get count(): number {
    return this.#counts.count;
  }

  /** Adds another histogram's counts to this one. Percentiles are merged so, never averaged. */
  add(other: Histogram): void {
    if (other.count > 0) this.#counts.add(other.#counts);
  }

  reset(): void {
    this.#counts.reset();
  }

  /** The value in milliseconds below which `percent` (0–100) of the records lie; 0 when empty. */
  percentileMs(percent: number): number {
    return this.count === 0 ? 0 : this.#counts.percentile(percent) / 1000;
  }

  /** The usual percentiles in milliseconds. */
  summaryMs(): Percentiles {
    return {
      count: this.count,
      p50: this.percentileMs(50),
      p90: this.percentileMs(90),
      p99: this.percentileMs(99),
      p999: this.percentileMs(99.9),
      max: this.count === 0 ? 0 : this.#counts.max / 1000,
    };
  }

  /**
   * For postMessage: node's own histogram survives structured clone. It is shared, not copied:
   * what is recorded or reset here afterwards shows there, so begin a new one instead.
   */
  toTransfer(): RecordableHistogram {
    return this.#counts;
  }

  /** Adds counts that came over a thread boundary. */
  addTransfer(counts: RecordableHistogram): void {
    if (counts.count > 0) this.#counts.add(counts);
  }
}
