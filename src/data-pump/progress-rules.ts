// Progress rules: what a partition's row in the database means for its owner
// (docs/log-protocol.md, steps 9 and 10), as pure functions.
// Owns: the order of the questions, and the failure of each bad answer.
// Does not own: reading the row or the log (pump.ts).
// Invariants (docs/invariants.md):
//   D5. Generation before epoch, epoch before seq: under another owner the same seq may be
//       another record.
import { failure, type Failure, type Outcome } from "../base/failure.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { ProgressRow } from "./database.ts";

/** What the owner knows when it looks at its row. */
export interface OwnerFacts {
  readonly partition: number;
  readonly generation: number;
  /** Position of its claim. */
  readonly epoch: number;
  /** Position of the last durable record. */
  readonly tail: number;
}

/**
 * - `fits`: the row is ours; its chain is still to be compared with the log.
 * - `claim`: the row carries an older epoch: write ours (again).
 * - `overtaken`: somebody claimed at `claimAt`; the log says whether that claim is real.
 */
export type RowVerdict =
  | { readonly kind: "fits"; readonly row: ProgressRow }
  | { readonly kind: "claim" }
  | { readonly kind: "overtaken"; readonly claimAt: number }
  | { readonly kind: "halt"; readonly failure: Failure };

/** The ways out where the database went back too far. */
export const tooOldAdvice =
  "restore a younger backup, or write the rows anew: orrery rebuild --from grid";

function halt(code: Failure["code"], message: string): RowVerdict {
  return { kind: "halt", failure: failure(code, message) };
}

export function judgeRow(row: ProgressRow | undefined, own: OwnerFacts): RowVerdict {
  const name = `partition ${own.partition}`;
  if (row === undefined) {
    return halt("DATABASE_MISFIT", `${name} has no row in orrery.progress; restore the database`);
  }
  if (row.generation > own.generation) {
    const message = `the database serves generation ${row.generation} of the grid`;
    return halt("DATABASE_NEWER", `${message}, ${name} is of ${own.generation}`);
  }
  if (row.generation < own.generation) {
    const message = `the database went back to generation ${row.generation} of the grid`;
    return halt("DATABASE_LOST", `${message}, ${name} is of ${own.generation}; ${tooOldAdvice}`);
  }
  if (row.epoch > own.epoch) return { kind: "overtaken", claimAt: row.epoch };
  if (row.epoch < own.epoch) return { kind: "claim" };
  if (row.seq > own.tail) {
    const message = `${name}: the database holds ${row.seq} records, the log ${own.tail}`;
    return halt("GRID_LOST", `${message}; the grid lost data`);
  }
  return { kind: "fits", row };
}

/** The position that tells whether the row's chain is the log's: the next record, or itself. */
export function chainWitness(row: ProgressRow, tail: number): number | null {
  if (row.seq === 0) return null; // nothing was written, nothing can differ
  return row.seq < tail ? row.seq + 1 : row.seq;
}

/** Compares the row's chain with the record at `chainWitness`; null: it fits. */
export function judgeChain(row: ProgressRow, witness: ChainedRecord): Failure | null {
  const { record } = witness;
  const expected = record.position === row.seq ? witness.checksum : record.previous;
  if (row.chain?.equals(expected) === true) return null;
  const where = `partition ${row.partition}: record ${row.seq}`;
  return failure("GRID_LOST", `${where} is another in the database than in the log`);
}

/** What the record at an overtaking claim's position says; null: not known yet, ask again. */
export function judgeOvertaken(
  own: OwnerFacts,
  claimAt: number,
  read: Outcome<readonly ChainedRecord[]>,
): Failure | null {
  const name = `partition ${own.partition}`;
  if (!read.ok && read.failure.kind !== "terminal") return null;
  if (!read.ok && read.failure.code !== "GRID_LOST") return read.failure;
  const found = read.ok ? read.value[0] : undefined;
  if (found?.record.body.type === "claim") {
    return failure("DATABASE_FENCED", `${name} was taken over at record ${claimAt}`);
  }
  const message = `the database knows an owner of ${name} that claimed at ${claimAt}`;
  return failure("GRID_LOST", `${message}, the log does not`);
}

/** Records that the database needs and the log no longer has: the database is too old. */
export function recordsMissing(partition: number, from: number, tail: number): Failure {
  const range = `records ${from} to ${tail} of partition ${partition}`;
  return failure(
    "DATABASE_LOST",
    `the log does not hold all of the ${range} that the database lacks; ${tooOldAdvice}`,
  );
}
