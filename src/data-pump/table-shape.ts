// Table shape: whether tables still are what they were when they were looked at.
// Owns: the shape of tables as one text, what holds it fast in a transaction.
// Does not own: what fits (table-fit.ts), when it is looked at (schema.ts, postgres-database.ts).
// Invariants (docs/invariants.md):
//   D8. Nothing is written to tables that do not fit.
// A table that is changed by hand while we are connected may take our rows and round them, or
// refuse them as if their content were bad. So each transaction asks, before its first row.
import type { PostgresConnection } from "./connection.ts";
import { arrayLiteral, quoteName } from "./statements.ts";
import type { Table } from "./table.ts";

/** The shape of the tables whose names are in that parameter. */
function shapeOfNames(names: string): string {
  return `
    SELECT md5(string_agg(concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod,
               a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated, a.attisdropped),
               ',' ORDER BY a.attrelid, a.attnum)) AS shape
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relname = ANY(${names}::text[]) AND a.attnum > 0`;
}

/** The columns of all these tables, as one text that differs where any of them does. */
export async function shapeOf(
  connection: PostgresConnection,
  tables: readonly Table[],
): Promise<string> {
  const [row] = await connection.rows(shapeOfNames("$1"), [namesOf(tables)]);
  return String(row?.["shape"]);
}

/**
 * Begins a transaction's rows: keeps tables as they are until its end. The lock is the one that
 * rows take: nobody waits for it but who changes a table.
 */
export function lockText(tables: readonly Table[]): string {
  const names = tables.map(({ name }) => `public.${quoteName(name)}`).join(", ");
  return `LOCK TABLE ${names} IN ROW EXCLUSIVE MODE`;
}

/**
 * A value that fails its statement (SQLSTATE 42P01, which is about the schema) unless the tables
 * named in the one parameter have the shape in the other. It looks for a relation that there is
 * none of; the cast stands behind the choice, else the server would do it while it plans.
 */
export function unchanged(names: string, shape: string): string {
  const choice = `CASE WHEN shape = ${shape} THEN 'pg_class' ELSE '"a table whose columns changed"' END`;
  return `(SELECT (${choice})::regclass FROM (${shapeOfNames(names)}) AS now)`;
}

/** Names of tables as a parameter. */
export function namesOf(tables: readonly Table[]): string {
  return arrayLiteral(tables.map(({ name }) => name));
}
