// Row values: a value's property as the text of its column, and back.
// Owns: the text form of each column type, both ways; rows of text as values.
// Does not own: which values fit (table.ts), statements (statements.ts), reading (data-reader.ts).
// Invariants (docs/invariants.md):
//   D31. A value that fits its table comes back from the database as it was.
// The text is what PostgreSQL itself gives for `column::text` on one of our connections
// (connection.ts sets how dates, bytes and fractions are shown). What others wrote there by hand
// may be no value of ours (`infinity`, microseconds): then there is none.
// JSON has one kind of number, the grid has two. In jsonb a whole number is a number where that is
// safe, else a bigint; a large number that is not a bigint is written with ".0", and a small bigint
// with ".00" behind it: jsonb keeps these, and they change nothing for who compares or counts.
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { Value } from "../grid/log-record.ts";
import type { ColumnType, Table } from "./table.ts";

type Parts = Readonly<Record<string, Value>>;

function isList(value: Value & object): value is readonly Value[] {
  return Array.isArray(value);
}

export function isRow(value: Value): value is Parts {
  return typeof value === "object" && value !== null && !isList(value);
}

function toJson(value: Value): string {
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? `${String(value)}.00` : String(value);
  }
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return `${String(BigInt(value))}.0`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(toJson).join(",")}]`;
  const members = Object.entries(value).map(([name, part]) => {
    return `${JSON.stringify(name)}:${toJson(part)}`;
  });
  return `{${members.join(",")}}`;
}

/** Whole numbers as they were written; other parts are right already. */
function exactNumber(_name: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined) return value;
  if (source.endsWith(".00")) return BigInt(source.slice(0, -3));
  return /^-?\d{16,}$/.test(source) && !Number.isSafeInteger(value) ? BigInt(source) : value;
}

function fromJson(text: string): Value {
  // Looking at each number's text costs ten times as much, and is seldom needed.
  if (!/\d{16}|\.00/.test(text)) return JSON.parse(text) as Value;
  return JSON.parse(text, exactNumber) as Value;
}

function wholeText(value: Value): string | undefined {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return Number.isSafeInteger(value) ? String(value) : String(BigInt(value)); // never 1e21
}

/** A value in the text form of its column, null for NULL, undefined where its type is wrong. */
export function cellText(type: ColumnType, value: Value | undefined): string | null | undefined {
  if (value === undefined || value === null) return null;
  switch (type) {
    case "text":
    case "numeric":
    case "date":
      return typeof value === "string" ? value : undefined;
    case "bytea":
      if (typeof value !== "string") return undefined;
      return `\\x${Buffer.from(value, "base64").toString("hex")}`;
    case "bigint":
    case "int64":
    case "integer":
      return wholeText(value);
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

function wholeValue(text: string): Value | undefined {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

/** `2026-02-28 09:30:00.123+00`; what others wrote may have microseconds, or another year. */
function timestampMs(text: string): number | undefined {
  const [, date, time] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,3})?)\+00$/.exec(text) ?? [];
  return date === undefined || time === undefined ? undefined : Date.parse(`${date}T${time}Z`);
}

/**
 * The value that a column's text stands for: what `cellText` was given. Null is NULL; undefined:
 * no value of ours has that text.
 */
export function cellValue(type: ColumnType, text: string | null): Value | undefined {
  if (text === null) return null;
  switch (type) {
    case "text":
      return text;
    case "numeric":
      return /^-?\d+(?:\.\d+)?$/.test(text) ? text : undefined;
    case "date":
      return /^\d{4}-\d\d-\d\d$/.test(text) ? text : undefined;
    case "bytea":
      return Buffer.from(text.slice(2), "hex").toString("base64");
    case "bigint":
    case "integer":
      return wholeValue(text);
    case "int64":
      return BigInt(text);
    case "double precision": {
      const value = Number(text);
      return Number.isFinite(value) ? value : undefined;
    }
    case "boolean":
      return text === "true";
    case "timestamptz":
      return timestampMs(text);
    case "jsonb":
      return fromJson(text);
  }
}

/**
 * The entry that a row stands for, from the texts of its columns as `textColumns` (statements.ts)
 * lists them: the key's, then the others'. ROW_REFUSED where one of them is no value of ours.
 */
export function rowEntry(
  table: Table,
  cells: readonly (string | null)[],
): Outcome<readonly [key: string, value: Parts]> {
  const [key] = cells;
  if (key === undefined || key === null) {
    return failed("ROW_REFUSED", `a row of ${table.name} has no key`);
  }
  const parts: Record<string, Value> = {};
  let column = 0;
  for (const property in table.columns) {
    const type = table.columns[property];
    const text = cells[++column] ?? null;
    if (type === undefined) continue;
    const value = cellValue(type, text);
    if (value === undefined) {
      const what = `${table.name} ${key}: ${property} is ${String(text)}, no ${type} of ours`;
      return failed("ROW_REFUSED", `${what}; mend that row`);
    }
    parts[property] = value;
  }
  return ok([key, parts]);
}
