// Goal: transactions that are sent one behind the other over a real PostgreSQL take effect in
// order, each whole or not at all, whatever goes wrong inside; dead letters, versions and clean
// stops change with them. Method: one embedded server, a fresh database per test; faults that
// the schema itself makes (constraints, triggers, a column changed by hand).
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap, type Outcome } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type {
  DeadLetter,
  ProgressStep,
  PumpTransaction,
  TableRows,
} from "../../src/data-pump/database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import type { Table } from "../../src/data-pump/table.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { query, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const identity = { gridId: "grid", generation: 1, partitions: 4 };
const items: Table = { name: "items", key: "id", columns: { count: "bigint" } };
const events: Table = { name: "events", key: "id", columns: { count: "bigint" }, kind: "append" };
const prices: Table = { name: "prices", key: "id", columns: { price: "numeric" }, kind: "append" };

let server: TestDatabase;
const opened: PostgresDatabase[] = [];

beforeAll(async () => {
  server = await startTestDatabase();
});

afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()));
  await server.stop();
});

function open(url: string): PostgresDatabase {
  const tables = [items, events, prices];
  const address = addressOf(url);
  const one = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  opened.push(one);
  return one;
}

/** A pump whose partitions are claimed under epoch 1. */
async function owner(): Promise<{ url: string; pump: PostgresDatabase }> {
  const url = await server.fresh();
  const pump = open(url);
  unwrap(
    await pump.claim(
      1,
      [0, 1, 2, 3].map((partition) => ({ partition, epoch: 1 })),
    ),
  );
  return { url, pump };
}

type Entries = readonly (readonly [key: string, value: Value])[];

function upserts(...entries: Entries): TableRows[] {
  return [{ table: items, upserts: entries, deletes: [], appends: [] }];
}

function appends(...entries: Entries): TableRows[] {
  return [{ table: events, upserts: [], deletes: [], appends: entries }];
}

function priceOf(key: string, price: string): TableRows[] {
  return [{ table: prices, upserts: [], deletes: [], appends: [[key, { price }]] }];
}

function transaction(
  step: Partial<ProgressStep> & { readonly before: number },
  rows: readonly TableRows[] = [],
  letters: readonly DeadLetter[] = [],
): PumpTransaction {
  const seq = step.before + 1;
  const first = { partition: 0, epoch: 1, seq, letters: 0, complete: false };
  return {
    generation: 1,
    steps: [{ ...first, chain: Buffer.alloc(16, seq), ...step }],
    rows,
    letters,
  };
}

function results(outcomes: readonly Outcome<string>[]): string[] {
  return outcomes.map((outcome) => (outcome.ok ? outcome.value : outcome.failure.code));
}

const countItems = "SELECT id, count::integer FROM items ORDER BY id";

test("D1: transactions given at once take effect in order, however long forming them takes", async () => {
  const { url, pump } = await owner();
  const many = Array.from(
    { length: 3000 },
    (_, index) => [`m${String(index)}`, { count: 0 }] as const,
  );
  const outcomes = await Promise.all([
    pump.write(transaction({ before: 0 }, upserts(...many, ["a", { count: 1 }]))),
    pump.write(transaction({ before: 1 }, upserts(["a", { count: 2 }]))),
    pump.write(transaction({ before: 2 }, upserts(["a", { count: 3 }]))),
  ]);
  expect(results(outcomes)).toEqual(["written", "written", "written"]);
  expect(await query(url, "SELECT count::integer FROM items WHERE id = 'a'")).toEqual([
    { count: 3 },
  ]);
});

test("D1: what builds on a transaction that failed is a misfit; what does not takes effect", async () => {
  const { url, pump } = await owner();
  await query(url, "ALTER TABLE items ADD CHECK (count < 10)");
  const outcomes = await Promise.all([
    pump.write(transaction({ before: 0 }, upserts(["a", { count: 10 }]))),
    pump.write(transaction({ before: 1 }, upserts(["a", { count: 2 }]))),
    pump.write(transaction({ before: 0, partition: 1 }, upserts(["b", { count: 3 }]))),
  ]);
  expect(results(outcomes)).toEqual(["ROW_REFUSED", "misfit", "written"]);
  expect(await query(url, countItems)).toEqual([{ id: "b", count: 3 }]);
  expect(unwrap(await pump.read([0, 1])).map(({ seq }) => seq)).toEqual([0, 1]);
});

test("D1: a constraint that is looked at last refuses a transaction, and a rehearsal of it", async () => {
  const { url, pump } = await owner();
  await query(url, "ALTER TABLE events ADD UNIQUE (count) DEFERRABLE INITIALLY DEFERRED");
  const twice = transaction({ before: 0 }, appends(["a", { count: 1 }], ["b", { count: 1 }]));
  const once = transaction({ before: 0 }, appends(["a", { count: 1 }]));
  expect(results([await pump.rehearse(twice), await pump.write(twice)])).toEqual([
    "ROW_REFUSED",
    "ROW_REFUSED",
  ]);
  expect(results([await pump.rehearse(once)])).toEqual(["written"]);
  expect(await query(url, "SELECT * FROM events")).toEqual([]);
  expect(unwrap(await pump.read([0]))[0]?.seq).toBe(0);
  expect(results([await pump.write(once)])).toEqual(["written"]);
});

test("D1: rows of an append-only table are added in order, the same key again and again", async () => {
  const { url } = await owner();
  await query(url, "ALTER TABLE events ADD place bigint GENERATED BY DEFAULT AS IDENTITY");
  const pump = open(url);
  const [a1, a2, b1] = [
    ["a", { count: 1 }],
    ["a", { count: 2 }],
    ["b", { count: 1 }],
  ] as const;
  unwrap(await pump.write(transaction({ before: 0 }, appends(a1, b1))));
  unwrap(await pump.write(transaction({ before: 1 }, appends(a2, a1, a1))));
  const rows = await query(url, "SELECT id || count AS row FROM events ORDER BY place");
  expect(rows).toEqual(["a1", "b1", "a2", "a1", "a1"].map((row) => ({ row })));
});

test("D32: a statement that the driver repeats alone changes nothing outside its transaction", async () => {
  const { url, pump } = await owner();
  unwrap(await pump.write(transaction({ before: 0 }, appends(["a", { count: 1 }]))));
  // By now all is prepared. The server forgets that in the middle of the next transaction.
  await query(
    url,
    `CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN DEALLOCATE ALL; RETURN NULL; END $$`,
    `CREATE TRIGGER forget AFTER UPDATE ON orrery.progress
       FOR EACH STATEMENT EXECUTE FUNCTION forget()`,
  );
  const change = transaction({ before: 1 }, appends(["a", { count: 2 }]));
  expect(results([await pump.write(change)])).toEqual(["DATABASE_UNREACHABLE"]);
  expect(await query(url, "SELECT count::integer FROM events")).toEqual([{ count: 1 }]);
  await query(url, "DROP TRIGGER forget ON orrery.progress");
  expect(unwrap(await pump.read([0]))[0]?.seq).toBe(1);
  expect(results([await pump.write(change)])).toEqual(["written"]);
});

test("D8: a column changed by hand under a connection is a misfit of the schema, no row's fault", async () => {
  const { url, pump } = await owner();
  unwrap(await pump.write(transaction({ before: 0 }, upserts(["a", { count: 1 }]))));
  await query(url, "ALTER TABLE items ALTER count TYPE boolean USING true");
  const change = transaction({ before: 1 }, upserts(["a", { count: 2 }]));
  const refused = await pump.write(change);
  expect(refused).toMatchObject({ failure: { code: "DATABASE_MISFIT" } });
  const looked = await pump.write(change);
  expect(looked.ok ? "" : looked.failure.message).toContain("column count is boolean, not bigint");
  await query(url, "ALTER TABLE items ALTER count TYPE bigint USING 1");
  expect(results([await pump.write(change)])).toEqual(["written"]);
});

const byHand = [
  ["a narrower type, in which a value would be rounded", "TYPE numeric(10,2)", "TYPE numeric"],
  ["a narrower type, which would refuse a value", "TYPE numeric(3,2)", "TYPE numeric"],
  ["a value that must be there", "SET NOT NULL", "DROP NOT NULL"],
] as const;

test.for(byHand)("D8: made by hand under a connection: %s", async ([, change, back]) => {
  const { url, pump } = await owner();
  await query(url, `ALTER TABLE prices ALTER price ${change}`);
  const entry = transaction({ before: 0 }, priceOf("a", "123.456"));
  for (let time = 0; time < 2; time++) {
    expect(results([await pump.write(entry)])).toEqual(["DATABASE_MISFIT"]);
  }
  expect(await query(url, "SELECT * FROM prices")).toEqual([]);
  await query(url, `ALTER TABLE prices ALTER price ${back}`);
  expect(results([await pump.write(entry)])).toEqual(["written"]);
  expect(await query(url, "SELECT price::text FROM prices")).toEqual([{ price: "123.456" }]);
});

test("D8: a column of others, added under a connection, costs one look", async () => {
  const { url, pump } = await owner();
  await query(url, "ALTER TABLE items ADD note text");
  const change = transaction({ before: 0 }, upserts(["a", { count: 1 }]));
  expect(results([await pump.write(change)])).toEqual(["DATABASE_MISFIT"]);
  expect(results([await pump.write(change)])).toEqual(["written"]);
});

test("D33: letters come with their transaction, park their keys, and are counted", async () => {
  const { url, pump } = await owner();
  const letter = { partition: 0, position: 1, change: 0, space: "items" };
  const letters: DeadLetter[] = [
    { ...letter, key: `a"\\,{}`, value: { count: 2n ** 60n, text: "x" }, reason: 'said "no"\n' },
    { ...letter, change: 1, key: `a"\\,{}`, value: null, reason: null },
    { ...letter, change: 2, key: "b", value: { count: 1 }, reason: "NULL" },
  ];
  expect(results([await pump.rehearse(transaction({ before: 0 }, [], letters))])).toEqual([
    "written",
  ]);
  expect(results([await pump.write(transaction({ before: 7 }, [], letters))])).toEqual(["misfit"]);
  expect(unwrap(await pump.read([0]))[0]).toMatchObject({ deadLetters: 0, parked: [] });
  expect(results([await pump.write(transaction({ before: 0 }, [], letters))])).toEqual(["written"]);
  const [row] = unwrap(await pump.read([0]));
  expect(row).toMatchObject({ seq: 1, letters: 0, deadLetters: 3 });
  expect(new Set(row?.parked)).toEqual(
    new Set([
      { space: "items", key: `a"\\,{}` },
      { space: "items", key: "b" },
    ]),
  );
  const reasons = await query(url, "SELECT reason FROM orrery.dead_letters ORDER BY id");
  expect(reasons).toEqual([{ reason: 'said "no"\n' }, { reason: null }, { reason: "NULL" }]);
});

test("D33: a step under another version of the letters is a misfit", async () => {
  const { url, pump } = await owner();
  await query(url, "UPDATE orrery.progress SET letters = 5 WHERE partition = 0");
  expect(
    results([await pump.write(transaction({ before: 0 }, upserts(["a", { count: 1 }])))]),
  ).toEqual(["misfit"]);
  expect(unwrap(await pump.read([0]))[0]?.letters).toBe(5);
  const known = transaction({ before: 0, letters: 5 }, upserts(["a", { count: 1 }]));
  expect(results([await pump.write(known)])).toEqual(["written"]);
});

test("D1: a clean stop is marked with its step, and no longer once somebody claims", async () => {
  const { pump } = await owner();
  unwrap(await pump.write(transaction({ before: 0, complete: true })));
  expect(unwrap(await pump.read([0]))[0]?.complete).toBe(true);
  expect(unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]))[0]?.complete).toBe(true);
  expect(unwrap(await pump.claim(1, [{ partition: 0, epoch: 3 }]))[0]?.complete).toBe(false);
});
