// Statements: rows of a table as SQL text and parameters. One statement for any number of rows.
// Owns: names of columns, their types in PostgreSQL, array literals.
// Does not own: which rows (rows.ts), values as text (row-values.ts), sending
// (postgres-database.ts).
// Invariants (docs/invariants.md):
//   D10. No data becomes part of a statement's text: text is made of declared names, quoted; all
//        data travels as parameters.
//   D32. A statement takes effect inside its own transaction or not at all.
// Whole columns travel as array literals: exact for whole numbers of any size, and a statement's
// text stays the same for any number of rows, so that it is prepared once.
// Measured against COPY, interleaved, 2000 bids a transaction: upserts took 41 ms by unnest and 49
// by COPY to a staging table; bare inserts 24 and 19, but COPY waits for answers in between.
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import type { TableRows } from "./database.ts";
import { cellText, isRow } from "./row-values.ts";
import type { ColumnType, Table } from "./table.ts";

export interface Statement {
  readonly text: string;
  readonly parameters: readonly string[];
}

/** A declared name as part of a statement. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The column of a property: `priceMicros` → `price_micros`. */
function columnName(property: string): string {
  return property.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The key's column, then those of the properties, as they stand in the table. */
export function columnsOf(table: Table): { name: string; type: ColumnType }[] {
  const columns = Object.entries(table.columns);
  return [
    { name: table.key, type: "text" },
    ...columns.map(([property, type]) => ({ name: columnName(property), type })),
  ];
}

/** One element of an array literal. */
function element(text: string): string {
  return /["\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, "\\$&")}"` : `"${text}"`;
}

/** An array as PostgreSQL reads it from text. */
export function arrayLiteral(values: readonly string[]): string {
  return `{${values.map(element).join(",")}}`;
}

/** The type of a column in PostgreSQL. */
export function sqlType(type: ColumnType): string {
  return type === "int64" ? "bigint" : type;
}

/** The columns of a table as a list of texts, in the order of `rowEntry` (row-values.ts). */
export function textColumns(table: Table): string {
  return columnsOf(table)
    .map(({ name }) => `${quoteName(name)}::text`)
    .join(", ");
}

/**
 * A condition that fails the statement outside the transaction that `mark` names (its parameter):
 * the driver sends a statement again by itself where the server had forgotten how it was prepared,
 * and then it would run alone, behind the transaction that it was part of (D32).
 */
export function insideOnly(mark: string): string {
  return `orrery.require(current_setting('orrery.transaction', true) = ${mark})`;
}

function insertText(table: Table): string {
  const columns = columnsOf(table);
  const names = columns.map(({ name }) => quoteName(name));
  const arrays = columns.map(({ type }, index) => `$${index + 2}::${sqlType(type)}[]`);
  return (
    `INSERT INTO public.${quoteName(table.name)} (${names.join(", ")}) ` +
    `SELECT * FROM unnest(${arrays.join(", ")}) WHERE ${insideOnly("$1")}`
  );
}

function upsertText(table: Table): string {
  const [key = "", ...others] = columnsOf(table).map(({ name }) => quoteName(name));
  const sets = others.map((name) => `${name} = EXCLUDED.${name}`);
  const action = sets.length === 0 ? "NOTHING" : `UPDATE SET ${sets.join(", ")}`;
  return `${insertText(table)} ON CONFLICT (${key}) DO ${action}`;
}

function deleteText(table: Table): string {
  const key = quoteName(table.key);
  const rows = `${key} = ANY($2::text[])`;
  return `DELETE FROM public.${quoteName(table.name)} WHERE ${rows} AND ${insideOnly("$1")}`;
}

type Columns = readonly (readonly [property: string, type: ColumnType])[];

/** Types whose text has nothing in it that has a meaning in an array literal. */
const plainTypes: ReadonlySet<ColumnType> = new Set([
  "bigint",
  "int64",
  "integer",
  "double precision",
  "boolean",
  "timestamptz",
]);

/** Adds a row to the columns' elements; the property that cannot be written, or null. */
function addRow(
  columns: Columns,
  elements: readonly string[][],
  key: string,
  value: Readonly<Record<string, Value>>,
): string | null {
  elements[0]?.push(element(key));
  for (const [index, [property, type]] of columns.entries()) {
    const cell = cellText(type, value[property]);
    if (cell === undefined) return property;
    const isPlain = cell === null || plainTypes.has(type);
    elements[index + 1]?.push(isPlain ? (cell ?? "NULL") : element(cell));
  }
  return null;
}

/** Lets the event loop go on between slices of rows. */
class Slices {
  readonly #timers: Timers;
  #rows = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Null, or what to wait for before the next row. */
  next(): Promise<void> | null {
    if (++this.#rows < limits.pumpSliceChanges) return null;
    this.#rows = 0;
    return new Promise((resolve) => this.#timers.endOfTick(resolve));
  }
}

async function arraysOf(
  table: Table,
  rows: TableRows["upserts"],
  slices: Slices,
): Promise<Outcome<string[]>> {
  const columns = Object.entries(table.columns);
  const elements: string[][] = [[], ...columns.map(() => [])];
  for (const [key, value] of rows) {
    const name = `${table.name} ${key}`;
    if (!isRow(value)) return failed("ROW_REFUSED", `${name}: a row is made of an object`);
    const misfit = addRow(columns, elements, key, value);
    if (misfit !== null) {
      const type = table.columns[misfit] ?? "";
      return failed("ROW_REFUSED", `${name}: ${misfit} does not fit ${type}`);
    }
    const pause = slices.next();
    if (pause !== null) await pause;
  }
  return ok(elements.map((cells) => `{${cells.join(",")}}`));
}

/**
 * The statements that write rows, in order, within the transaction that `mark` names. Lets the
 * event loop go on between slices of them. ROW_REFUSED, naming table, key and property, where a
 * value does not fit its column's type.
 */
export async function statementsFor(
  tables: readonly TableRows[],
  mark: string,
  timers: Timers,
): Promise<Outcome<Statement[]>> {
  const statements: Statement[] = [];
  const slices = new Slices(timers);
  for (const { table, upserts, deletes, appends } of tables) {
    if (deletes.length > 0) {
      statements.push({ text: deleteText(table), parameters: [mark, arrayLiteral(deletes)] });
    }
    for (const [rows, text] of [
      [upserts, upsertText],
      [appends, insertText],
    ] as const) {
      if (rows.length === 0) continue;
      const arrays = await arraysOf(table, rows, slices);
      if (!arrays.ok) return arrays;
      statements.push({ text: text(table), parameters: [mark, ...arrays.value] });
    }
  }
  return ok(statements);
}
