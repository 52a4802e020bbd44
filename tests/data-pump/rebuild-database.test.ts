// Goal: over a real PostgreSQL, what a rebuild reads is what tables and dead letters say together,
// whole and exact; and a generation takes the place of exactly the one that was read.
// Method: rows and letters as a pump and a hand would leave them; every call of the port.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap, type Outcome } from "../../src/base/failure.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../../src/data-pump/database-url.ts";
import type { Mender } from "../../src/data-pump/mender.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { PostgresRebuildDatabase } from "../../src/data-pump/rebuild-database.ts";
import type { Table } from "../../src/data-pump/table.ts";
import type { Change, Value } from "../../src/grid/log-record.ts";
import type { FencedRow, RebuildSink } from "../../src/grid/rebuild-ports.ts";
import { query, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const identity = { gridId: "grid-one", generation: 1, partitions: 4 };
const items: Table = {
  name: "items",
  key: "item",
  columns: { owner: "text", count: "bigint", at: "timestamptz", details: "jsonb" },
};
const chain = Buffer.alloc(16, 7);

let database: TestDatabase;

beforeAll(async () => {
  database = await startTestDatabase();
});

afterAll(async () => {
  await database.stop();
});

function addressOf(url: string): PostgresAddress {
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  return address;
}

function itemValue(number: number, owner = "nobody"): Value {
  const details = number % 2 === 0 ? null : { list: [number, '\\ "ö"'], at: { deep: true } };
  return { owner, count: number, at: 1_700_000_000_000 + number, details };
}

/** A database of four partitions with items, of which number 0 was stopped in order. */
async function filled(count: number): Promise<string> {
  const url = await database.fresh();
  const address = addressOf(url);
  const tables = [items];
  const pump = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  const steps = [0, 1].map((partition) => {
    const complete = partition === 0;
    return { partition, epoch: 1, before: 0, seq: 5 + partition, chain, letters: 0, complete };
  });
  unwrap(
    await pump.claim(
      1,
      [0, 1].map((partition) => ({ partition, epoch: 1 })),
    ),
  );
  const upserts = Array.from({ length: count }, (_, number) => {
    return [`item ${String(number)}`, itemValue(number)] as const;
  });
  const rows = [{ table: items, upserts, deletes: [], appends: [] }];
  unwrap(await pump.write({ generation: 1, steps, rows, letters: [] }));
  await pump.close();
  return url;
}

const asItIs: Mender = { mend: (entry) => entry, rest: () => [] };

function rebuilding(url: string, mender = asItIs): PostgresRebuildDatabase {
  return new PostgresRebuildDatabase({
    address: addressOf(url),
    timers: systemTimers,
    comingBack: (partitions) => ({
      spaces: [{ name: "items", table: items, partitionOf: (key) => partitionOf(key, partitions) }],
      mender,
    }),
  });
}

class Sink implements RebuildSink {
  readonly taken = new Map<string, Value>();
  readonly partitions = new Set<number>();
  calls = 0;

  take(partition: number, changes: readonly Change[]): Promise<Outcome<null>> {
    this.calls++;
    this.partitions.add(partition);
    for (const { key, value } of changes) {
      expect(this.taken.has(key)).toBe(false);
      this.taken.set(key, value);
    }
    return Promise.resolve({ ok: true, value: null });
  }
}

const first = { generation: 1, token: "" };
const next: FencedRow = { generation: 2, token: "two", partitions: 4 };

test("D21: a generation takes the place of the one that was read, and of no other", async () => {
  const url = await filled(3);
  const port = rebuilding(url);
  const before = unwrap(await port.row());
  const written = [
    { partition: 0, seq: 5, complete: true },
    { partition: 1, seq: 6, complete: false },
    { partition: 2, seq: 0, complete: false },
    { partition: 3, seq: 0, complete: false },
  ];
  expect(before).toMatchObject({ gridId: "grid-one", ...first, base: 1, written });
  expect(unwrap(await port.fence({ ...first, token: "other" }, next))).toBe(false);
  expect(unwrap(await port.row())).toEqual(before);
  expect(unwrap(await port.fence(first, next))).toBe(true);
  // What was replaced is remembered until somebody claims under the new generation.
  expect(unwrap(await port.row())).toMatchObject({ generation: 2, token: "two", base: 1, written });
  const third = { generation: 3, token: "three", partitions: 7 };
  expect(unwrap(await port.fence(first, third))).toBe(false);
  expect(unwrap(await port.fence(next, third))).toBe(true);
  expect(unwrap(await port.row())).toMatchObject({ generation: 3, base: 1, written });
  const fresh =
    "SELECT partition FROM orrery.progress WHERE generation = 3 AND seq = 0 AND complete";
  expect(await query(url, fresh)).toHaveLength(7);
  // A pump of the old generation writes nothing more; one of the new one begins.
  const old = new PostgresDatabase({
    ...{ address: addressOf(url), timers: systemTimers, tables: [items] },
    identity: { ...identity, generation: 3, partitions: 7 },
  });
  const steps = [{ partition: 1, epoch: 1, before: 6, seq: 7, chain, letters: 0, complete: false }];
  const late = { generation: 1, steps, rows: [], letters: [] };
  expect(unwrap(await old.write(late))).toBe("misfit");
  unwrap(await old.claim(3, [{ partition: 6, epoch: 2 }]));
  await old.close();
  const after = unwrap(await port.row());
  expect(after?.base).toBe(3);
  expect(after?.written.filter(({ complete }) => complete)).toHaveLength(6);
});

test("D20: every row comes back as it was written, in one snapshot of our own generation", async () => {
  const count = 9001;
  const url = await filled(count);
  const port = rebuilding(url);
  const sink = new Sink();
  expect(unwrap(await port.read(next, sink))).toBe(false); // not ours yet
  expect(sink.calls).toBe(0);
  unwrap(await port.fence(first, next));
  expect(unwrap(await port.read(next, sink))).toBe(true);
  expect(sink.taken.size).toBe(count);
  expect([...sink.partitions].sort()).toEqual([0, 1, 2, 3]);
  for (let number = 0; number < count; number++) {
    expect(sink.taken.get(`item ${String(number)}`)).toEqual(itemValue(number));
  }
});

test("D20: the newest letter of a key is newer than its row; letters stay", async () => {
  const url = await filled(3);
  const address = addressOf(url);
  const pump = new PostgresDatabase({ address, identity, tables: [items], timers: systemTimers });
  const letter = (position: number, key: string, value: Value) => {
    return { partition: 1, position, change: 0, space: "items", key, value, reason: "planted" };
  };
  const steps = [{ partition: 1, epoch: 1, before: 6, seq: 9, chain, letters: 0, complete: false }];
  const letters = [
    letter(7, "item 1", itemValue(7)),
    letter(8, "item 1", itemValue(11, "newest")),
    letter(8, "item 2", null),
    letter(9, "item 9", itemValue(13)),
  ];
  unwrap(await pump.write({ generation: 1, steps, rows: [], letters }));
  await pump.close();
  const port = rebuilding(url);
  const others = await port.fence(first, { ...next, partitions: 5 });
  expect(others).toMatchObject({ failure: { code: "REBUILD_REFUSED" } });
  unwrap(await port.fence(first, next));
  const sink = new Sink();
  expect(unwrap(await port.read(next, sink))).toBe(true);
  expect(Object.fromEntries(sink.taken)).toEqual({
    "item 0": itemValue(0),
    "item 1": itemValue(11, "newest"),
    "item 9": itemValue(13),
  });
  expect(await query(url, "SELECT id FROM orrery.dead_letters")).toHaveLength(4);
  const mending = rebuilding(url, { mend: () => null, rest: () => [] });
  const refused = await mending.read(next, new Sink());
  expect(refused).toMatchObject({ failure: { code: "REBUILD_REFUSED" } });
  expect(await query(url, "SELECT item FROM public.items")).toHaveLength(3);
});

test("D20: what is mended is mended in the tables, too, or nowhere", async () => {
  const url = await filled(5);
  const held: string[] = [];
  const mender: Mender = {
    mend(entry) {
      if (entry.key === "item 0") return null;
      if (entry.key === "item 1") return { ...entry, value: itemValue(1, "mended") };
      if (entry.key === "item 2") return { ...entry, key: "item two" };
      if (entry.key !== "item 3") return entry;
      held.push(entry.key);
      return null;
    },
    *rest() {
      for (const key of held) yield { space: "items", key, value: itemValue(33) };
      yield { space: "items", key: "item 100", value: itemValue(100) };
    },
  };
  const port = rebuilding(url, mender);
  unwrap(await port.fence(first, next));
  const refusing: RebuildSink = {
    take: () =>
      Promise.resolve({
        ok: false,
        failure: { code: "STORE_UNREACHABLE", kind: "terminal", message: "planted" },
      }),
  };
  expect(await port.read(next, refusing)).toMatchObject({ failure: { code: "STORE_UNREACHABLE" } });
  const keys = "SELECT item, owner, count::text FROM public.items ORDER BY item";
  expect(await query(url, keys)).toHaveLength(5);
  held.length = 0;
  const sink = new Sink();
  expect(unwrap(await port.read(next, sink))).toBe(true);
  expect(Object.fromEntries(sink.taken)).toEqual({
    "item 1": itemValue(1, "mended"),
    "item two": itemValue(2),
    "item 3": itemValue(33),
    "item 4": itemValue(4),
    "item 100": itemValue(100),
  });
  expect(await query(url, keys)).toEqual([
    { item: "item 1", owner: "mended", count: "1" },
    { item: "item 100", owner: "nobody", count: "100" },
    { item: "item 3", owner: "nobody", count: "33" },
    { item: "item 4", owner: "nobody", count: "4" },
    { item: "item two", owner: "nobody", count: "2" },
  ]);
});

test("a database that never met a grid has nothing to rebuild; a row by hand that is no entry is named", async () => {
  expect(unwrap(await rebuilding(await database.fresh()).row())).toBeNull();
  const url = await filled(1);
  await query(url, "UPDATE public.items SET at = 'infinity'");
  const port = rebuilding(url);
  unwrap(await port.fence(first, next));
  const read = await port.read(next, new Sink());
  expect(read).toMatchObject({ failure: { code: "ROW_REFUSED" } });
});
