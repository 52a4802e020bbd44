// Database: the port through which the pump writes. Rows and progress change together.
// Owns: the contract, in words and types. Does not own: SQL (postgres-database.ts), what the
// progress of a partition means for its owner (pump.ts).
//
// 1. Calls are made one at a time. Each settles within its time limit; a promise never rejects.
// 2. A failure of kind `unknown` (from `write` only): it may have happened, or may still happen.
//    Any other failure: nothing happened. The database counts as away, and is tried again; only
//    ROW_REFUSED is about the rows that were given.
// 3. Before anything is written over a new connection, the database is known to belong to this
//    grid and its tables to fit (schema.ts).
import type { Outcome } from "../base/failure.ts";
import type { Value } from "../grid/log-record.ts";
import type { Table } from "./table.ts";

/** What the database knows of one partition: the records 1 to `seq` are in its tables. */
export interface ProgressRow {
  readonly partition: number;
  readonly generation: number;
  readonly seq: number;
  /** Position of the claim whose owner may write; 0 before the first. */
  readonly epoch: number;
  /** Checksum of record `seq`; null before the first write. */
  readonly chain: Buffer | null;
}

export interface EpochClaim {
  readonly partition: number;
  readonly epoch: number;
}

/** One partition's step within a transaction: from the records up to `before` to those to `seq`. */
export interface ProgressStep {
  readonly partition: number;
  readonly epoch: number;
  readonly before: number;
  readonly seq: number;
  readonly chain: Buffer;
}

/** Changes of one table; a key stands in it once. */
export interface TableRows {
  readonly table: Table;
  readonly upserts: readonly (readonly [key: string, value: Value])[];
  readonly deletes: readonly string[];
}

export interface PumpTransaction {
  readonly generation: number;
  /** Sorted by partition, so that two owners never wait for one another in a circle. */
  readonly steps: readonly ProgressStep[];
  readonly rows: readonly TableRows[];
}

/** `misfit`: the progress of a partition in it is not as given; nothing was written. */
export type WriteResult = "written" | "misfit";

export interface Database {
  /**
   * Writes each epoch where the row's generation is `generation` and its epoch is lower; then,
   * all that being durable, reads the rows. A partition without a row is missing in the answer.
   */
  claim(generation: number, claims: readonly EpochClaim[]): Promise<Outcome<ProgressRow[]>>;
  read(partitions: readonly number[]): Promise<Outcome<ProgressRow[]>>;
  /** One transaction: every step fits (generation, epoch, before) and all is written, or none. */
  write(transaction: PumpTransaction): Promise<Outcome<WriteResult>>;
  close(): Promise<void>;
}
