// Rows: the changes of many records as rows per table, writes to one key coalesced.
// Owns: which change of a key counts (the last). Does not own: SQL (statements.ts).
import { entriesOf, type LogRecord, type Value } from "../grid/log-record.ts";
import type { TableRows } from "./database.ts";
import type { Table } from "./table.ts";

/** Tables by the name of the space that they belong to. */
export type TablesBySpace = ReadonlyMap<string, Table>;

/** The changes that a record journals; a checkpoint's delta repeats what earlier records had. */
export function changesIn({ body }: LogRecord): number {
  let count = 0;
  for (const entry of entriesOf(body)) count += entry.changes.length;
  return count;
}

/** Rows that a transaction writes. */
export function countRows(tables: readonly TableRows[]): number {
  let count = 0;
  for (const { upserts, deletes, appends } of tables) {
    count += upserts.length + deletes.length + appends.length;
  }
  return count;
}

export class RowBatch {
  readonly #tables: TablesBySpace;
  readonly #rows = new Map<Table, Map<string, Value>>();

  constructor(tables: TablesBySpace) {
    this.#tables = tables;
  }

  /** Adds a record's changes, over those of the records before it. */
  add({ body }: LogRecord): void {
    for (const entry of entriesOf(body)) {
      for (const change of entry.changes) {
        const table = this.#tables.get(change.space);
        if (table === undefined) continue; // a space that lives in the grid only
        this.#rowsOf(table).set(change.key, change.value);
      }
    }
  }

  /** One entry per table that has changes; null values are deletes. */
  toTables(): TableRows[] {
    return [...this.#rows].map(([table, rows]) => {
      const upserts: [string, Value][] = [];
      const deletes: string[] = [];
      for (const [key, value] of rows) {
        if (value === null) deletes.push(key);
        else upserts.push([key, value]);
      }
      return { table, upserts, deletes, appends: [] };
    });
  }

  #rowsOf(table: Table): Map<string, Value> {
    const known = this.#rows.get(table);
    if (known !== undefined) return known;
    const rows = new Map<string, Value>();
    this.#rows.set(table, rows);
    return rows;
  }
}
