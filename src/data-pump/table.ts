// Table: how the entries of a space lie in the database.
// Owns: the description that an application gives. Does not own: SQL (schema.ts, rows.ts).

/** Column types an application may use; what each holds in a value is said beside it. */
export type ColumnType =
  | "text" // string
  | "bigint" // whole number (safe integer) or bigint
  | "integer" // whole number, 32 bits
  | "double precision" // number
  | "boolean" // boolean
  | "timestamptz" // number: milliseconds since 1970
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
}
