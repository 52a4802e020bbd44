// Pump status: what a pump says of itself, the pattern's fitness functions among it.
// Owns: the shape, and the counters that only grow. Does not own: how it is shown (lane-monitor).
import type { Failure } from "../base/failure.ts";
import { Histogram } from "../base/histogram.ts";
import type { BacklogRoom } from "./backlog.ts";
import type { BreakerState } from "./breaker.ts";
import type { ListedLetter } from "./database.ts";

export interface PumpStatus {
  /** Journaled and not known to be in the database, over all partitions. */
  readonly backlogRecords: number;
  readonly backlogBytes: number;
  /** Age of the oldest record among them; 0 where there is none. */
  readonly oldestUnwrittenMs: number;
  /** What still fits, in the lane and in its fullest partitions; then BACKLOG_FULL. */
  readonly room: BacklogRoom;
  /** Why the database cannot be written at the moment; null: it can. */
  readonly problem: Failure | null;
  readonly breaker: BreakerState;
  /** Transactions that were written, and the rows (upserts, deletes, appends) in them. */
  readonly transactions: number;
  readonly rows: number;
  /** Calls of the database that did not do what they were to do, and were followed by another. */
  readonly retries: number;
  /** Dead letters of the partitions of this pump, as far as is known. */
  readonly deadLetters: number;
  /** The newest of them, whoever wrote them, the newest first. */
  readonly newestLetters: readonly ListedLetter[];
  /** How often progress rows were read. */
  readonly databaseReads: number;
  /** Synchronization time: from journaled to known to be written, of each record so far. */
  readonly syncTime: Histogram;
}

export class PumpCounters {
  transactions = 0;
  rows = 0;
  retries = 0;
  databaseReads = 0;
  readonly syncTime = new Histogram();

  get all() {
    const { transactions, rows, retries, databaseReads, syncTime } = this;
    return { transactions, rows, retries, databaseReads, syncTime };
  }
}
