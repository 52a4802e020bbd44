// Rebuild ports: what a rebuild is given and what it tells (docs/log-protocol.md, "Rebuild").
// Owns: these shapes. Does not own: the protocol (rebuild.ts), SQL and what rows mean (data-pump).
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import type { Change } from "./log-record.ts";
import type { Store } from "./store.ts";

/** How far the database had come with one partition of the generation that is replaced. */
export interface WrittenPartition {
  readonly partition: number;
  /** Records 1 to `seq` are in the tables. */
  readonly seq: number;
  /** Nothing was acknowledged behind `seq`: its last owner left in order. */
  readonly complete: boolean;
}

/** A generation as one run of a rebuild made it: the number alone may be two runs' after a wipe. */
export interface GenerationMark {
  readonly generation: number;
  readonly token: string;
}

/** What the database says of the grid that it belongs to. */
export interface DatabaseRow extends GenerationMark {
  readonly gridId: string;
  /**
   * The generation that `written` is of: its own, or, until the first epoch is claimed under it,
   * the one that was fenced off when it was reserved: it has written nothing itself.
   */
  readonly base: number;
  /** The progress of generation `base`, all partitions, ascending. */
  readonly written: readonly WrittenPartition[];
}

/** What a fence makes of the database's row. */
export interface FencedRow extends GenerationMark {
  /** From now on there are so many progress rows. */
  readonly partitions: number;
}

/**
 * Takes in what is read: changes of one partition in an order of their own (later ones win; a
 * value is never null), in pieces as large as one likes. To be awaited: it writes to the grid. A
 * failure ends the run: `read` returns it.
 */
export interface RebuildSink {
  take(partition: number, changes: readonly Change[]): Promise<Outcome<null>>;
}

/** The database of the grid. Promises never reject; away: DATABASE_UNREACHABLE, asked again. */
export interface RebuildDatabase {
  /** Null where the database never met a grid. */
  row(): Promise<Outcome<DatabaseRow | null>>;
  /**
   * One transaction: where (generation, token) is exactly `expected`, the row becomes `next`. The
   * progress rows, where an epoch was claimed under them, are kept as what `row` calls `base` and
   * `written` (else what was kept before stays), and are made anew: generation `next.generation`,
   * seq 0, epoch 0, no chain, complete. Letters stay. False: it is another row, nothing was
   * changed. Kind `unknown`: it may have happened.
   */
  fence(expected: GenerationMark, next: FencedRow): Promise<Outcome<boolean>>;
  /**
   * Reads all entries in one snapshot that also shows the row as `mine`, and gives them to `sink`,
   * for `partitions` partitions. False: the row is not mine; nothing was given.
   */
  read(mine: FencedRow, sink: RebuildSink): Promise<Outcome<boolean>>;
}

/** Where a run is; told at every step and, while it reads, now and then. */
export interface RebuildProgress {
  readonly step: "reserved" | "fenced" | "ended" | "reading" | "written" | "opened";
  readonly generation: number;
  /** Read so far. */
  readonly entries: number;
  /** Stored size of their segments. */
  readonly bytes: number;
}

export interface RebuildOptions {
  readonly store: Store;
  readonly database: RebuildDatabase;
  /** The open generation that is to be replaced; null: only where none is open. */
  readonly replaces: number | null;
  /** Of the new generation; null: as many as the database's progress has. */
  readonly partitions: number | null;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  progress(progress: RebuildProgress): void;
}

/** Acknowledged commands of one partition that nobody can vouch for: those from `from` on. */
export interface UnvouchedPartition {
  readonly partition: number;
  /** Position in the log of the generation that was replaced. */
  readonly from: number;
}

export interface RebuildReport {
  readonly gridId: string;
  readonly generation: number;
  /** The generation that it replaces, and how many partitions that had. */
  readonly base: number;
  readonly basePartitions: number;
  readonly partitions: number;
  readonly entries: number;
  readonly bytes: number;
  readonly vouched: "complete" | readonly UnvouchedPartition[];
  /**
   * What stops an owner of the old generation that sleeps: `log`: the end of each log is marked
   * beyond what the roster says it had acknowledged; `time`: the roster is gone with the grid, and
   * it stops only when it looks at the pointer.
   */
  readonly oldOwners: "log" | "time";
}
