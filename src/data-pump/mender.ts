// Mender: how an application mends what comes back from the database when a grid is rebuilt.
// Owns: the shapes. Does not own: reading and writing rows (data-reader.ts).
// What it changes is changed in the tables, too, in the transaction that reads them: before and
// after it the tables are what the grid begins with.
import type { Value } from "../grid/log-record.ts";

/** An entry of a space as it comes back. */
export interface RebuiltEntry {
  readonly space: string;
  readonly key: string;
  readonly value: Value;
}

/** Sees every entry that comes back, once, in no order; works without I/O. */
export interface Mender {
  /** What comes back in its place: the same object, another of that space and key, or nothing. */
  mend(entry: RebuiltEntry): RebuiltEntry | null;
  /** More entries, once all were seen: under keys of which none came back. */
  rest(): Iterable<RebuiltEntry>;
}
