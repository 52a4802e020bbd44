// Space: a named map of entries, as an application declares it.
// Owns: the declaration. Does not own: the entries (partition-memory.ts), tables' SQL (data-pump).
import { assert } from "../base/assert.ts";
import type { Table } from "../data-pump/table.ts";
import type { Value } from "../grid/log-record.ts";

/** A value as handlers see it: plain data that nobody can change. */
export type Entry = Value & object;

export type RouteOf<V> = (key: string, value: V, partitions: number) => string;

/** A named map of entries, of one type. Entries of a partition's spaces change together. */
export interface Space<V extends Entry = Entry> {
  readonly name: string;
  /** Write-only: rows for the database; nothing is kept in memory, and nothing can be read. */
  readonly writeOnly: boolean;
  /** Where its entries lie in the database; null: in the grid only. */
  readonly table: Table | null;
  /**
   * The routing key that leads to the partition of an entry: with it the entries come back when
   * the grid is rebuilt from its database. Null: they do not. A grid may be rebuilt with another
   * number of partitions.
   */
  readonly routeOf: RouteOf<Value> | null;
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
  routeOf?: RouteOf<V>;
}): Space<V> {
  const writeOnly = options.writeOnly ?? false;
  const table = options.table ?? null;
  const { routeOf } = options;
  assert(!options.name.startsWith("$"), `the name of space ${options.name} begins with "$"`);
  assert(!writeOnly || table !== null, `write-only space ${options.name} needs a table`);
  const appends = table?.kind === "append";
  assert(!appends || writeOnly, `${options.name}: only write-only spaces have append-only tables`);
  const comesBack = routeOf !== undefined;
  assert(!comesBack || (table !== null && !writeOnly), `${options.name} cannot come back`);
  return {
    name: options.name,
    writeOnly,
    table,
    // Rows that come back were written from values of the space: the cast holds.
    routeOf: comesBack ? (key, value, partitions) => routeOf(key, value as V, partitions) : null,
  };
}
