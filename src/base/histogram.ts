// Histogram: durations in whole microseconds, three digits exact, from 1 µs to 1 hour.
// Owns: recording, merging, percentiles, counts as plain data. Does not own: when a window ends.
//
// The buckets are HdrHistogram's (1024 to each power of two): below 2 ms each microsecond has its
// own, above it a bucket is less than a thousandth wide. They are our own and not node's, because
// node's counts can neither be written to a file nor be sent to another process.
import { assert } from "./assert.ts";

const highestUs = 3_600_000_000;
const bucketsPerDoubling = 1024;
const bucketBits = 10;
const buckets = indexOf(highestUs) + 1;

/** Microseconds (the greatest of a bucket) and how many, in turn, ascending. */
export type HistogramCounts = readonly number[];

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;
  /** The highest bucket that holds something: nobody looks further. */
  #top = 0;

  /** Records one duration in milliseconds (fractions count). Beyond an hour counts as an hour. */
  recordMs(durationMs: number): void {
    const us = Math.min(highestUs, Math.max(1, Math.round(durationMs * 1000)));
    this.#add(indexOf(us), 1);
  }

  get count(): number {
    return this.#count;
  }

  /** Adds another histogram's counts to this one. Percentiles are merged so, never averaged. */
  add(other: Histogram): void {
    if (other.#count === 0) return;
    for (let index = 0; index <= other.#top; index++) {
      const count = other.#counts[index] ?? 0;
      if (count > 0) this.#add(index, count);
    }
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#top = 0;
  }

  /** The value in milliseconds below which `percent` (0–100) of the records lie; 0 when empty. */
  percentileMs(percent: number): number {
    if (this.#count === 0) return 0;
    let left = Math.max(1, Math.round((percent / 100) * this.#count));
    for (let index = 0; index <= this.#top; index++) {
      left -= this.#counts[index] ?? 0;
      if (left <= 0) return greatestUs(index) / 1000;
    }
    return greatestUs(this.#top) / 1000; // more than 100 percent were asked for
  }

  /** The usual percentiles in milliseconds. */
  summaryMs(): Percentiles {
    return {
      count: this.#count,
      p50: this.percentileMs(50),
      p90: this.percentileMs(90),
      p99: this.percentileMs(99),
      p999: this.percentileMs(99.9),
      max: this.percentileMs(100),
    };
  }

  /** A copy of the counts as plain data: for another thread or process, or for a file. */
  toCounts(): HistogramCounts {
    const counts: number[] = [];
    for (let index = 0; index <= this.#top; index++) {
      const count = this.#counts[index] ?? 0;
      if (count > 0) counts.push(greatestUs(index), count);
    }
    return counts;
  }

  /** Adds counts that came as plain data. */
  addCounts(counts: HistogramCounts): void {
    assert(counts.length % 2 === 0, "microseconds and counts come in pairs");
    for (let at = 0; at < counts.length; at += 2) {
      const us = counts[at] ?? 0;
      assert(us >= 1 && us <= highestUs, () => `no duration: ${us} µs`);
      this.#add(indexOf(us), counts[at + 1] ?? 0);
    }
  }

  #add(index: number, count: number): void {
    this.#counts[index] = (this.#counts[index] ?? 0) + count;
    this.#count += count;
    if (index > this.#top) this.#top = index;
  }
}

function indexOf(us: number): number {
  const shift = Math.max(0, 31 - Math.clz32(us) - bucketBits);
  return shift * bucketsPerDoubling + (us >>> shift);
}

/** The greatest duration of a bucket. */
function greatestUs(index: number): number {
  const shift = Math.max(0, (index >>> bucketBits) - 1);
  const within = index - shift * bucketsPerDoubling;
  return Math.min(highestUs, (within + 1) * 2 ** shift - 1);
}
