// Goal: a value that fits its table comes back from a real PostgreSQL as it was, types included.
// Method: fast-check draws rows of every column type; those that fit are written through the pump's
// port, read as text, and turned back; hard cases by hand; a server whose settings show it all
// differently.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { cellText, cellValue, rowEntry } from "../../src/data-pump/row-values.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { textColumns } from "../../src/data-pump/statements.ts";
import { misfitProperty, type ColumnType, type Table } from "../../src/data-pump/table.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { connectTo, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const table: Table = {
  name: "kinds",
  key: "id",
  columns: {
    text: "text",
    whole: "bigint",
    int64: "int64",
    small: "integer",
    decimal: "numeric",
    fraction: "double precision",
    flag: "boolean",
    day: "date",
    momentMs: "timestamptz",
    bytes: "bytea",
    nested: "jsonb",
  },
};

/** What PostgreSQL takes, and the log gives back as it was (value.ts). */
const text = fc
  .string({ unit: "binary", maxLength: 30 })
  .filter((one) => !one.includes("\0") && one.isWellFormed());
const number = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .map((one) => (Object.is(one, -0) ? 0 : one));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const { nested } = fc.letrec<{ nested: Value }>((tie) => ({
  nested: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(text, number, fc.maxSafeInteger(), int64, fc.bigInt({ min: -9n, max: 9n })),
    fc.oneof(fc.boolean(), fc.constant(null)),
    fc.array(tie("nested"), { maxLength: 4 }),
    fc.dictionary(
      text.filter((name) => name !== "__proto__"),
      tie("nested"),
      {
        maxKeys: 4,
        noNullPrototype: true,
      },
    ),
  ),
}));

const arbitraries: Readonly<Record<ColumnType, fc.Arbitrary<Value>>> = {
  text,
  bigint: fc.oneof(fc.maxSafeInteger(), int64),
  int64,
  integer: fc.integer(),
  numeric: fc.oneof(
    int64.map(String),
    fc.stringMatching(/^-?(?:0|[1-9]\d{0,30})\.\d{1,20}$/),
    fc.constantFrom("0", "0.00", "-0.0", "007", "1e3", "123456789012345678901234567890.10"),
  ),
  "double precision": number,
  boolean: fc.boolean(),
  date: fc.oneof(
    fc
      .date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
      .map((one) => one.toISOString().slice(0, 10)),
    fc.constantFrom("2023-02-29", "2024-02-29", "0001-01-01", "9999-12-31", "2026-13-01"),
  ),
  timestamptz: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  bytea: fc.uint8Array({ maxLength: 20 }).map((one) => Buffer.from(one).toString("base64")),
  jsonb: nested,
};

const row = fc.record(
  Object.fromEntries(
    Object.entries(table.columns).map(([property, type]) => {
      return [property, fc.option(arbitraries[type])];
    }),
  ),
);

let server: TestDatabase;
beforeAll(async () => {
  server = await startTestDatabase();
});
afterAll(() => server.stop());

/** Writes rows and reads the texts that `rowEntry` takes, over connections as the engine makes. */
async function throughPostgres(url: string, rows: readonly Record<string, Value>[]) {
  const identity = { gridId: "grid", generation: 1, partitions: 1 };
  const address = addressOf(url);
  const database = new PostgresDatabase({
    address,
    identity,
    tables: [table],
    timers: systemTimers,
  });
  unwrap(await database.claim(1, [{ partition: 0, epoch: 1 }]));
  const step = { partition: 0, epoch: 1, before: 0, seq: 1, chain: Buffer.alloc(16) };
  const written = await database.write({
    generation: 1,
    steps: [{ ...step, letters: 0, complete: false }],
    rows: [
      {
        table,
        upserts: rows.map((value, index) => [String(index), value] as const),
        deletes: [],
        appends: [],
      },
    ],
    letters: [],
  });
  expect(unwrap(written)).toBe("written");
  await database.close();
  return unwrap(
    await new OpenDatabase(address, systemTimers).use(async (connection) => {
      const columns = textColumns(table).split(", ");
      const named = columns.map((column, index) => `${column} AS "${String(index)}"`).join(", ");
      const read = await connection.rows(`SELECT ${named} FROM kinds ORDER BY id::integer`);
      const texts = read.map((one) => columns.map((_, index) => one[index] as string | null));
      return Promise.resolve({ ok: true, value: texts } as const);
    }),
  );
}

function isAccepted(value: Record<string, Value>): boolean {
  return misfitProperty(table, value) === null;
}

test("D31: what fits its columns comes back from PostgreSQL as it was", async () => {
  const url = await server.fresh();
  const name = new URL(url).pathname.slice(1);
  const admin = connectTo(url);
  // A server that was told to show things differently: our connections do not listen to it.
  for (const setting of [
    "DateStyle = 'German'",
    "bytea_output = 'escape'",
    "TimeZone = 'Asia/Tokyo'",
  ]) {
    await admin.unsafe(`ALTER DATABASE ${name} SET ${setting}`);
  }
  await admin.unsafe(`ALTER DATABASE ${name} SET extra_float_digits = -3`);
  await admin.end();
  const drawn = fc.sample(row, { numRuns: 1500, seed: 6 }).filter(isAccepted);
  const hard: Record<string, Value>[] = [
    { nested: { big: 2 ** 60, bigger: 1e308, least: 5e-324, one: 1n, all: [2n ** 63n - 1n, -1n] } },
    { nested: "1.00", text: "NULL", bytes: "" },
    { nested: [1.5, "a.00", { "2.00": 2 ** 63 }], fraction: 2 ** 63 },
    { decimal: `0.${"0".repeat(16_382)}1`, whole: 2 ** 53 - 1, int64: -(2n ** 63n) },
  ];
  expect(hard.every(isAccepted)).toBe(true);
  const rows = [...drawn, ...hard];
  expect(drawn.length).toBeGreaterThan(500);
  const texts = await throughPostgres(url, rows);
  for (const [index, value] of rows.entries()) {
    const whole = { ...Object.fromEntries(Object.keys(table.columns).map((one) => [one, null])) };
    const [key, read] = unwrap(rowEntry(table, texts[index] ?? []));
    expect([key, read]).toEqual([String(index), { ...whole, ...value }]);
  }
});

test("D31: without PostgreSQL in between, text is the inverse of text", () => {
  for (const [type, arbitrary] of Object.entries(arbitraries) as [ColumnType, typeof text][]) {
    const one = { ...table, columns: { cell: type } };
    if (type === "timestamptz") continue; // PostgreSQL shows moments otherwise than we write them
    fc.assert(
      fc.property(arbitrary, (value) => {
        if (misfitProperty(one, { cell: value }) !== null) return;
        const cell = cellText(type, value);
        expect(cellValue(type, cell ?? null)).toEqual(value);
      }),
    );
  }
});

test("D31: what others wrote and no value can be is said, not guessed", () => {
  for (const [type, cell] of [
    ["numeric", "NaN"],
    ["date", "infinity"],
    ["date", "0044-03-15 BC"],
    ["timestamptz", "infinity"],
    ["timestamptz", "2026-01-01 00:00:00.123456+00"],
    ["double precision", "Infinity"],
  ] as const) {
    const one = { name: "kinds", key: "id", columns: { cell: type } };
    expect(rowEntry(one, ["a", cell])).toMatchObject({ failure: { code: "ROW_REFUSED" } });
  }
  expect(rowEntry(table, [null])).toMatchObject({ failure: { code: "ROW_REFUSED" } });
});
