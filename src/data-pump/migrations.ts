// Migrations: how schema `orrery` came to be what it is, step by step, forward only.
// Owns: each format's statements, the record of what was done (orrery.migrations), what schema
// `orrery` must look like.
// Does not own: when they are run, and business tables (schema.ts).
// A step that was released is never changed: a database may have been made by it. Statements hold
// for an empty database and for one that the step before has left.
import type { PostgresConnection } from "./connection.ts";
import { arrayLiteral } from "./statements.ts";

/** One change of the schema, as a person is told of it and as PostgreSQL does it. */
export interface SchemaChange {
  readonly what: string;
  readonly statements: readonly string[];
}

interface Migration extends SchemaChange {
  /** What the format is afterwards. */
  readonly format: number;
}

const migrations: readonly Migration[] = [
  {
    format: 1,
    what: "schema orrery: the grid, its progress, secrets",
    statements: [
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
    ],
  },
  {
    format: 2,
    what: "schema orrery: dead letters, complete stops, recorded migrations",
    statements: [
      `CREATE TABLE orrery.migrations (
         number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         format integer NOT NULL,
         what text NOT NULL,
         at timestamptz NOT NULL DEFAULT now())`,
      `ALTER TABLE orrery.progress
         ADD complete boolean NOT NULL DEFAULT false,
         ADD letters bigint NOT NULL DEFAULT 0`,
      `CREATE TABLE orrery.dead_letters (
         id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         partition integer NOT NULL,
         position bigint NOT NULL,
         change integer NOT NULL,
         space text NOT NULL,
         key text NOT NULL,
         value bytea,
         reason text,
         at timestamptz NOT NULL DEFAULT now())`,
      "CREATE INDEX dead_letters_of_key ON orrery.dead_letters (partition, space, key, id)",
      // How far the replaced generation had come, while a rebuild is under way.
      "ALTER TABLE orrery.meta ADD written jsonb",
      // The columns that were there once: one of them that is missing was not taken away by us.
      "ALTER TABLE orrery.tables ADD columns text[] NOT NULL DEFAULT '{}'",
      `UPDATE orrery.tables AS t SET columns = coalesce((
         SELECT array_agg(a.attname::text) FROM pg_attribute AS a
         WHERE a.attrelid = to_regclass(format('public.%I', t.name))
           AND a.attnum > 0 AND NOT a.attisdropped), '{}')`,
      // Fails whatever builds on something that is not so. STABLE: asked once for a statement.
      `CREATE FUNCTION orrery.require(fits boolean) RETURNS boolean
         LANGUAGE plpgsql STABLE AS $$
         BEGIN
           IF fits IS NOT TRUE THEN
             RAISE EXCEPTION 'this does not fit any more' USING ERRCODE = 'ORR01';
           END IF;
           RETURN true;
         END $$`,
      "UPDATE orrery.meta SET format = 2",
    ],
  },
];

/** Version of everything in schema `orrery`. */
export const schemaFormat = 2;

/** What `orrery.require` fails with. */
export const misfitState = "ORR01";

/** The columns of schema `orrery`; the first is the table's key. */
export const engineTables: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  meta: {
    single: "boolean",
    grid_id: "text",
    generation: "bigint",
    token: "text",
    partitions: "integer",
    format: "integer",
    written: "jsonb",
  },
  progress: {
    partition: "integer",
    generation: "bigint",
    seq: "bigint",
    epoch: "bigint",
    chain: "bytea",
    complete: "boolean",
    letters: "bigint",
  },
  dead_letters: {
    id: "bigint",
    partition: "integer",
    position: "bigint",
    change: "integer",
    space: "text",
    key: "text",
    value: "bytea",
    reason: "text",
    at: "timestamp with time zone",
  },
  secrets: { name: "text", value: "text" },
  tables: { name: "text", columns: "text[]" },
  migrations: {
    number: "integer",
    format: "integer",
    what: "text",
    at: "timestamp with time zone",
  },
};

/** The format that a database has; 0: it has no schema `orrery`. */
export async function formatOf(connection: PostgresConnection): Promise<number> {
  const [found] = await connection.rows(
    `SELECT to_regclass('orrery.meta') IS NOT NULL AS meta,
            to_regclass('orrery.migrations') IS NOT NULL AS migrations`,
  );
  if (found?.["migrations"] === true) {
    const [row] = await connection.rows("SELECT max(format) AS format FROM orrery.migrations");
    return Number(row?.["format"]);
  }
  return found?.["meta"] === true ? 1 : 0;
}

/** What leads from a format to ours, in order. */
export function migrationsFrom(format: number): readonly SchemaChange[] {
  return migrations.filter((migration) => migration.format > format);
}

/** Does the changes, in order, and writes down that they were done. */
export async function applyChanges(
  connection: PostgresConnection,
  changes: readonly SchemaChange[],
): Promise<void> {
  for (const { statements } of changes) {
    for (const statement of statements) await connection.rows(statement);
  }
  if (changes.length === 0) return;
  await connection.rows(
    `INSERT INTO orrery.migrations (format, what)
     SELECT $1::integer, what FROM unnest($2::text[]) AS what`,
    [String(schemaFormat), arrayLiteral(changes.map(({ what }) => what))],
  );
}
