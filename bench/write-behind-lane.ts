// Write-behind lane: one lane over a grid in memory, in this very thread, with a pump to PostgreSQL
// or without; or the same rows fed raw into the same table.
// Owns: putting lane and pump together, the table, the rival. Does not own: what is asked and how
// often (write-behind-process.ts).
import postgres from "postgres";
import { Type } from "typebox";
import { must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { unwrap } from "../src/base/failure.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import { parseDatabaseUrl } from "../src/data-pump/database-url.ts";
import { PostgresDatabase } from "../src/data-pump/postgres-database.ts";
import { Pump } from "../src/data-pump/pump.ts";
import { statementsFor } from "../src/data-pump/statements.ts";
import type { Table } from "../src/data-pump/table.ts";
import type { GridIdentity } from "../src/grid/grid-directory.ts";
import type { Value } from "../src/grid/log-record.ts";
import { openStore } from "../src/grid/stores/open-store.ts";
import { command, space, type Application } from "../src/processing-units/application.ts";
import type { Lane } from "../src/processing-units/lane.ts";
import { newGrid, soleLane } from "./bench-lane.ts";

const clock = systemClock;
const timers = systemTimers;
const random = systemRandom();

/** What a row is: about 100 bytes in the table. */
const table: Table = {
  name: "written_rows",
  key: "id",
  columns: { partition: "integer", number: "bigint", text: "text" },
};
const rows = space<{
  readonly partition: number;
  readonly number: number;
  readonly text: string;
}>({ name: "rows", writeOnly: true, table });

const text = "x".repeat(40);

const application: Application = {
  name: "write-behind",
  spaces: [rows],
  commands: {
    write: command({
      input: Type.Object({ route: Type.String(), from: Type.Integer(), count: Type.Integer() }),
      routeBy: ({ route }) => route,
      handle(tx, { from, count }) {
        const { partition } = tx;
        for (let number = from; number < from + count; number++) {
          tx.put(rows, `row-${String(number)}`, { partition, number, text });
        }
        return null;
      },
    }),
  },
};

export interface WritingLane {
  readonly lane: Lane;
  readonly pump: Pump | null;
  close(): Promise<void>;
}

function newPump(
  identity: GridIdentity,
  url: string,
  listener: () => Lane,
): [Pump, PostgresDatabase] {
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not the address of a server");
  const database = new PostgresDatabase({ address, identity, tables: [table], timers });
  const pump = new Pump({
    database,
    identity,
    spaces: new Map([[rows.name, table]]),
    ...{ clock, timers, random },
    listener: {
      written: (partition, position) => {
        listener().written(partition, position);
      },
      halted: (partition, reason) => {
        throw new Error(`partition ${String(partition)}: ${reason.message}`);
      },
      deadLettered: ({ reason }) => {
        throw new Error(`a dead letter: ${String(reason)}`);
      },
    },
  });
  return [pump, database];
}

/** A lane that serves all partitions; null: it has no database. */
export async function openWritingLane(
  url: string | null,
  partitions: number,
): Promise<WritingLane> {
  const store = unwrap(await openStore("memory:"));
  const identity = await newGrid(store, partitions);
  const [pump, database] = url === null ? [] : newPump(identity, url, () => sole.lane);
  const sole = soleLane({ store, identity, application, ...(pump === undefined ? {} : { pump }) });
  await sole.servesAll;
  const close = async () => database?.close();
  return { lane: sole.lane, pump: pump ?? null, close };
}

/** Takes the database back to nothing. */
export async function emptyDatabase(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  await sql.unsafe(`DROP SCHEMA IF EXISTS orrery CASCADE; DROP TABLE IF EXISTS ${table.name};`);
  await sql.unsafe("CHECKPOINT");
  await sql.end();
}

/** How many rows the table has. */
export async function countRows(url: string): Promise<number> {
  const sql = postgres(url, { max: 1 });
  const [row] = await sql.unsafe<{ count: string }[]>(`SELECT count(*) FROM ${table.name}`);
  await sql.end();
  return Number(row?.count);
}

/** The pump's statement for rows, without what ties it to its transaction. */
const insertRaw = `
  INSERT INTO ${table.name} (id, partition, number, text)
  SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[])
  ON CONFLICT (id) DO UPDATE
  SET partition = EXCLUDED.partition, number = EXCLUDED.number, text = EXCLUDED.text`;

/**
 * Feeds rows into a table as the pump makes it, and does nothing else: one connection, transactions
 * of `rowsPerTransaction` rows, two of them under way. Rows a second over about `windowMs`, after a
 * warm-up.
 */
export async function feedRaw(
  url: string,
  rowsPerTransaction: number,
  warmUpMs: number,
  windowMs: number,
): Promise<number> {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => undefined });
  await sql.unsafe(
    `CREATE TABLE ${table.name} (id text PRIMARY KEY, partition integer, number bigint, text text)`,
  );
  let next = 0;
  let written = 0;
  const endMs = clock.monotonicMs() + warmUpMs + windowMs;
  const feed = async (): Promise<void> => {
    while (clock.monotonicMs() < endMs) {
      const from = next;
      next += rowsPerTransaction;
      const { parameters } = await rawStatement(from, rowsPerTransaction);
      await sql.unsafe(insertRaw, parameters.slice(1), { prepare: true });
      written += rowsPerTransaction;
    }
  };
  const feeding = Promise.all([feed(), feed()]);
  await new Promise((resolve) => timers.after(warmUpMs, () => resolve(null)));
  const [fromMs, fromRows] = [clock.monotonicMs(), written];
  await feeding;
  const perSecond = ((written - fromRows) * 1000) / (clock.monotonicMs() - fromMs);
  await sql.end();
  return perSecond;
}

/** Rows as parameters, made as the pump makes them; the first is the transaction's mark. */
async function rawStatement(from: number, count: number) {
  const upserts = Array.from({ length: count }, (_, index): [string, Value] => {
    const number = from + index;
    return [`row-${String(number)}`, { partition: number % 32, number, text }];
  });
  const tables = [{ table, upserts, deletes: [], appends: [] }];
  const statements = unwrap(await statementsFor(tables, "0", timers));
  return must(statements[0], "a statement for rows");
}
