// Goal: after `--from grid` the tables are the state of the grid, whatever they were, and the pump
// of the next owner goes on from there. Method: a grid in memory that a partition wrote, a database
// of an older moment: rows that were changed, deleted and added since, a dead letter; PostgreSQL.
import { Type } from "typebox";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { checksum } from "../../src/grid/log-record.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import { tablesOf } from "../../src/processing-units/load-application.ts";
import { rebuildRows } from "../../src/processing-units/rows-rebuild.ts";
import { connectTo, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import { openPartition, run } from "../support/partition-kit.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const notes = space<{ readonly text: string }>({
  name: "notes",
  table: { name: "notes", key: "note", columns: { text: "text" } },
});
const events = space<{ readonly text: string }>({
  name: "events",
  writeOnly: true,
  table: { name: "events", key: "event", columns: { text: "text" }, kind: "append" },
});

const application: Application = {
  name: "notes",
  spaces: [notes, events],
  commands: {
    note: command({
      input: Type.Object({ key: Type.String(), text: Type.String() }),
      routeBy: ({ key }) => key,
      handle(tx, { key, text }): Value {
        if (text === "") tx.delete(notes, key);
        else tx.put(notes, key, { text });
        tx.put(events, key, { text });
        return null;
      },
    }),
  },
};

let database: TestDatabase;

beforeAll(async () => {
  database = await startTestDatabase();
});

afterAll(async () => {
  await database.stop();
});

const old = { text: "old" };

/** A grid whose partition 0 has three notes; `more` adds others, and releases it. */
async function writtenGrid() {
  const { store, identity } = await newMemoryGrid(1);
  const map = store.map("grid.1");
  const { partition, served, released } = openPartition({ identity, map }, {}, { application });
  await served;
  const note = async (key: string, text: string) => {
    unwrap(await run(partition, "note", { key, text }));
  };
  for (const key of ["a", "b", "c"]) await note(key, "old");
  const more = async () => {
    await note("a", "new");
    await note("c", "");
    await note("d", "new");
    partition.leave();
    await released;
  };
  return { store, identity, map, more };
}

/** The database as it was when three notes were written, of which `b` was a dead letter. */
async function olderDatabase(identity: GridIdentity) {
  const url = await database.fresh();
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  const tables = [...tablesOf(application).values()];
  const pump = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  const [notesTable, eventsTable] = tables;
  if (notesTable === undefined || eventsTable === undefined) throw new Error("two tables");
  const chain = Buffer.alloc(16, 1);
  const step = { partition: 0, epoch: 1, before: 0, seq: 4, chain, letters: 0, complete: false };
  const rowsOf = (...keys: string[]) => keys.map((key) => [key, old] as const);
  const rows = [
    { table: notesTable, upserts: rowsOf("a", "c"), deletes: [], appends: [] },
    { table: eventsTable, upserts: [], deletes: [], appends: rowsOf("a", "b", "c") },
  ];
  const at = { partition: 0, position: 3, change: 0 };
  const letters = [{ ...at, space: "notes", key: "b", value: old, reason: "planted" }];
  unwrap(await pump.write({ generation: 1, steps: [step], rows, letters }));
  return { url, address, pump };
}

test("D12, D24: the tables are the grid's state, and each partition stands at its claim; else nothing changes", async () => {
  const { store, identity, map, more } = await writtenGrid();
  const { url, address, pump } = await olderDatabase(identity);
  await more();

  const sql = connectTo(url);
  const shown = async () => ({
    notes: await sql`SELECT note, text FROM notes ORDER BY note`.values(),
    events: await sql`SELECT event, text FROM events ORDER BY event, text`.values(),
    letters: await sql`SELECT key FROM orrery.dead_letters`.values(),
  });
  const options = { store, identity, address, application, progress: () => undefined };
  // Ahead of the log: then it is the grid that lost something.
  const before = await shown();
  await sql`UPDATE orrery.progress SET seq = 999`;
  expect(await rebuildRows(options)).toMatchObject({ failure: { code: "GRID_LOST" } });
  expect(await shown()).toEqual(before);
  await sql`UPDATE orrery.progress SET seq = 4`;
  // A letter of a write-only space: what came later to its key must not go past it.
  await sql`UPDATE orrery.dead_letters SET space = 'events', key = 'a'`;
  const parked = await shown();
  const refused = await rebuildRows(options);
  expect(refused).toMatchObject({ failure: { code: "REBUILD_REFUSED" } });
  expect(refused.ok ? "" : refused.failure.message).toContain("retry or drop them first");
  expect(await shown()).toEqual(parked);
  await sql`UPDATE orrery.dead_letters SET space = 'notes', key = 'b'`;

  const report = unwrap(await rebuildRows(options));
  expect(report).toEqual({ partitions: 1, entries: 3, lost: [] });
  expect(await shown()).toEqual({
    notes: [
      ["a", "new"],
      ["b", "old"],
      ["d", "new"],
    ],
    // What the log still has is added once; a delete of a write-only space is no row.
    events: [
      ["a", "new"],
      ["a", "old"],
      ["b", "old"],
      ["c", ""],
      ["c", "old"],
      ["d", "new"],
    ],
    letters: [],
  });
  const [row] = unwrap(await pump.read([0]));
  expect(row).toMatchObject({ generation: 1, complete: false, letters: 1, parked: [] });
  const stored = unwrap(await map.get(recordKey(0, row?.seq ?? 0), 1000));
  expect(row?.epoch).toBe(row?.seq);
  expect(row?.chain).toEqual(checksum(stored ?? Buffer.alloc(0)));
  await pump.close();
  await sql.end();
});
