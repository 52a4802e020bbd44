// Table fit: whether a table in the database can be written as it is declared.
// Owns: the look into PostgreSQL's catalog, and the words for what does not fit.
// Does not own: making and changing tables (schema.ts).
// Somebody may have changed a table by hand. What would be refused, rounded or cut is found here,
// before anything is written; constraints on content cannot be: what they refuse is a dead letter.
import type { PostgresConnection } from "./connection.ts";

/** What a table must be like. */
export interface ExpectedTable {
  readonly schema: "public" | "orrery";
  readonly name: string;
  /** Type by column, as PostgreSQL shows it. */
  readonly columns: ReadonlyMap<string, string>;
  /** The column that alone is the primary key; null: there may be any, or none. */
  readonly key: string | null;
  /** These columns must allow NULL. */
  readonly nullable: ReadonlySet<string>;
}

export interface FoundColumn {
  readonly name: string;
  readonly type: string;
  /** Must be given in every row. */
  readonly required: boolean;
  /** Cannot be given. */
  readonly computed: boolean;
  readonly isKey: boolean;
}

/** The type with its precision: in numeric(10,2) our values would be rounded. */
const columnsQuery = `
  SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
         a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
         a.attgenerated <> '' OR a.attidentity = 'a' AS computed,
         coalesce(i.indnkeyatts = 1 AND i.indkey[0] = a.attnum, false) AS is_key
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attnum`;

/** A table's columns; none where there is no such table. */
export async function findColumns(
  connection: PostgresConnection,
  { schema, name }: Pick<ExpectedTable, "schema" | "name">,
): Promise<FoundColumn[]> {
  const rows = await connection.rows(columnsQuery, [schema, name]);
  return rows.map((row) => ({
    name: String(row["name"]),
    type: String(row["type"]),
    required: row["required"] === true,
    computed: row["computed"] === true,
    isKey: row["is_key"] === true,
  }));
}

/** What keeps a table from being written, or null. Columns of others that may be NULL do not. */
export function misfit(expected: ExpectedTable, found: readonly FoundColumn[]): string | null {
  const name = `table ${expected.schema}.${expected.name}`;
  const others = new Map(found.map((column) => [column.name, column]));
  for (const [column, type] of expected.columns) {
    const row = others.get(column);
    others.delete(column);
    if (row === undefined) return `${name} has no column ${column} (${type})`;
    if (row.type !== type) return `${name}: column ${column} is ${row.type}, not ${type}`;
    if (row.computed && expected.schema === "public") {
      return `${name}: column ${column} is computed and cannot be written`;
    }
    if (column === expected.key && !row.isKey) {
      return `${name}: column ${column} is not its primary key`;
    }
    if (row.required && expected.nullable.has(column)) {
      return `${name}: column ${column} does not allow NULL`;
    }
  }
  for (const { name: column, required } of others.values()) {
    if (required) return `${name}: column ${column} is required and unknown to us`;
  }
  return null;
}
