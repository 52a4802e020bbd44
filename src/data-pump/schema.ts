// Schema: whether a database is ready for a grid and its tables, and making it so.
// Owns: when schema `orrery` is migrated, making business tables in `public`, adding columns.
// Does not own: the statements of schema `orrery` (migrations.ts), what fits (table-fit.ts),
// connecting, writing rows.
// Invariants (docs/invariants.md):
//   D8. Nothing is written to a database that belongs to another grid, or whose tables do not
//       fit: it is looked at first, on every new connection, and changed in one transaction.
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { PostgresConnection } from "./connection.ts";
import {
  applyChanges,
  engineTables,
  formatOf,
  migrationsFrom,
  schemaFormat,
  type SchemaChange,
} from "./migrations.ts";
import { tooOldAdvice } from "./progress-rules.ts";
import { arrayLiteral, columnsOf, quoteName, sqlType } from "./statements.ts";
import { findColumns, misfit, type ExpectedTable } from "./table-fit.ts";
import type { Table } from "./table.ts";

/** Whoever prepares a database does it alone; the number is arbitrary and must not change. */
const preparationLock = 7_091_817_320;

/** What PostgreSQL calls our types, where it has another name for them. */
const catalogTypes: Readonly<Record<string, string>> = { timestamptz: "timestamp with time zone" };

/** The grid that a database belongs to; null where it never met one. */
export async function knownGrid(
  connection: PostgresConnection,
): Promise<Outcome<GridIdentity | null>> {
  const format = await formatOf(connection);
  if (format === 0) return ok(null);
  if (format > schemaFormat) {
    const what = `the database was written by another version (format ${String(format)})`;
    return failed("DATABASE_NEWER", `${what}; start that version`);
  }
  const [meta] = await connection.rows("SELECT grid_id, generation, partitions FROM orrery.meta");
  if (meta === undefined) return ok(null);
  return ok({
    gridId: String(meta["grid_id"]),
    generation: Number(meta["generation"]),
    partitions: Number(meta["partitions"]),
  });
}

/** Runs `work` in a transaction that nobody else prepares or migrates in; a failure undoes it. */
async function alone<T>(
  connection: PostgresConnection,
  work: () => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  await connection.rows("BEGIN");
  await connection.rows(`SELECT pg_advisory_xact_lock(${preparationLock})`);
  const outcome = await work();
  await connection.rows(outcome.ok ? "COMMIT" : "ROLLBACK");
  return outcome;
}

/**
 * Makes a database ready for a grid, or finds that it is: schema, progress rows, tables and columns
 * that are not there yet. Fails with DATABASE_FOREIGN, DATABASE_MISFIT, DATABASE_NEWER or
 * DATABASE_LOST (it is of an older generation, which had other partitions), saying what does not
 * fit, before anything is written. Errors of PostgreSQL are thrown.
 */
export function prepareSchema(
  connection: PostgresConnection,
  identity: GridIdentity,
  tables: readonly Table[],
): Promise<Outcome<null>> {
  return alone(connection, async () => {
    const known = await knownGrid(connection);
    if (!known.ok) return known;
    const fits = known.value === null ? ok(null) : compareGrids(known.value, identity);
    if (!fits.ok) return fits;
    const migrated = await migrateLocked(connection, tables);
    if (!migrated.ok) return migrated;
    if (known.value === null) await adopt(connection, identity);
    return ok(null);
  });
}

/**
 * Brings a database to what this version and the tables need; what was done, in order. It need not
 * know a grid yet. Fails like `prepareSchema`. `isDryRun`: says what would be done, and does
 * nothing.
 */
export async function migrateSchema(
  connection: PostgresConnection,
  tables: readonly Table[],
  isDryRun: boolean,
): Promise<Outcome<readonly SchemaChange[]>> {
  if (!isDryRun) {
    return alone(connection, async () => {
      const known = await knownGrid(connection);
      return known.ok ? migrateLocked(connection, tables) : known;
    });
  }
  const known = await knownGrid(connection);
  return known.ok ? planChanges(connection, await formatOf(connection), tables) : known;
}

/** Finds that a database has what this version and the tables need, or fails: DATABASE_MISFIT. */
export async function checkSchema(
  connection: PostgresConnection,
  tables: readonly Table[],
): Promise<Outcome<null>> {
  const planned = await migrateSchema(connection, tables, true);
  if (!planned.ok) return planned;
  const [change] = planned.value;
  if (change === undefined) return ok(null);
  return failed("DATABASE_MISFIT", `the database lacks ${change.what}; run orrery migrate`);
}

async function migrateLocked(
  connection: PostgresConnection,
  tables: readonly Table[],
): Promise<Outcome<readonly SchemaChange[]>> {
  const planned = await planChanges(connection, await formatOf(connection), tables);
  if (!planned.ok) return planned;
  await applyChanges(connection, planned.value);
  const problem = await engineMisfit(connection);
  if (problem !== null) return failed("DATABASE_MISFIT", problem);
  if (planned.value.length > 0) await recordTables(connection, tables);
  return planned;
}

async function planChanges(
  connection: PostgresConnection,
  format: number,
  tables: readonly Table[],
): Promise<Outcome<SchemaChange[]>> {
  assertDeclarations(tables);
  if (format === schemaFormat) {
    const problem = await engineMisfit(connection);
    if (problem !== null) return failed("DATABASE_MISFIT", problem);
  }
  const changes = [...migrationsFrom(format)];
  const made = await madeTables(connection, format);
  for (const table of tables) {
    const change = await planTable(connection, table, made.get(table.name));
    if (!change.ok) return change;
    changes.push(...change.value);
  }
  return ok(changes);
}

/** The columns of the tables that were made or taken; null where that was not written down yet. */
async function madeTables(
  connection: PostgresConnection,
  format: number,
): Promise<Map<string, readonly string[] | null>> {
  if (format === 0) return new Map();
  const columns = format === 1 ? "NULL" : "to_json(columns)::text";
  const rows = await connection.rows(`SELECT name, ${columns} AS columns FROM orrery.tables`);
  return new Map(
    rows.map(({ name, columns: known }) => {
      return [String(name), typeof known === "string" ? (JSON.parse(known) as string[]) : null];
    }),
  );
}

/** What a table lacks. `made`: its columns as they were; undefined: it is new to us. */
async function planTable(
  connection: PostgresConnection,
  table: Table,
  made: readonly string[] | null | undefined,
): Promise<Outcome<SchemaChange[]>> {
  const expected = expectedTable(table);
  const found = await findColumns(connection, expected);
  const name = `table public.${table.name}`;
  if (found.length === 0) {
    if (made === undefined) return ok([{ what: name, statements: [createText(table)] }]);
    return failed(
      "DATABASE_MISFIT",
      `${name} was there before and is gone; restore it, its rows are not written again`,
    );
  }
  const there = new Set(found.map((column) => column.name));
  const added = [...expected.columns].filter(([column]) => {
    return made !== undefined && !there.has(column) && made?.includes(column) !== true;
  });
  const added_ = added.map(([column]) => column);
  const columns = new Map([...expected.columns].filter(([column]) => !added_.includes(column)));
  const problem = misfit({ ...expected, columns }, found);
  if (problem !== null) return failed("DATABASE_MISFIT", problem);
  const changes = added.map(([column, type]) => ({
    what: `${name}: column ${column}`,
    statements: [`ALTER TABLE public.${quoteName(table.name)} ADD ${quoteName(column)} ${type}`],
  }));
  if (made !== undefined) return ok(changes);
  // Somebody else made it, and it fits: from here on it is looked after like our own.
  return ok([{ what: `${name}, as it was found`, statements: [] }, ...changes]);
}

function expectedTable(table: Table): ExpectedTable {
  const columns = columnsOf(table).map(({ name, type }) => {
    return [name, catalogTypes[type] ?? sqlType(type)] as const;
  });
  return {
    schema: "public",
    name: table.name,
    columns: new Map(columns),
    key: table.kind === "append" ? null : table.key,
    nullable: new Set(columns.slice(1).map(([name]) => name)),
  };
}

function createText(table: Table): string {
  const key = table.kind === "append" ? " NOT NULL" : " PRIMARY KEY";
  const columns = columnsOf(table).map(({ name, type }, index) => {
    return `${quoteName(name)} ${sqlType(type)}${index === 0 ? key : ""}`;
  });
  return `CREATE TABLE public.${quoteName(table.name)} (${columns.join(", ")})`;
}

/** Writes down which tables and columns are there now: if one is missing later, it was taken. */
async function recordTables(
  connection: PostgresConnection,
  tables: readonly Table[],
): Promise<void> {
  for (const table of tables) {
    const columns = arrayLiteral(columnsOf(table).map(({ name }) => name));
    await connection.rows(
      `INSERT INTO orrery.tables AS t (name, columns) VALUES ($1, $2::text[])
       ON CONFLICT (name) DO UPDATE SET columns = ARRAY(
         SELECT DISTINCT unnest(t.columns || EXCLUDED.columns) ORDER BY 1)`,
      [table.name, columns],
    );
  }
}

async function engineMisfit(connection: PostgresConnection): Promise<string | null> {
  for (const [name, columns] of Object.entries(engineTables)) {
    const [key = null] = Object.keys(columns);
    const expected: ExpectedTable = {
      schema: "orrery",
      name,
      columns: new Map(Object.entries(columns)),
      key,
      nullable: new Set(),
    };
    const found = await findColumns(connection, expected);
    const problem = found.length === 0 ? `table orrery.${name} is gone` : misfit(expected, found);
    if (problem !== null) return `${problem}; restore the database`;
  }
  const [row] = await connection.rows(
    "SELECT to_regprocedure('orrery.require(boolean)')::text AS f",
  );
  return typeof row?.["f"] === "string" ? null : "function orrery.require is gone; restore it";
}

async function adopt(connection: PostgresConnection, identity: GridIdentity): Promise<void> {
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
    const generations = `generation ${known.generation} of the grid, which is of ${own.generation}`;
    if (known.generation < own.generation) {
      const message = `the database went back to ${generations}: it has ${counts}`;
      return failed("DATABASE_LOST", `${message}; ${tooOldAdvice}`);
    }
    if (known.generation > own.generation) {
      return failed("DATABASE_NEWER", `the database serves ${generations}: it has ${counts}`);
    }
    return failed("DATABASE_MISFIT", `the database was made for ${counts}`);
  }
  return ok(null);
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
