// Goal: a database of an earlier version, or of an application with fewer columns, is brought
// forward once, whoever comes first; what somebody changed by hand is said before anything is
// written. Method: one embedded server, a fresh database per test; the first format as its
// statements were.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import type { Table } from "../../src/data-pump/table.ts";
import { query, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const identity = { gridId: "grid-one", generation: 1, partitions: 2 };
const columns = { price: "numeric", at: "timestamptz", note: "text" } as const;
const orders: Table = { name: "orders", key: "id", columns };
const events: Table = { name: "events", key: "id", columns: { what: "text" }, kind: "append" };
const wider: Table = { ...orders, columns: { ...columns, pieces: "int64" } };

/** What the first version had made, with a grid of two partitions that wrote something. */
const firstFormat = [
  "CREATE SCHEMA orrery",
  `CREATE TABLE orrery.meta (
     single boolean PRIMARY KEY DEFAULT true CHECK (single),
     grid_id text NOT NULL,
     generation bigint NOT NULL,
     token text NOT NULL,
     partitions integer NOT NULL,
     format integer NOT NULL)`,
  `CREATE TABLE orrery.progress (
     partition integer PRIMARY KEY,
     generation bigint NOT NULL,
     seq bigint NOT NULL,
     epoch bigint NOT NULL,
     chain bytea) WITH (fillfactor = 50)`,
  "CREATE TABLE orrery.secrets (name text PRIMARY KEY, value text NOT NULL)",
  "CREATE TABLE orrery.tables (name text PRIMARY KEY)",
  "INSERT INTO orrery.meta VALUES (true, 'grid-one', 1, '', 2, 1)",
  String.raw`INSERT INTO orrery.progress VALUES (0, 1, 7, 3, '\x01'), (1, 1, 0, 0, NULL)`,
  "INSERT INTO orrery.secrets VALUES ('notices', 'first')",
  "CREATE TABLE public.orders (id text PRIMARY KEY, price numeric, at timestamptz, note text)",
  "INSERT INTO orrery.tables VALUES ('orders')",
];

let server: TestDatabase;
beforeAll(async () => {
  server = await startTestDatabase();
});
afterAll(() => server.stop());

function admin(url: string): OpenDatabase {
  return new OpenDatabase(addressOf(url), systemTimers);
}

async function migrated(url: string, tables: readonly Table[], isDryRun = false) {
  return unwrap(await admin(url).migrate(tables, isDryRun)).map(({ what }) => what);
}

/** The whole catalog of a database that is ours to change. */
function catalog(url: string): Promise<unknown[]> {
  return query(
    url,
    `SELECT c.oid::regclass::text AS "table", a.attname AS name, a.atttypid::regtype::text AS type
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('orrery', 'public'))
     ORDER BY 1, 2`,
  );
}

test("D8: an earlier format goes forward, once, with all that is in it", async () => {
  const url = await server.fresh();
  await query(url, ...firstFormat);
  expect(unwrap(await admin(url).knownGrid())).toEqual(identity);
  const tables = [wider, events];
  const planned = await migrated(url, tables, true);
  expect(planned).toEqual([
    "schema orrery: dead letters, complete stops, recorded migrations",
    "table public.orders: column pieces",
    "table public.events",
  ]);
  // Units that start at once: one of them does it, the others find it done.
  const units = [0, 1].map((partition) => ({
    partition,
    database: new PostgresDatabase({
      address: addressOf(url),
      identity,
      tables,
      timers: systemTimers,
    }),
  }));
  const [rows] = await Promise.all([
    Promise.all(
      units.map(({ partition, database }) => database.claim(1, [{ partition, epoch: 9 }])),
    ),
    migrated(url, tables),
    migrated(url, tables),
  ]);
  await Promise.all(units.map(({ database }) => database.close()));
  const clean = { complete: false, letters: 0, deadLetters: 0, parked: [], newest: [] };
  expect(rows.flatMap((row) => unwrap(row))).toEqual([
    { partition: 0, generation: 1, seq: 7, epoch: 9, chain: Buffer.of(1), ...clean },
    { partition: 1, generation: 1, seq: 0, epoch: 9, chain: null, ...clean },
  ]);
  const recorded = await query(url, "SELECT format, what FROM orrery.migrations ORDER BY number");
  expect(recorded).toEqual(planned.map((what) => ({ format: 2, what })));
  expect(unwrap(await admin(url).secret("notices", () => "second"))).toBe("first");
  expect(await migrated(url, tables)).toEqual([]);
});

test("D8: a dry run says the statements and changes nothing, over any database", async () => {
  for (const statements of [[], firstFormat]) {
    const url = await server.fresh();
    if (statements.length > 0) await query(url, ...statements);
    const before = await catalog(url);
    const changes = unwrap(await admin(url).migrate([orders, events], true));
    expect(await catalog(url)).toEqual(before);
    // What it said is all that has to be done: by hand it leads to the same schema.
    await query(url, ...changes.flatMap((change) => change.statements));
    const byHand = await catalog(url);
    const other = await server.fresh();
    if (statements.length > 0) await query(other, ...statements);
    await migrated(other, [orders, events]);
    expect(await catalog(other)).toEqual(byHand);
  }
});

test("D8: who may not change a schema can work in one that was migrated before", async () => {
  const url = await server.fresh();
  await migrated(url, [orders]);
  await query(
    url,
    "CREATE ROLE worker LOGIN PASSWORD 'secret'",
    "GRANT USAGE ON SCHEMA orrery TO worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA orrery, public TO worker",
  );
  const limited = Object.assign(new URL(url), { username: "worker", password: "secret" });
  expect(unwrap(await admin(limited.href).adopt(identity, [orders]))).toBeNull();
  const address = addressOf(limited.href);
  const options = { address, identity, tables: [orders], timers: systemTimers };
  const pump = new PostgresDatabase(options);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  const chain = Buffer.alloc(16);
  const step = { partition: 0, epoch: 1, before: 0, seq: 1, chain, letters: 0, complete: false };
  const change = { space: "orders", key: "a", value: { price: "1.50" } };
  const letter = { ...change, partition: 0, position: 1, change: 0, reason: "why" };
  const upserts = [["b", { price: "1.50" }]] as const;
  const rows = [{ table: orders, upserts, deletes: ["c"], appends: [] }];
  const transaction = { generation: 1, steps: [step], rows, letters: [letter] };
  expect(unwrap(await pump.write(transaction))).toBe("written");
  await pump.close();
  expect(await admin(limited.href).adopt(identity, [wider])).toMatchObject({
    failure: { code: "DATABASE_REFUSED" },
  });
});

test("D8: a column that was there before and is gone is not made again in silence", async () => {
  const url = await server.fresh();
  unwrap(await admin(url).adopt(identity, [orders]));
  await query(url, "ALTER TABLE orders DROP note");
  const outcome = await admin(url).adopt(identity, [wider]);
  expect(outcome.ok ? "" : outcome.failure.message).toContain("orders has no column note");
});

test.each([
  ["ALTER TABLE orders ALTER price TYPE numeric(10,2)", "price is numeric(10,2), not numeric"],
  ["ALTER TABLE orders ALTER at TYPE timestamptz(0)", "at is timestamp(0) with time zone"],
  ["ALTER TABLE orders ALTER note TYPE varchar(10)", "note is character varying(10), not text"],
  [
    "ALTER TABLE orders DROP note, ADD note text GENERATED ALWAYS AS (id) STORED",
    "note is computed",
  ],
  [
    "DROP TABLE orders; CREATE VIEW orders AS SELECT 1 AS id",
    "orders was there before and is gone",
  ],
  ["ALTER TABLE orrery.progress DROP letters", "orrery.progress has no column letters"],
  ["ALTER TABLE orrery.progress DROP CONSTRAINT progress_pkey", "partition is not its primary key"],
  ["DROP TABLE orrery.dead_letters", "orrery.dead_letters is gone"],
  ["DROP FUNCTION orrery.require", "orrery.require is gone"],
])("D8: DATABASE_MISFIT after %s, and nothing is changed", async (change, reason) => {
  const url = await server.fresh();
  unwrap(await admin(url).adopt(identity, [orders]));
  await query(url, change);
  const before = await catalog(url);
  for (const outcome of [
    await admin(url).adopt(identity, [orders, events]),
    await admin(url).migrate([orders, events], false),
    await admin(url).migrate([orders, events], true),
  ]) {
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DATABASE_MISFIT" } });
    expect(outcome.ok ? "" : outcome.failure.message).toContain(reason);
  }
  expect(await catalog(url)).toEqual(before);
});

test("DATABASE_NEWER for a format that we do not know, of a grid that we may know", async () => {
  const url = await server.fresh();
  unwrap(await admin(url).adopt(identity, []));
  await query(url, "INSERT INTO orrery.migrations (format, what) VALUES (3, 'later')");
  expect(await admin(url).knownGrid()).toMatchObject({ failure: { code: "DATABASE_NEWER" } });
  expect(await admin(url).migrate([orders], false)).toMatchObject({
    failure: { code: "DATABASE_NEWER" },
  });
});
