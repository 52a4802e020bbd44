// Table: how the entries of a space lie in the database.
// Owns: the description that an application gives, and which values fit it. Does not own: SQL
// (schema.ts, statements.ts), the text of a value in its column (row-values.ts).
// Invariants (docs/invariants.md):
//   D31. A value that fits its table comes back from the database as it was.
import type { Value } from "../grid/log-record.ts";

/**
 * Column types an application may use; what each holds in a value is said beside it. They are
 * PostgreSQL's own, but for `int64`, whose column is a bigint, too.
 */
export type ColumnType =
  | "text" // string
  | "bigint" // whole number of 64 bits: a number where that is safe, else a bigint
  | "int64" // bigint of 64 bits, however small
  | "integer" // whole number of 32 bits
  | "numeric" // string of decimal digits, exact: "12.50", not "1e1", "+5" or "007"
  | "double precision" // number
  | "boolean" // boolean
  | "date" // string: "2026-02-28", in the years 1 to 9999
  | "timestamptz" // whole number: milliseconds since 1970, in the years 1 to 9999
  | "bytea" // string: base64 (bytes in an array could not be frozen)
  | "jsonb"; // any plain data

/**
 * A business table, in schema `public`. The entry's key is the primary key, in column `key`;
 * each property of the value named in `columns` goes to the column of that name in snake_case
 * (`priceMicros` → `price_micros`); a property that is absent or null becomes NULL, and comes back
 * as null.
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
// PostgreSQL keeps so many digits before and behind the point.
const wholeDigitsMax = 131_072;
const fractionDigitsMax = 16_383;

function isWhole(value: Value, bits: number): boolean {
  return Number.isSafeInteger(value) && Math.abs((value as number) + 0.5) < 2 ** (bits - 1);
}

function isInt64(value: Value): boolean {
  return typeof value === "bigint" && BigInt.asIntN(64, value) === value;
}

/** Only in its normal form: another one of the same number would not come back as it was. */
function isDecimal(value: Value): boolean {
  if (typeof value !== "string") return false;
  const [, sign, whole = "", fraction = ""] = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?$/.exec(value) ?? [];
  if (sign === undefined) return false;
  if (sign === "-" && /^0*$/.test(whole + fraction)) return false; // there is no -0
  return whole.length <= wholeDigitsMax && fraction.length <= fractionDigitsMax;
}

function isDate(value: Value): boolean {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d$/.test(value)) return false;
  const ms = Date.parse(`${value}T00:00:00Z`);
  if (!(ms >= timestampMsMin)) return false;
  return new Date(ms).toISOString().startsWith(value); // else a 31st where there is none
}

function isBase64(value: Value): boolean {
  return typeof value === "string" && Buffer.from(value, "base64").toString("base64") === value;
}

function fits(type: ColumnType, value: Value): boolean {
  switch (type) {
    case "text":
      return typeof value === "string";
    case "bigint":
      return isWhole(value, 64) || (isInt64(value) && !Number.isSafeInteger(Number(value)));
    case "int64":
      return isInt64(value);
    case "integer":
      return isWhole(value, 32);
    case "numeric":
      return isDecimal(value);
    case "double precision":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "date":
      return isDate(value);
    case "timestamptz":
      return (
        Number.isInteger(value) &&
        (value as number) >= timestampMsMin &&
        (value as number) <= timestampMsMax
      );
    case "bytea":
      return isBase64(value);
    case "jsonb":
      return true;
  }
}

/**
 * The property of a value that its column cannot hold, or would not give back as it is; null: none.
 * Asked before a value is journaled: a row that the database refuses becomes a dead letter.
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
