// Database: the port through which the pump writes. Rows and progress change together.
// Owns: the contract, in words and types. Does not own: SQL (postgres-database.ts), what the
// progress of a partition means for its owner (pump.ts).
//
// 1. Calls are made one at a time; only `write` may be called again before the one before it has
//    settled, at most limits.pumpTransactionsInFlight of them at once. They take effect in the
//    order given; where one does not, those behind it that build on it are "misfit".
//    Each call settles within its time limit; a promise never rejects.
// 2. A failure of kind `unknown` (from `write` only): it may have happened, or may still happen.
//    Any other failure: nothing happened. The database counts as away, and is tried again; only
//    ROW_REFUSED is about the rows that were given.
// 3. Before anything is written over a new connection, the database is known to belong to this
//    grid and its tables to fit (schema.ts).
import type { Outcome } from "../base/failure.ts";
import type { Value } from "../grid/log-record.ts";
import type { Table } from "./table.ts";

/** An entry of which a change is a dead letter: what changes it later has to follow it there. */
export interface ParkedKey {
  readonly space: string;
  readonly key: string;
}

/** Newest dead letters of a partition that its row comes with, and that a lane shows. */
export const lettersListed = 10;

/** A dead letter, for people. */
export interface ListedLetter {
  /** When it was written, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly partition: number;
  /** Of its record, and its place among the changes there. */
  readonly position: number;
  readonly change: number;
  readonly space: string;
  readonly key: string;
  /** What the database said; null: it follows an earlier letter of its key. */
  readonly reason: string | null;
}

/**
 * What the database knows of one partition: the records 1 to `seq` are in its tables, or among its
 * dead letters.
 */
export interface ProgressRow {
  readonly partition: number;
  readonly generation: number;
  readonly seq: number;
  /** Position of the claim whose owner may write; 0 before the first. */
  readonly epoch: number;
  /** Checksum of record `seq`; null before the first write. */
  readonly chain: Buffer | null;
  /** Record `seq` is a final release: a clean stop, everything is written. */
  readonly complete: boolean;
  /** Raised by each act of an operator on the partition's dead letters, and by nothing else. */
  readonly letters: number;
  /** How many dead letters the partition has. */
  readonly deadLetters: number;
  readonly parked: readonly ParkedKey[];
  /** The newest of them, the newest first: at most `lettersListed`. */
  readonly newest: readonly ListedLetter[];
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
  /** As the row must have it: else the parked keys that were reckoned with are not those now. */
  readonly letters: number;
  /** Record `seq` is a final release. */
  readonly complete: boolean;
}

/** Changes of one table. A key stands once in `upserts` and `deletes` together. */
export interface TableRows {
  readonly table: Table;
  readonly upserts: readonly (readonly [key: string, value: Value])[];
  readonly deletes: readonly string[];
  /** Of tables of kind "append": in order, nothing coalesced; the other two are empty there. */
  readonly appends: readonly (readonly [key: string, value: Value])[];
}

/** A change that is not in its table: its content was refused, or it follows one that was. */
export interface DeadLetter {
  readonly partition: number;
  /** Of its record. */
  readonly position: number;
  /** Index of the change among those of its record. */
  readonly change: number;
  readonly space: string;
  readonly key: string;
  /** Null: a delete. */
  readonly value: Value;
  /** What the database said; null: parked behind an earlier letter of its key. */
  readonly reason: string | null;
}

export interface PumpTransaction {
  readonly generation: number;
  /** Sorted by partition, so that two owners never wait for one another in a circle. */
  readonly steps: readonly ProgressStep[];
  readonly rows: readonly TableRows[];
  /** In order within each partition; written together with the rows. */
  readonly letters: readonly DeadLetter[];
}

/** `misfit`: the progress of a partition in it is not as given; nothing was written. */
export type WriteResult = "written" | "misfit";

export interface Database {
  /**
   * Writes each epoch where the row's generation is `generation` and its epoch is lower (such a row
   * is not `complete` any more); then, all that being durable, reads the rows. A partition without
   * a row is missing in the answer.
   */
  claim(generation: number, claims: readonly EpochClaim[]): Promise<Outcome<ProgressRow[]>>;
  read(partitions: readonly number[]): Promise<Outcome<ProgressRow[]>>;
  /**
   * One transaction: every step fits (generation, epoch, letters, before) and all is written, or
   * none of it.
   */
  write(transaction: PumpTransaction): Promise<Outcome<WriteResult>>;
  /**
   * Does all that `write` does, constraints that are looked at last included, and takes it back:
   * "written" says that it could be. Not while a `write` is under way.
   */
  rehearse(transaction: PumpTransaction): Promise<Outcome<WriteResult>>;
  close(): Promise<void>;
}
