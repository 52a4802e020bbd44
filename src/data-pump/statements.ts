// Statements: rows of a table as SQL text and parameters. One statement for any number of rows.
// Owns: names of columns, the text form of each column type, array literals.
// Does not own: which rows (rows.ts), sending (postgres-database.ts).
// Invariants (docs/invariants.md):
//   D10. No data becomes part of a statement's text: text is made of declared names, quoted; all
//        data travels as parameters.
// Whole columns travel as array literals: exact for whole numbers of any size, and a statement's
// text stays the same for any number of rows, so that it is prepared once.
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import type { TableRows } from "./database.ts";
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

/** JSON with whole numbers of any size. */
function toJson(value: Value): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(toJson).join(",")}]`;
  const members = Object.entries(value).map(([name, part]) => {
    return `${JSON.stringify(name)}:${toJson(part)}`;
  });
  return `{${members.join(",")}}`;
}

function isList(value: Value & object): value is readonly Value[] {
  return Array.isArray(value);
}

/** A value in the text form of its column, null for NULL, undefined where its type is wrong. */
function cellText(type: ColumnType, value: Value | undefined): string | null | undefined {
  if (value === undefined || value === null) return null;
  switch (type) {
    case "text":
      return typeof value === "string" ? value : undefined;
    case "bigint":
    case "integer":
      if (typeof value === "bigint") return String(value);
      // Beyond 2^53 a number prints rounded; as a bigint it prints what it is.
      return Number.isInteger(value) ? String(BigInt(value as number)) : undefined;
    case "double precision":
      return typeof value === "number" ? String(value) : undefined;
    case "boolean":
      return typeof value === "boolean" ? String(value) : undefined;
    case "timestamptz": {
      if (typeof value !== "number" || !(Math.abs(value) <= 8.64e15)) return undefined;
      return new Date(value).toISOString();
    }
    case "jsonb":
      return toJson(value);
  }
}

function upsertText(table: Table): string {
  const columns = columnsOf(table);
  const names = columns.map(({ name }) => quoteName(name));
  const arrays = columns.map(({ type }, index) => `$${index + 1}::${type}[]`);
  const sets = names.slice(1).map((name) => `${name} = EXCLUDED.${name}`);
  const action = sets.length === 0 ? "NOTHING" : `UPDATE SET ${sets.join(", ")}`;
  return (
    `INSERT INTO public.${quoteName(table.name)} (${names.join(", ")}) ` +
    `SELECT * FROM unnest(${arrays.join(", ")}) ` +
    `ON CONFLICT (${quoteName(table.key)}) DO ${action}`
  );
}

function deleteText(table: Table): string {
  const key = quoteName(table.key);
  return `DELETE FROM public.${quoteName(table.name)} WHERE ${key} = ANY($1::text[])`;
}

type Columns = readonly (readonly [property: string, type: ColumnType])[];

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
    // Only text can hold what has a meaning in an array literal; jsonb is full of it.
    const isPlain = cell === null || (type !== "text" && type !== "jsonb");
    elements[index + 1]?.push(isPlain ? (cell ?? "NULL") : element(cell));
  }
  return null;
}

function isRow(value: Value): value is Readonly<Record<string, Value>> {
  return typeof value === "object" && value !== null && !isList(value);
}

/**
 * The statements that write rows, in order. Lets the event loop go on between slices of them.
 * ROW_REFUSED, naming table, key and property, where a value does not fit its column's type.
 */
export async function statementsFor(
  tables: readonly TableRows[],
  timers: Timers,
): Promise<Outcome<Statement[]>> {
  const statements: Statement[] = [];
  let rowsInTick = 0;
  for (const { table, upserts, deletes } of tables) {
    if (deletes.length > 0) {
      statements.push({ text: deleteText(table), parameters: [arrayLiteral(deletes)] });
    }
    if (upserts.length === 0) continue;
    const columns = Object.entries(table.columns);
    const elements: string[][] = [[], ...columns.map(() => [])];
    for (const [key, value] of upserts) {
      const name = `${table.name} ${key}`;
      if (!isRow(value)) return failed("ROW_REFUSED", `${name}: a row is made of an object`);
      const misfit = addRow(columns, elements, key, value);
      if (misfit !== null) {
        const type = table.columns[misfit] ?? "";
        return failed("ROW_REFUSED", `${name}: ${misfit} does not fit ${type}`);
      }
      if (++rowsInTick < limits.pumpSliceChanges) continue;
      rowsInTick = 0;
      await new Promise<void>((resolve) => timers.endOfTick(resolve));
    }
    const parameters = elements.map((cells) => `{${cells.join(",")}}`);
    statements.push({ text: upsertText(table), parameters });
  }
  return ok(statements);
}
