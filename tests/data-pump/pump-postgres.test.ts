// Goal: with a real PostgreSQL that is killed, cut off and fought over, the tables end as the fold
// of the logs, every record once. Method: one embedded server, pumps over logs in memory that
// bring one record per tick; faults while transactions are under way; the pump's drain ends it.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap, type Failure } from "../../src/base/failure.ts";
import { systemClock } from "../../src/base/clock.ts";
import { systemRandom } from "../../src/base/random.ts";
import { systemTimers, type TimerHandle } from "../../src/base/timers.ts";
import { DeadLetters } from "../../src/data-pump/dead-letters.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { Pump } from "../../src/data-pump/pump.ts";
import {
  connectTo,
  query,
  startTestDatabase,
  type TestDatabase,
} from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";
import { item, itemsTable, MemoryLog } from "../support/pump-world.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const partitions = 4;
const identity = { gridId: "grid", generation: 1, partitions };

let database: TestDatabase;

beforeAll(async () => {
  database = await startTestDatabase();
});

afterAll(() => database.stop());

interface Lane {
  readonly pump: Pump;
  readonly connection: PostgresDatabase;
  readonly halted: Map<number, Failure>;
  /** Resolves when anything more is written, or a partition halts. */
  next(): Promise<void>;
}

function lane(url: string): Lane {
  const address = addressOf(url);
  const tables = [itemsTable];
  const connection = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  const halted = new Map<number, Failure>();
  let waiters: (() => void)[] = [];
  const tell = (): void => {
    for (const waiter of waiters) waiter();
    waiters = [];
  };
  const pump = new Pump({
    database: connection,
    identity,
    spaces: new Map([["items", itemsTable]]),
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom(),
    listener: {
      written: tell,
      deadLettered: () => undefined,
      halted: (partition, reason) => {
        halted.set(partition, reason);
        tell();
      },
    },
  });
  return { pump, connection, halted, next: () => new Promise((done) => waiters.push(done)) };
}

function makeLogs(): MemoryLog[] {
  return Array.from({ length: partitions }, (_, partition) => new MemoryLog(partition));
}

function attachAll(owner: Lane, logs: readonly MemoryLog[]): number[] {
  return logs.map((log) => {
    const epoch = log.claim();
    owner.pump.attach(log.source(epoch));
    return epoch;
  });
}

/** Brings records, over all partitions in turn: a few keys again and again, and new ones. */
class Load {
  #count = 0;
  readonly #owner: Lane;
  readonly #logs: readonly MemoryLog[];

  constructor(owner: Lane, logs: readonly MemoryLog[]) {
    this.#owner = owner;
    this.#logs = logs;
  }

  bring(records: number): void {
    for (let brought = 0; brought < records; brought++) {
      const count = this.#count++;
      const log = this.#logs[count % this.#logs.length] ?? new MemoryLog(0);
      const name = `p${String(log.partition)}`;
      const hot = item(`${name}.hot`, count % 7 === 0 ? null : count);
      const own = item(`${name}.${String(log.tail)}`, count);
      this.#owner.pump.durable(log.partition, log.change(log.tail, [hot, own]), 100);
    }
  }

  /** Some thousand records a second until it is cancelled. */
  start(): TimerHandle {
    return systemTimers.every(2, () => this.bring(5));
  }
}

async function rowsIn(url: string): Promise<Map<string, unknown>> {
  const sql = connectTo(url);
  try {
    const rows = await sql<{ key: string; count: bigint | null }[]>`SELECT * FROM public.items`;
    return new Map(rows.map(({ key, count }) => [key, { count: Number(count) }]));
  } finally {
    await sql.end();
  }
}

function foldOf(logs: readonly MemoryLog[]): Map<string, unknown> {
  return new Map(logs.flatMap((log) => [...log.fold(log.tail, []).items]));
}

async function expectAllWritten(owner: Lane, url: string, logs: MemoryLog[]): Promise<void> {
  expect(await owner.pump.drain(60_000)).toBe(true);
  expect(await rowsIn(url)).toEqual(foldOf(logs));
  for (const log of logs) expect(owner.pump.written(log.partition)).toBe(log.tail);
}

async function stopLane(owner: Lane): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) owner.pump.detach(partition);
  await owner.connection.close();
}

test("D1: the server's process is killed under load; it comes back, and so does every record", async () => {
  const url = await database.fresh();
  const [owner, logs] = [lane(url), makeLogs()];
  attachAll(owner, logs);
  const load = new Load(owner, logs).start();
  for (let kills = 0; kills < 2; kills++) {
    await owner.next();
    const killed = database.server.pid;
    process.kill(killed ?? 0, "SIGKILL");
    // What was under way may still be answered; then it is back, and something more is written.
    do await owner.next();
    while (database.server.pid === undefined || database.server.pid === killed);
  }
  load.cancel();
  // What was written last may have been an answer of the server that died.
  await vi.waitFor(() => query(url, "SELECT 1"), { timeout: 120_000 });
  await expectAllWritten(owner, url, logs);
  expect(owner.halted.size).toBe(0);
  await stopLane(owner);
});

test("D4: connections are cut under load, and nothing is written twice or left out", async () => {
  const url = await database.fresh();
  const [owner, logs] = [lane(url), makeLogs()];
  attachAll(owner, logs);
  const killer = connectTo(url);
  const load = new Load(owner, logs).start();
  for (let cuts = 0; cuts < 8; cuts++) {
    await owner.next();
    await killer`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'orrery' AND datname = current_database()`;
  }
  load.cancel();
  await expectAllWritten(owner, url, logs);
  expect(owner.halted.size).toBe(0);
  await killer.end();
  await stopLane(owner);
});

test("D2: two lanes write the same partitions; the older one is fenced, nothing is doubled", async () => {
  const url = await database.fresh();
  const logs = makeLogs();
  const [older, younger] = [lane(url), lane(url)];
  const tails = new Map<number, number>();
  for (const log of logs) {
    const tail = (): number => tails.get(log.partition) ?? log.tail;
    older.pump.attach(log.source(log.claim(), tail));
  }
  new Load(older, logs).bring(1000);
  for (const log of logs) tails.set(log.partition, log.tail);
  attachAll(younger, logs);
  new Load(younger, logs).bring(1000);
  await expectAllWritten(younger, url, logs);
  while (older.halted.size < partitions) await older.next(); // at its next look at the latest
  expect([...older.halted.values()].map(({ code }) => code)).toEqual(
    logs.map(() => "DATABASE_FENCED"),
  );
  await stopLane(older);
  await stopLane(younger);
});

test("D6: records journaled while the database was away are written when it is back", async () => {
  const url = await database.fresh();
  const [owner, logs] = [lane(url), makeLogs()];
  const admin = connectTo(database.server.url);
  const name = new URL(url).pathname.slice(1);
  const allow = (allowed: boolean) =>
    admin.unsafe(`ALTER DATABASE ${name} ALLOW_CONNECTIONS ${String(allowed)}`);
  await allow(false);
  attachAll(owner, logs);
  new Load(owner, logs).bring(500);
  // The first try may take its time.
  do expect(await owner.pump.drain(500)).toBe(false);
  while (owner.pump.problem === null);
  expect(owner.pump.problem).toMatchObject({ code: "DATABASE_UNREACHABLE" });
  expect(owner.pump.backlogRecords).toBe(504);
  await allow(true);
  await expectAllWritten(owner, url, logs);
  expect(owner.pump.problem).toBeNull();
  await admin.end();
  await stopLane(owner);
});

test("D33: letters that a constraint made are retried while the owner writes; all is the fold", async () => {
  const url = await database.fresh();
  const [owner, logs] = [lane(url), makeLogs()];
  attachAll(owner, logs);
  const load = new Load(owner, logs);
  load.bring(100);
  expect(await owner.pump.drain(60_000)).toBe(true);
  const admin = connectTo(url);
  // Refuses a hot key and a key of its own now and then; the hot key's later changes follow.
  await admin`ALTER TABLE items ADD CONSTRAINT odd CHECK (count % 100 <> 3) NOT VALID`;
  load.bring(400);
  expect(await owner.pump.drain(60_000)).toBe(true);
  const desk = new DeadLetters({
    database: new OpenDatabase(addressOf(url), systemTimers),
    tables: new Map([["items", itemsTable]]),
    timers: systemTimers,
  });
  const { total } = unwrap(await desk.list(0));
  expect(total).toBeGreaterThan(8);
  expect(await rowsIn(url)).not.toEqual(foldOf(logs));
  await admin`ALTER TABLE items DROP CONSTRAINT odd`;
  const writing = load.start();
  const { acts } = unwrap(await desk.retryAll());
  writing.cancel();
  expect(acts.every((act) => act.ok)).toBe(true);
  await expectAllWritten(owner, url, logs);
  expect(unwrap(await desk.list(0)).total).toBe(0);
  expect(owner.halted.size).toBe(0);
  await admin.end();
  await stopLane(owner);
});
