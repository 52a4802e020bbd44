// Goal: over a real PostgreSQL, rows arrive exactly and together with progress; two owners
// exclude one another; what does not fit is refused before anything is written, with its code.
// Method: one embedded server, a fresh database per test, looked at over a connection of its own.
import { createServer } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap, type Outcome } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Database, PumpTransaction, TableRows } from "../../src/data-pump/database.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import type { Table } from "../../src/data-pump/table.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import {
  connectTo,
  query,
  startTestDatabase,
  type TestDatabase,
} from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const identity: GridIdentity = { gridId: "grid-one", generation: 1, partitions: 4 };
const orders: Table = {
  name: "orders",
  key: "order_id",
  columns: {
    customer: "text",
    priceMicros: "bigint",
    pieces: "integer",
    weight: "double precision",
    isGift: "boolean",
    orderedAt: "timestamptz",
    details: "jsonb",
  },
};

let database: TestDatabase;
const opened: Database[] = [];

beforeAll(async () => {
  database = await startTestDatabase();
});

afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()));
  await database.stop();
});

function open(url: string, grid = identity, tables: readonly Table[] = [orders]): PostgresDatabase {
  const address = addressOf(url);
  const one = new PostgresDatabase({ address, identity: grid, tables, timers: systemTimers });
  opened.push(one);
  return one;
}

function chain(byte: number): Buffer {
  return Buffer.alloc(16, byte);
}

/** Of a row: no dead letters, no clean stop. */
const clean = { complete: false, letters: 0, deadLetters: 0, parked: [], newest: [] };

function transaction(
  step: { partition?: number; epoch?: number; before: number; seq: number },
  rows: readonly TableRows[] = [],
): PumpTransaction {
  const { partition = 0, epoch = 1, before, seq } = step;
  const steps = [{ partition, epoch, before, seq, chain: chain(seq), letters: 0, complete: false }];
  return { generation: 1, steps, rows, letters: [] };
}

function codeOf(outcome: Outcome<unknown>): string {
  return outcome.ok ? "ok" : outcome.failure.code;
}

test("D1: rows, deletes and progress arrive together, in the types of their columns", async () => {
  const url = await database.fresh();
  const pump = open(url);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  const full = {
    customer: `"Zoë" \\ O'Hara, {NULL}\n`,
    priceMicros: 9007199254740993n,
    pieces: -3,
    weight: 0.1,
    isGift: true,
    orderedAt: 1_700_000_000_123,
    details: { big: 9007199254740993n, list: [1, "two", null, { three: true }] },
    unknown: "properties that no column names stay in the grid",
  };
  const upserts = [
    ["full", full],
    ["huge", { priceMicros: 2 ** 62 }],
    ["null", { customer: "NULL", details: null }],
    ["gone", { customer: "deleted below" }],
  ] as const;
  const first = { table: orders, upserts, deletes: [], appends: [] };
  expect(await pump.write(transaction({ before: 0, seq: 3 }, [first]))).toEqual({
    ok: true,
    value: "written",
  });
  const second = {
    table: orders,
    upserts: [["null", { pieces: 7 }]] as const,
    deletes: ["gone"],
    appends: [],
  };
  unwrap(await pump.write(transaction({ before: 3, seq: 4 }, [second])));
  const rows = await query(
    url,
    `SELECT order_id, customer, price_micros, pieces, weight, is_gift, ordered_at,
            details::text AS details FROM public.orders ORDER BY order_id`,
  );
  const none = {
    customer: null,
    price_micros: null,
    pieces: null,
    weight: null,
    is_gift: null,
    ordered_at: null,
    details: null,
  };
  expect(rows).toEqual([
    {
      order_id: "full",
      customer: full.customer,
      price_micros: 9007199254740993n,
      pieces: -3,
      weight: 0.1,
      is_gift: true,
      ordered_at: new Date(1_700_000_000_123),
      details: '{"big": 9007199254740993, "list": [1, "two", null, {"three": true}]}',
    },
    { ...none, order_id: "huge", price_micros: 4611686018427387904n },
    { ...none, order_id: "null", pieces: 7 },
  ]);
  expect(unwrap(await pump.read([0]))).toEqual([
    { ...clean, partition: 0, generation: 1, seq: 4, epoch: 1, chain: chain(4) },
  ]);
});

test("D1: a step that does not fit writes nothing, of no partition in its transaction", async () => {
  const url = await database.fresh();
  const pump = open(url);
  const claims = [0, 1].map((partition) => ({ partition, epoch: 1 }));
  unwrap(await pump.claim(1, claims));
  const row = { table: orders, upserts: [["a", { pieces: 1 }]] as const, deletes: [], appends: [] };
  const steps = [
    { partition: 0, epoch: 1, before: 0, seq: 1, chain: chain(1), letters: 0, complete: false },
    { partition: 1, epoch: 1, before: 5, seq: 6, chain: chain(6), letters: 0, complete: false },
  ];
  const outcome = await pump.write({ generation: 1, steps, rows: [row], letters: [] });
  expect(outcome).toEqual({ ok: true, value: "misfit" });
  expect(await query(url, "SELECT * FROM public.orders")).toEqual([]);
  expect(unwrap(await pump.read([0, 1])).map(({ seq }) => seq)).toEqual([0, 0]);
  for (const wrong of [
    { ...transaction({ before: 0, seq: 1 }, [row]), generation: 2 },
    transaction({ before: 0, seq: 1, epoch: 2 }, [row]),
    transaction({ before: 1, seq: 2 }, [row]),
  ]) {
    expect(await pump.write(wrong)).toEqual({ ok: true, value: "misfit" });
  }
  expect(await query(url, "SELECT * FROM public.orders")).toEqual([]);
});

test("D2: after a claim the owner before it writes nothing more, and cannot claim back", async () => {
  const url = await database.fresh();
  const [older, younger] = [open(url), open(url)];
  unwrap(await older.claim(1, [{ partition: 2, epoch: 1 }]));
  unwrap(await older.write(transaction({ partition: 2, before: 0, seq: 5 })));
  const [claimed] = unwrap(await younger.claim(1, [{ partition: 2, epoch: 6 }]));
  expect(claimed).toMatchObject({ epoch: 6, seq: 5 });
  const late = await older.write(transaction({ partition: 2, before: 5, seq: 7 }));
  expect(late).toEqual({ ok: true, value: "misfit" });
  const [seen] = unwrap(await older.claim(1, [{ partition: 2, epoch: 1 }]));
  expect(seen).toMatchObject({ epoch: 6, seq: 5 });
  const next = transaction({ partition: 2, epoch: 6, before: 5, seq: 6 });
  expect(await younger.write(next)).toEqual({ ok: true, value: "written" });
});

test("D2: a claim waits for a transaction of the older owner that is under way", async () => {
  const url = await database.fresh();
  const younger = open(url);
  unwrap(await younger.read([3]));
  const sleeper = connectTo(url);
  await sleeper.unsafe("BEGIN");
  await sleeper.unsafe("UPDATE orrery.progress SET seq = 1 WHERE partition = 3 AND epoch = 0");
  const claiming = younger.claim(1, [{ partition: 3, epoch: 2 }]);
  await sleeper.unsafe("COMMIT");
  expect(unwrap(await claiming)).toMatchObject([{ partition: 3, epoch: 2, seq: 1 }]);
  await sleeper.end();
});

test("ROW_REFUSED for content that its column cannot hold; nothing is written", async () => {
  const url = await database.fresh();
  const pump = open(url);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  for (const value of [
    { pieces: 2 ** 31 },
    { pieces: 1.5 },
    { pieces: "3" },
    { priceMicros: 2n ** 63n },
    { customer: "zero \u0000 byte" },
    { customer: 5 },
    { weight: true },
    { isGift: "yes" },
    { orderedAt: Number.NaN },
    "no object",
  ]) {
    const rows = [{ table: orders, upserts: [["k", value]] as const, deletes: [], appends: [] }];
    const outcome = await pump.write(transaction({ before: 0, seq: 1 }, rows));
    expect(codeOf(outcome), JSON.stringify(outcome)).toBe("ROW_REFUSED");
  }
  expect(unwrap(await pump.read([0]))[0]?.seq).toBe(0);
});

test("D10: keys, values and column names are never read as SQL", async () => {
  const url = await database.fresh();
  const pump = open(url);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  const evil = `'); DROP TABLE public.orders; --`;
  const upserts = [[evil, { customer: `${evil}","x\\`, details: { [evil]: evil } }]] as const;
  unwrap(
    await pump.write(
      transaction({ before: 0, seq: 1 }, [
        { table: orders, upserts, deletes: [`{"`, evil + "x"], appends: [] },
      ]),
    ),
  );
  const rows = await query(url, "SELECT order_id, customer, details FROM public.orders");
  expect(rows).toEqual([{ order_id: evil, customer: `${evil}","x\\`, details: { [evil]: evil } }]);
});

test("D8: DATABASE_FOREIGN for another grid, DATABASE_MISFIT for other partitions", async () => {
  const url = await database.fresh();
  unwrap(await new OpenDatabase(addressOf(url), systemTimers).adopt(identity, [orders]));
  const foreign = open(url, { ...identity, gridId: "grid-two" });
  expect(codeOf(await foreign.claim(1, [{ partition: 0, epoch: 9 }]))).toBe("DATABASE_FOREIGN");
  const misfit = open(url, { ...identity, partitions: 8 });
  expect(codeOf(await misfit.claim(1, [{ partition: 0, epoch: 9 }]))).toBe("DATABASE_MISFIT");
  expect(unwrap(await open(url).read([0]))[0]?.epoch).toBe(0);
});

test.each([
  ["ALTER TABLE public.orders DROP COLUMN pieces", "orders has no column pieces"],
  ["ALTER TABLE public.orders ALTER pieces TYPE bigint", "pieces is bigint, not integer"],
  ["ALTER TABLE public.orders ALTER pieces SET NOT NULL", "pieces does not allow NULL"],
  ["ALTER TABLE public.orders ADD extra integer NOT NULL", "extra is required"],
  ["ALTER TABLE public.orders DROP CONSTRAINT orders_pkey", "order_id is not its primary key"],
  ["DROP TABLE public.orders", "orders was there before and is gone"],
])("D8: DATABASE_MISFIT after %s", async (change, reason) => {
  const url = await database.fresh();
  const admin = new OpenDatabase(addressOf(url), systemTimers);
  unwrap(await admin.adopt(identity, [orders]));
  await query(url, change);
  const outcome = await admin.adopt(identity, [orders, { name: "later", key: "k", columns: {} }]);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATABASE_MISFIT" } });
  expect(outcome.ok ? "" : outcome.failure.message).toContain(reason);
  const made = await query(url, "SELECT to_regclass('public.later')::text AS later");
  expect(made).toEqual([{ later: null }]);
});

test("D8: columns of others that do not have to be filled are no misfit", async () => {
  const url = await database.fresh();
  const admin = new OpenDatabase(addressOf(url), systemTimers);
  unwrap(await admin.adopt(identity, [orders]));
  await query(url, "ALTER TABLE public.orders ADD note text, ADD n integer NOT NULL DEFAULT 1");
  unwrap(await admin.adopt(identity, [orders]));
});

test("D8: lanes that connect at once prepare the database once", async () => {
  const url = await database.fresh();
  const lanes = [0, 1, 2, 3].map((partition) => ({ partition, pump: open(url) }));
  const rows = await Promise.all(
    lanes.map(({ partition, pump }) => pump.claim(1, [{ partition, epoch: 1 }])),
  );
  expect(rows.map((outcome) => unwrap(outcome)[0]?.epoch)).toEqual([1, 1, 1, 1]);
});

test("the grid that a database knows, and its secrets, stay", async () => {
  const admin = new OpenDatabase(addressOf(await database.fresh()), systemTimers);
  expect(unwrap(await admin.knownGrid())).toBeNull();
  unwrap(await admin.adopt(identity, []));
  expect(unwrap(await admin.knownGrid())).toEqual(identity);
  expect(unwrap(await admin.secret("notices", () => "first"))).toBe("first");
  expect(unwrap(await admin.secret("notices", () => "second"))).toBe("first");
});

test("DATABASE_REFUSED for a wrong password, user or database, without showing the password", async () => {
  const right = await database.fresh();
  for (const change of [
    { password: "wrong-password" },
    { username: "nobody-here" },
    { pathname: "/no_such_database" },
  ]) {
    const url = new URL(right);
    Object.assign(url, change);
    const outcome = await new OpenDatabase(addressOf(url.href), systemTimers).knownGrid();
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DATABASE_REFUSED" } });
    const message = outcome.ok ? "" : outcome.failure.message;
    expect(message).not.toContain("wrong-password");
    expect(message).not.toContain(new URL(right).password);
  }
});

test("DATABASE_UNREACHABLE where nobody listens, or whoever listens hangs up at once", async () => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const admin = new OpenDatabase(addressOf(`postgres://u:p@127.0.0.1:${port}/d`), systemTimers);
  expect(codeOf(await admin.knownGrid())).toBe("DATABASE_UNREACHABLE");
  server.close();
  await once(server, "close");
  expect(codeOf(await admin.knownGrid())).toBe("DATABASE_UNREACHABLE");
});

test("a killed backend costs one call; the next one connects again", async () => {
  const url = await database.fresh();
  const pump = open(url);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  await query(
    url,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orrery'",
  );
  expect(codeOf(await pump.write(transaction({ before: 0, seq: 1 })))).toMatch(
    /^(?:DATABASE_UNREACHABLE|OUTCOME_UNKNOWN)$/,
  );
  expect(unwrap(await pump.read([0]))[0]?.seq).toBe(0);
  expect(await pump.write(transaction({ before: 0, seq: 1 }))).toMatchObject({ ok: true });
});
