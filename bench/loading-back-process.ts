// Loading-back process: fills a table, reads it raw, or makes a grid of it; one of these in a
// process of its own. Prints one line of JSON and ends.
// Owns: table and rows, the two rivals, the rebuild, counting again what a rebuilt grid holds.
// Does not own: rounds, the database, the store's folder (loading-back.ts).
import postgres from "postgres";
import { assert, must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { unwrap } from "../src/base/failure.ts";
import { partitionOf } from "../src/base/murmur3.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../src/data-pump/database-url.ts";
import { PostgresDatabase } from "../src/data-pump/postgres-database.ts";
import { PostgresRebuildDatabase } from "../src/data-pump/rebuild-database.ts";
import type { Table } from "../src/data-pump/table.ts";
import { generationMapName, recordKey, segmentKey } from "../src/grid/grid-keys.ts";
import { decodeRecord, decodeSegment } from "../src/grid/log-record.ts";
import { rebuildGrid } from "../src/grid/rebuild.ts";
import type { ByteMap, Store } from "../src/grid/store.ts";
import { openStore } from "../src/grid/stores/open-store.ts";

export interface LoadingJob {
  /**
   * `fill`: makes the table, with `rows`. `select`: one SELECT of all rows; `pages`: the same
   * through a cursor, as many rows at once as a rebuild reads. `rebuild`: a grid in `store`.
   */
  readonly kind: "fill" | "select" | "pages" | "rebuild";
  readonly database: string;
  /** Address of an empty store, for a rebuild. */
  readonly store: string;
  readonly rows: number;
}

export interface LoadingWindow {
  readonly rows: number;
  readonly seconds: number;
  /** Processor time of this process. */
  readonly cpuUs: number;
  readonly peakMiB: number;
  /** Sum of the numbers of all rows: of a grid, read again from its store; null: not looked at. */
  readonly sum: number | null;
}

const partitions = 32;
const pageRows = 1000;
const checkMs = 10_000;
const textLength = 40;

/** The rows of scenario write-behind. */
const table: Table = {
  name: "written_rows",
  key: "id",
  columns: { partition: "integer", number: "bigint", text: "text" },
};
const columns = "id, partition, number, text";

function addressOf(url: string): PostgresAddress {
  const address = unwrap(parseDatabaseUrl(url));
  assert(address.kind === "postgres", "a server has an address");
  return address;
}

function connect(url: string): postgres.Sql {
  return postgres(url, { max: 1, fetch_types: false, onnotice: () => undefined });
}

/** A database of a grid whose rows are all written. */
async function fill({ database: url, rows }: LoadingJob): Promise<void> {
  const sql = connect(url);
  await sql.unsafe(`DROP SCHEMA IF EXISTS orrery CASCADE; DROP TABLE IF EXISTS ${table.name};`);
  const identity = { gridId: "loading-back", generation: 1, partitions };
  const address = addressOf(url);
  const pump = new PostgresDatabase({ address, identity, tables: [table], timers: systemTimers });
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  await pump.close();
  await sql.unsafe(
    `INSERT INTO ${table.name} (${columns})
     SELECT 'row-' || i, i % ${String(partitions)}, i, repeat('x', ${String(textLength)})
     FROM generate_series(0, ${String(rows - 1)}) AS i`,
  );
  // Otherwise the first who reads would write to every page, and only the first.
  await sql.unsafe(`VACUUM ANALYZE ${table.name}`);
  await sql.end();
}

type Row = Readonly<Record<string, unknown>>;

function sumOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + Number(row["number"]), 0);
}

/** Nothing is done with the rows here: that is what a rebuild is compared with. */
async function select({ database }: LoadingJob): Promise<LoadingWindow> {
  const sql = connect(database);
  const timing = startTiming();
  const rows = await sql.unsafe<Row[]>(`SELECT ${columns} FROM ${table.name}`);
  const timed = timing();
  await sql.end();
  return { ...timed, rows: rows.length, sum: sumOf(rows) };
}

async function selectPages({ database }: LoadingJob): Promise<LoadingWindow> {
  const sql = connect(database);
  const timing = startTiming();
  const pages = sql.unsafe<Row[]>(`SELECT ${columns} FROM ${table.name}`).cursor(pageRows);
  let rows = 0;
  for await (const page of pages) rows += page.length;
  const timed = timing();
  await sql.end();
  return { ...timed, rows, sum: null };
}

async function rebuild(job: LoadingJob): Promise<LoadingWindow> {
  const store = unwrap(await openStore(job.store));
  const database = new PostgresRebuildDatabase({
    address: addressOf(job.database),
    timers: systemTimers,
    comingBack: (count) => ({
      spaces: [{ name: "rows", table, partitionOf: (key) => partitionOf(key, count) }],
      mender: { mend: (entry) => entry, rest: () => [] },
    }),
  });
  const timing = startTiming();
  const report = await rebuildGrid({
    ...{ clock: systemClock, timers: systemTimers, random: systemRandom() },
    ...{ store, database, partitions, replaces: null },
    progress: () => undefined,
  });
  const timed = timing();
  const { generation, entries } = unwrap(report);
  const sum = await storedSum(store, generation, entries);
  await store.close();
  return { ...timed, rows: entries, sum };
}

/** Reads the grid as a lane would, each entry where its key belongs; there must be `entries`. */
async function storedSum(store: Store, generation: number, entries: number): Promise<number> {
  const map = store.map(generationMapName(generation));
  let [found, sum] = [0, 0];
  for (let partition = 0; partition < partitions; partition++) {
    const { body } = must(decodeRecord(await read(map, recordKey(partition, 1))), "its format");
    assert(body.type === "checkpoint", "a rebuilt partition begins with a checkpoint");
    for (const { epoch, checkpoint, segment } of body.segments) {
      const stored = await read(map, segmentKey(partition, epoch, checkpoint, segment));
      for (const { key, value } of must(decodeSegment(stored), "its format")) {
        assert(partitionOf(key, partitions) === partition, () => `${key} is where it belongs`);
        found++;
        sum += (value as { readonly number: number }).number;
      }
    }
  }
  assert(found === entries, () => `${String(found)} of ${String(entries)} entries are there`);
  return sum;
}

async function read(map: ByteMap, key: Buffer): Promise<Buffer> {
  return must(unwrap(await map.get(key, checkMs)), "what a record names is there");
}

function startTiming(): () => Pick<LoadingWindow, "seconds" | "cpuUs" | "peakMiB"> {
  const [startMs, before] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(before);
    const peakMiB = process.resourceUsage().maxRSS / 1024;
    return { seconds: (performance.now() - startMs) / 1000, cpuUs: user + system, peakMiB };
  };
}

const job = JSON.parse(process.argv[2] ?? "") as LoadingJob;
if (job.kind === "fill") {
  await fill(job);
  process.exit();
}
const window = await { select, pages: selectPages, rebuild }[job.kind](job);
process.stdout.write(`${JSON.stringify(window)}\n`, () => process.exit());
