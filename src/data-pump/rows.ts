// Rows: the changes of many records as rows per table, writes to one key coalesced.
// Owns: which change of a key counts (the last). Does not own: SQL (statements.ts), which changes
// become dead letters instead (pump-batch.ts).
import { entriesOf, type Change, type LogRecord, type Value } from "../grid/log-record.ts";
import type { TableRows } from "./database.ts";
import type { Table } from "./table.ts";

/** Tables by the name of the space that they belong to. */
export type TablesBySpace = ReadonlyMap<string, Table>;

/** The changes that a record journals, in order; a checkpoint's delta repeats earlier ones. */
export function changesOf({ body }: LogRecord): readonly Change[] {
  const entries = entriesOf(body);
  const [only] = entries;
  if (entries.length === 1 && only !== undefined) return only.changes;
  return entries.flatMap((entry) => entry.changes);
}

export class RowBatch {
  readonly #rows = new Map<Table, Map<string, Value>>();
  readonly #appends = new Map<Table, (readonly [key: string, value: Value])[]>();

  /** Adds a change, over those before it. */
  add(table: Table, key: string, value: Value): void {
    if (table.kind !== "append") {
      entryOf(this.#rows, table, () => new Map<string, Value>()).set(key, value);
    } else if (value !== null) {
      entryOf(this.#appends, table, () => []).push([key, value]); // a delete has nothing to undo
    }
  }

  /** One entry per table that has changes; null values are deletes. */
  toTables(): TableRows[] {
    const tables: TableRows[] = [...this.#rows].map(([table, rows]) => {
      const upserts: [string, Value][] = [];
      const deletes: string[] = [];
      for (const [key, value] of rows) {
        if (value === null) deletes.push(key);
        else upserts.push([key, value]);
      }
      return { table, upserts, deletes, appends: [] };
    });
    for (const [table, appends] of this.#appends) {
      tables.push({ table, upserts: [], deletes: [], appends });
    }
    return tables;
  }
}

/** Rows that a transaction writes. */
export function countRows(tables: readonly TableRows[]): number {
  let count = 0;
  for (const { upserts, deletes, appends } of tables) {
    count += upserts.length + deletes.length + appends.length;
  }
  return count;
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
