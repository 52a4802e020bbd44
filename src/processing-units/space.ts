// Space: a named map of entries, as an application declares it.
// Owns: the declaration. Does not own: the entries (partition-memory.ts), tables' SQL (data-pump).
import { assert } from "../base/assert.ts";
import type { Table } from "../data-pump/table.ts";
import type { Value } from "../grid/log-record.ts";

/** A value as handlers see it: plain data that nobody can change. */
export type Entry = Value & object;

/** A named map of entries, of one type. Entries of a partition's spaces change together. */
export interface Space<V extends Entry = Entry> {
  readonly name: string;
  /** Write-only: rows for the database; nothing is kept in memory, and nothing can be read. */
  readonly writeOnly: boolean;
  /** Where its entries lie in the database; null: in the grid only. */
  readonly table: Table | null;
  /** Carries the type only. */
  readonly example?: V;
}

/**
 * Declares a space. `writeOnly` without a table would keep nothing anywhere. Names that begin with
 * "$" are the engine's own (internal-spaces.ts).
 */
export function space<V extends Entry>(options: {
  name: string;
  writeOnly?: boolean;
  table?: Table;
}): Space<V> {
  const writeOnly = options.writeOnly ?? false;
  const table = options.table ?? null;
  assert(!options.name.startsWith("$"), `the name of space ${options.name} begins with "$"`);
  assert(!writeOnly || table !== null, `write-only space ${options.name} needs a table`);
  return { name: options.name, writeOnly, table };
}
