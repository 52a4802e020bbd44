// Table: how the entries of a space lie in the database.
// Owns: the description that an application gives, and which values fit it. Does not own: SQL
// (schema.ts, statements.ts).
import type { Value } from "../grid/log-record.ts";

/** Column types an application may use; what each holds in a value is said beside it. */
export type ColumnType =
  | "text" // string
  | "bigint" // whole number (safe integer) or bigint
  | "integer" // whole number, 32 bits
  | "double precision" // number
  | "boolean" // boolean
  | "timestamptz" // number: milliseconds since 1970, in the years 1 to 9999
  | "jsonb"; // any plain data

/**
 * A business table, in schema `public`. The entry's key is the primary key, in column `key`;
 * each property of the value named in `columns` goes to the column of that name in snake_case
 * (`priceMicros` → `price_micros`); a property that is absent or null becomes NULL.
 */
export interface Table {
  readonly name: string;
  readonly key: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /**
   * `append`: every change becomes a row of its own, in order, and no row is ever updated; `key`
   * is not unique there. Only for write-only spaces.
   */
  readonly kind?: "append";
}

const timestampMsMin = -62_135_596_800_000;
const timestampMsMax = 253_402_300_799_999;

function isWhole(value: Value, bits: number): boolean {
  if (typeof value === "bigint") return BigInt.asIntN(bits, value) === value;
  return Number.isSafeInteger(value) && Math.abs((value as number) + 0.5) < 2 ** (bits - 1);
}

function fits(type: ColumnType, value: Value): boolean {
  switch (type) {
    case "text":
      return typeof value === "string";
    case "bigint":
      return isWhole(value, 64);
    case "integer":
      return isWhole(value, 32);
    case "double precision":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "timestamptz":
      return typeof value === "number" && value >= timestampMsMin && value <= timestampMsMax;
    case "jsonb":
      return true;
  }
}

/**
 * The property of a value that its column cannot hold, or null. Asked before a value is journaled:
 * a row that the database refuses would hold back all that its partition writes after it.
 */
export function misfitProperty(table: Table, value: object): string | null {
  for (const property in table.columns) {
    const type = table.columns[property];
    const part = (value as Readonly<Record<string, Value | undefined>>)[property];
    if (part === undefined || part === null || type === undefined) continue;
    if (!fits(type, part)) return property;
  }
  return null;
}
