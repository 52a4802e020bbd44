// Goal: after `--from grid` the tables are the state of the grid, whatever they were, and the pump
// of the next owner goes on from there. Method: a grid in memory that a partition wrote, a database
// of an older moment: rows that were changed, deleted and added since, a dead letter; PostgreSQL.
// And one of an older generation: a copy of the database from before a real rebuild.
import { Type } from "typebox";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../../src/data-pump/database-url.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { judgeRow } from "../../src/data-pump/progress-rules.ts";
import { PostgresRebuildDatabase } from "../../src/data-pump/rebuild-database.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { checksum } from "../../src/grid/log-record.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import { tablesOf } from "../../src/processing-units/load-application.ts";
import { rebuild } from "../../src/processing-units/grid-rebuild.ts";
import { olderGeneration, rebuildRows } from "../../src/processing-units/rows-rebuild.ts";
import {
  connectTo,
  query,
  startTestDatabase,
  type TestDatabase,
} from "../support/embedded-database.ts";
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

function addressOf(url: string): PostgresAddress {
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  return address;
}

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
  const address = addressOf(url);
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
  expect(report).toEqual({ partitions: 1, entries: 3, lost: [], generationBefore: 1 });
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

/**
 * A grid that was rebuilt from its database, where an owner of partition 0 then wrote one more
 * note; and a copy of the database from before.
 */
async function rebuiltGrid(partitions: number) {
  const { store, identity } = await newMemoryGrid(1);
  const { url: source, address, pump } = await olderDatabase(identity);
  await pump.close();
  const backup = new URL(source);
  backup.pathname += "_backup";
  await query(database.server.url, `CREATE DATABASE ${nameIn(backup)} TEMPLATE ${nameIn(source)}`);
  await query(source, "DELETE FROM orrery.dead_letters"); // else its partitions stay as they are
  const place = { name: "notes", table: must(tablesOf(application).get("notes"), "its table") };
  const spaces = [{ ...place, partitionOf: (key: string) => partitionOf(key, partitions) }];
  const port = new PostgresRebuildDatabase({
    ...{ address, timers: systemTimers },
    comingBack: () => ({ spaces, mender: { mend: (entry) => entry, rest: () => [] } }),
  });
  const options = { replaces: 1, partitions, progress: () => undefined };
  unwrap(await rebuild(store, { known: identity, database: port, spacesLost: [] }, options));
  const grid = { ...identity, generation: 2, partitions };
  const owned = { identity: grid, map: store.map("grid.2") };
  const { partition, served, released } = openPartition(owned, {}, { application });
  await served;
  unwrap(await run(partition, "note", { key: "e", text: "new" }));
  partition.leave();
  await released;
  return { store, first: identity, grid, backup: backup.href };
}

test.each([1, 3])(
  "D25: a backup from before a rebuild is brought to the grid's generation, with its %i partitions",
  async (partitions) => {
    const { store, first, grid, backup } = await rebuiltGrid(partitions);
    const address = addressOf(backup);
    const tables = [...tablesOf(application).values()];
    const opened = new OpenDatabase(address, systemTimers);
    const known = unwrap(await opened.knownGrid());
    expect(olderGeneration(known, grid)).toEqual(first);
    expect(olderGeneration({ ...grid, generation: 3 }, grid)).toBeNull();
    expect(olderGeneration({ ...first, gridId: "another" }, grid)).toBeNull();
    // What a unit says of it, and that the way out is named.
    const said = await saidByUnits(address, grid);
    expect(said).toMatchObject({ code: "DATABASE_LOST" });
    expect(said?.message).toContain("went back to generation 1");
    expect(said?.message).toContain("orrery rebuild --from grid");
    unwrap(await opened.adopt(known ?? grid, tables));

    const options = { store, address, application, progress: () => undefined };
    const report = unwrap(await rebuildRows({ ...options, identity: grid }));
    expect(report).toEqual({ partitions, entries: 3, lost: [], generationBefore: 1 });
    const texts = "SELECT note, text FROM notes ORDER BY note";
    expect(await query(backup, texts)).toEqual([
      { note: "a", text: "old" },
      { note: "c", text: "old" },
      { note: "e", text: "new" },
    ]);
    // Those of the older generation's records stay, whatever their numbers; the new one is added.
    const events = await query(backup, "SELECT event FROM events ORDER BY event");
    expect(events).toEqual(["a", "b", "c", "e"].map((event) => ({ event })));
    expect(await query(backup, "SELECT id FROM orrery.dead_letters")).toEqual([]);
    expect(unwrap(await opened.knownGrid())).toEqual(grid);
    expect(await query(backup, "SELECT written FROM orrery.meta WHERE token <> ''")).toEqual([
      { written: null },
    ]);
    await expectGrid(store.map("grid.2"), address, grid);

    // Whatever the database holds of another kind is not the grid's to write over.
    const before = await query(backup, "SELECT * FROM orrery.progress ORDER BY partition");
    for (const identity of [first, { ...grid, partitions: 7 }, { ...grid, gridId: "another" }]) {
      const refused = await rebuildRows({ ...options, identity });
      expect(refused).toMatchObject({ failure: { code: "REBUILD_REFUSED" } });
    }
    const after = await query(backup, "SELECT * FROM orrery.progress ORDER BY partition");
    expect(after).toEqual(before);
  },
);

/** The failure of the start, where partitions are others, or of the partition that looks. */
async function saidByUnits(address: PostgresAddress, identity: GridIdentity) {
  const tables = [...tablesOf(application).values()];
  const pump = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  const rows = await pump.read([0]);
  await pump.close();
  if (!rows.ok) return rows.failure;
  const { generation } = identity;
  const verdict = judgeRow(rows.value[0], { partition: 0, generation, epoch: 2, tail: 2 });
  return verdict.kind === "halt" ? verdict.failure : null;
}

/** Each row stands at its log's claim; an owner of the grid goes on there, none of before does. */
async function expectGrid(map: ByteMap, address: PostgresAddress, identity: GridIdentity) {
  const tables = [...tablesOf(application).values()];
  const pump = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  const all = Array.from({ length: identity.partitions }, (_, partition) => partition);
  const rows = unwrap(await pump.read(all));
  expect(rows.map(({ partition }) => partition)).toEqual(all);
  for (const { partition, generation, complete, epoch, seq, chain } of rows) {
    expect({ generation, complete, epoch }).toEqual({ generation: 2, complete: false, epoch: seq });
    const stored = unwrap(await map.get(recordKey(partition, seq), 1000));
    expect(chain).toEqual(checksum(stored ?? Buffer.alloc(0)));
  }
  const { seq, letters } = must(rows[0], "partition 0");
  const step = { partition: 0, letters, chain: Buffer.alloc(16, 1), complete: false };
  const late = { ...step, epoch: 1, before: 4, seq: 5 };
  expect(unwrap(await pump.write({ generation: 1, steps: [late], rows: [], letters: [] }))).toBe(
    "misfit",
  );
  const next = { ...step, epoch: seq, before: seq, seq: seq + 1 };
  expect(unwrap(await pump.write({ generation: 2, steps: [next], rows: [], letters: [] }))).toBe(
    "written",
  );
  await pump.close();
}

function nameIn(url: string | URL): string {
  return new URL(url).pathname.slice(1);
}
