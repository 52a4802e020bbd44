// Schema: what Orrery keeps in a database besides the rows, and whether the tables fit.
// Owns: schema `orrery` (meta, progress, secrets, tables), making business tables in `public`.
// Does not own: connecting, writing rows.
// Invariants (docs/invariants.md):
//   D8. Nothing is written to a database that belongs to another grid, or whose tables do not
//       fit: it is looked at first, on every new connection, and changed in one transaction.
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { AnswerRow, PostgresConnection } from "./connection.ts";
import { arrayLiteral, columnsOf, quoteName } from "./statements.ts";
import type { Table } from "./table.ts";

/** Version of everything in schema `orrery`. */
const schemaFormat = 1;

/** Whoever prepares a database does it alone; the number is arbitrary and must not change. */
const preparationLock = 7_091_817_320;

const engineTables = [
  "CREATE SCHEMA IF NOT EXISTS orrery",
  `CREATE TABLE IF NOT EXISTS orrery.meta (
     single boolean PRIMARY KEY DEFAULT true CHECK (single),
     grid_id text NOT NULL,
     generation bigint NOT NULL,
     token text NOT NULL,
     partitions integer NOT NULL,
     format integer NOT NULL)`,
  // Half-filled pages: each transaction updates these rows, in place where a page has room.
  `CREATE TABLE IF NOT EXISTS orrery.progress (
     partition integer PRIMARY KEY,
     generation bigint NOT NULL,
     seq bigint NOT NULL,
     epoch bigint NOT NULL,
     chain bytea) WITH (fillfactor = 50)`,
  "CREATE TABLE IF NOT EXISTS orrery.secrets (name text PRIMARY KEY, value text NOT NULL)",
  "CREATE TABLE IF NOT EXISTS orrery.tables (name text PRIMARY KEY)",
];

/** The grid that a database belongs to; null where it never met one. */
export async function knownGrid(
  connection: PostgresConnection,
): Promise<Outcome<GridIdentity | null>> {
  const [found] = await connection.rows("SELECT to_regclass('orrery.meta')::text AS meta");
  if (found === undefined || found["meta"] === null) return ok(null);
  const [meta] = await connection.rows(
    "SELECT grid_id, generation, partitions, format FROM orrery.meta",
  );
  if (meta === undefined) return ok(null);
  if (meta["format"] !== schemaFormat) {
    const what = `the database was written by another version (format ${String(meta["format"])})`;
    return failed("DATABASE_NEWER", `${what}; start that version`);
  }
  return ok({
    gridId: String(meta["grid_id"]),
    generation: Number(meta["generation"]),
    partitions: Number(meta["partitions"]),
  });
}

/**
 * Makes a database ready for a grid, or finds that it is: schema, progress rows, tables that are
 * not there yet. Fails with DATABASE_FOREIGN, DATABASE_MISFIT or DATABASE_NEWER, saying what does
 * not fit, before anything is written. Errors of PostgreSQL are thrown.
 */
export async function prepareSchema(
  connection: PostgresConnection,
  identity: GridIdentity,
  tables: readonly Table[],
): Promise<Outcome<null>> {
  assertDeclarations(tables);
  await connection.rows("BEGIN");
  await connection.rows(`SELECT pg_advisory_xact_lock(${preparationLock})`);
  const prepared = await prepareLocked(connection, identity, tables);
  await connection.rows(prepared.ok ? "COMMIT" : "ROLLBACK");
  return prepared;
}

async function prepareLocked(
  connection: PostgresConnection,
  identity: GridIdentity,
  tables: readonly Table[],
): Promise<Outcome<null>> {
  const known = await knownGrid(connection);
  if (!known.ok) return known;
  if (known.value === null) await adopt(connection, identity);
  else {
    const fits = compareGrids(known.value, identity);
    if (!fits.ok) return fits;
  }
  const made = await connection.rows("SELECT name FROM orrery.tables");
  const madeNames = new Set(made.map((row) => String(row["name"])));
  for (const table of tables) {
    const fits = await prepareTable(connection, table, madeNames.has(table.name));
    if (!fits.ok) return fits;
  }
  return ok(null);
}

async function adopt(connection: PostgresConnection, identity: GridIdentity): Promise<void> {
  for (const statement of engineTables) await connection.rows(statement);
  const { gridId, generation, partitions } = identity;
  await connection.rows(
    `INSERT INTO orrery.meta (grid_id, generation, token, partitions, format)
     VALUES ($1, $2::bigint, '', $3::integer, $4::integer)`,
    [gridId, String(generation), String(partitions), String(schemaFormat)],
  );
  await connection.rows(
    `INSERT INTO orrery.progress (partition, generation, seq, epoch)
     SELECT number, $1::bigint, 0, 0 FROM generate_series(0, $2::integer - 1) AS number`,
    [String(generation), String(partitions)],
  );
}

function compareGrids(known: GridIdentity, own: GridIdentity): Outcome<null> {
  if (known.gridId !== own.gridId) {
    return failed(
      "DATABASE_FOREIGN",
      `the database belongs to another grid (${known.gridId}, ours is ${own.gridId}); ` +
        "choose another database, or the store that belongs to it",
    );
  }
  if (known.partitions !== own.partitions) {
    const counts = `${known.partitions} partitions, the grid has ${own.partitions}`;
    return failed("DATABASE_MISFIT", `the database was made for ${counts}`);
  }
  return ok(null);
}

async function prepareTable(
  connection: PostgresConnection,
  table: Table,
  wasMade: boolean,
): Promise<Outcome<null>> {
  const found = await connection.rows(columnsQuery, [table.name]);
  if (found.length > 0) {
    const problem = misfit(table, found);
    if (problem !== null) return failed("DATABASE_MISFIT", problem);
  } else if (wasMade) {
    const what = `table public.${table.name} was there before and is gone`;
    return failed("DATABASE_MISFIT", `${what}; restore it, its rows are not written again`);
  } else {
    await connection.rows(createText(table));
  }
  if (!wasMade) {
    const names = arrayLiteral([table.name]);
    const text = "INSERT INTO orrery.tables SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    await connection.rows(text, [names]);
  }
  return ok(null);
}

function createText(table: Table): string {
  const columns = columnsOf(table).map(({ name, type }, index) => {
    return `${quoteName(name)} ${type}${index === 0 ? " PRIMARY KEY" : ""}`;
  });
  return `CREATE TABLE public.${quoteName(table.name)} (${columns.join(", ")})`;
}

/** Columns of a table in `public`: name, type, whether it must be given, whether it is the key. */
const columnsQuery = `
  SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type,
         a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
         coalesce(i.indnkeyatts = 1 AND i.indkey[0] = a.attnum, false) AS is_key
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  WHERE n.nspname = 'public' AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped`;

/** What PostgreSQL calls our types, where it has another name for them. */
const catalogTypes: Readonly<Record<string, string>> = { timestamptz: "timestamp with time zone" };

/** What keeps a table from being written, or null. Columns of others that may be NULL do not. */
function misfit(table: Table, found: readonly AnswerRow[]): string | null {
  const name = `table public.${table.name}`;
  const byName = new Map(found.map((row) => [String(row["name"]), row]));
  for (const { name: column, type } of columnsOf(table)) {
    const expected = catalogTypes[type] ?? type;
    const row = byName.get(column);
    if (row === undefined) return `${name} has no column ${column} (${expected})`;
    if (row["type"] !== expected) {
      return `${name}: column ${column} is ${String(row["type"])}, not ${expected}`;
    }
    byName.delete(column);
    if (column === table.key) {
      if (row["is_key"] !== true) return `${name}: column ${column} is not its primary key`;
    } else if (row["required"] === true) {
      return `${name}: column ${column} does not allow NULL`;
    }
  }
  for (const [column, row] of byName) {
    if (row["required"] === true) return `${name}: column ${column} is required and unknown to us`;
  }
  return null;
}

/** A declaration that cannot become a table is a mistake in the application's source. */
function assertDeclarations(tables: readonly Table[]): void {
  const names = new Set(tables.map((table) => table.name));
  assert(names.size === tables.length, "a table belongs to one space");
  for (const table of tables) {
    const columns = columnsOf(table).map(({ name }) => name);
    assert(new Set(columns).size === columns.length, `two columns of ${table.name} are the same`);
    for (const name of [table.name, ...columns]) {
      assert(/^[a-z][a-z0-9_]{0,62}$/.test(name), `${name} cannot name a table or a column`);
    }
  }
}
