// Goal: docs/consistency-of-the-database.md is true. Method: lanes in this thread write to a real
// PostgreSQL while a reader takes one snapshot after the other and judges each; a lane whose
// transactions are held shows what does not follow. The page's statements are run as they stand.
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { Type } from "typebox";
import type postgres from "postgres";
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Database, PumpTransaction } from "../../src/data-pump/database.ts";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import type { Lane } from "../../src/processing-units/lane.ts";
import { tablesOf } from "../../src/processing-units/load-application.ts";
import { connectTo, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { keysIn, lanesWithDatabase, submit } from "../support/lanes-with-database.ts";
import type { LaneNetwork } from "../support/lane-network.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const partitions = 4;
const rows = space<{ readonly number: number }>({
  name: "rows",
  table: { name: "rows", key: "name", columns: { number: "bigint" } },
});
const byKey = Type.Object({ key: Type.String() });

/** `step` counts two rows up together; `follow` takes a third one to where they are. */
const application: Application = {
  name: "steps",
  spaces: [rows],
  commands: {
    step: command({
      input: byKey,
      routeBy: ({ key }) => key,
      handle(tx, { key }) {
        const number = (tx.get(rows, `${key}.one`)?.number ?? 0) + 1;
        tx.put(rows, `${key}.one`, { number });
        tx.put(rows, `${key}.two`, { number });
        return number;
      },
    }),
    follow: command({
      input: byKey,
      routeBy: ({ key }) => key,
      handle(tx, { key }) {
        const number = tx.get(rows, `${key}.one`)?.number ?? 0;
        tx.put(rows, `${key}.behind`, { number });
        return number;
      },
    }),
  },
};

/** A lane's way to the database, whose transactions wait while it is held. */
class HeldDatabase implements Database {
  readonly #database: Database;
  /** How often each row was written. */
  readonly writes = new Map<string, number>();
  #hold = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  /** From now on nothing is written, until what is returned is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hold = promise;
    return resolve;
  }

  claim: Database["claim"] = (...given) => this.#database.claim(...given);
  read: Database["read"] = (...given) => this.#database.read(...given);
  rehearse: Database["rehearse"] = (...given) => this.#database.rehearse(...given);
  close: Database["close"] = () => this.#database.close();

  async write(transaction: PumpTransaction) {
    await this.#hold;
    for (const { upserts } of transaction.rows) {
      for (const [key] of upserts) this.writes.set(key, (this.writes.get(key) ?? 0) + 1);
    }
    return this.#database.write(transaction);
  }
}

interface Snapshot {
  readonly numbers: ReadonlyMap<string, number>;
  readonly seqs: readonly number[];
}

let server: TestDatabase;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startTestDatabase();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function writingLanes() {
  const url = await server.fresh();
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  const held: HeldDatabase[] = [];
  const { network, add } = await lanesWithDatabase(partitions, application, (identity) => {
    const tables = [...tablesOf(application).values()];
    const connection = new PostgresDatabase({ address, identity, tables, timers: systemTimers });
    const database = new HeldDatabase(connection);
    ends.push(() => connection.close());
    held.push(database);
    return database;
  });
  ends.push(() => closed(network));
  const lanes = [add("one"), add("two")] as [Lane, Lane];
  await network.join();
  const sql = connectTo(url);
  ends.push(() => sql.end());
  const [key, other] = lanes.map((lane) => must(keysIn(lane, partitions)[0], "a key"));
  // Every table is there when the first change is.
  for (const each of [key, other]) {
    await ask(lanes[0], "step", must(each, "a key"), "journal");
    await ask(lanes[0], "follow", must(each, "a key"), "written");
  }
  return { lanes, held, sql, url, key: must(key, "a key"), other: must(other, "a key") };
}

async function closed(network: LaneNetwork): Promise<void> {
  await Promise.all(network.lanes.map((lane) => lane.close()));
  await network.cut();
}

async function ask(lane: Lane, name: string, key: string, ack: "journal" | "written") {
  const outcome = await submit(lane, name, { key }, { ack, deadlineMs: 30_000 });
  return unwrap(outcome) as number;
}

/** The page's own way to read: rows and progress of one moment. */
async function snapshot(sql: postgres.Sql): Promise<Snapshot> {
  return sql.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", async (transaction) => {
    const progress = await transaction<{ seq: bigint }[]>`
      SELECT seq FROM orrery.progress ORDER BY partition`;
    const found = await transaction<{ name: string; number: bigint }[]>`
      SELECT name, number FROM public.rows`;
    const numbers = found.map(({ name, number }) => [name, Number(number)] as const);
    return { numbers: new Map(numbers), seqs: progress.map(({ seq }) => Number(seq)) };
  });
}

test("rules 1 and 2: each snapshot shows each partition after one of its commands, later each time", async () => {
  const { lanes, sql } = await writingLanes();
  const keys = lanes.flatMap((lane) => keysIn(lane, partitions));
  const state = { isOver: false, moved: 0 };
  const load = Promise.all(
    keys.map(async (key, index) => {
      const lane = must(lanes[index % 2], "a lane");
      // Until enough of it was seen, however long the reader takes to connect.
      for (let count = 0; count < 60 || state.moved <= partitions; count++) {
        await ask(lane, "step", key, "journal");
        await ask(lane, "follow", key, "journal");
      }
      await ask(lane, "step", key, "written");
    }),
  ).finally(() => (state.isOver = true));
  let before: Snapshot = { numbers: new Map(), seqs: [] };
  while (!state.isOver) {
    const now = await snapshot(sql);
    for (const key of keys) {
      const [one = 0, two = 0, behind = 0] = ["one", "two", "behind"].map((name) =>
        now.numbers.get(`${key}.${name}`),
      );
      expect(two).toBe(one);
      expect([behind, behind + 1]).toContain(one); // a step is followed before the next one
      expect(one).toBeGreaterThanOrEqual(before.numbers.get(`${key}.one`) ?? 0);
    }
    for (const [partition, seq] of now.seqs.entries()) {
      expect(seq).toBeGreaterThanOrEqual(before.seqs[partition] ?? 0);
      if (seq > (before.seqs[partition] ?? 0)) state.moved++;
    }
    before = now;
  }
  await load;
  expect(state.moved).toBeGreaterThan(partitions);
});

test("rule 3: changes of one row that wait together are one write", async () => {
  const { lanes, held, sql, key } = await writingLanes();
  const database = must(held[0], "a database");
  database.writes.clear();
  const release = database.hold();
  for (let count = 0; count < 20; count++) await ask(lanes[0], "step", key, "journal");
  release();
  const last = await ask(lanes[0], "step", key, "written");
  expect((await snapshot(sql)).numbers.get(`${key}.one`)).toBe(last);
  expect(last).toBe(22);
  expect(database.writes.get(`${key}.one`)).toBeLessThan(10);
});

test("rule 4: what came later may be shown without what came before it, in another partition", async () => {
  const { lanes, held, sql, key, other } = await writingLanes();
  const release = must(held[0], "a database").hold();
  expect(await ask(lanes[1], "step", key, "journal")).toBe(2); // answered first
  expect(await ask(lanes[0], "step", other, "written")).toBe(2); // sent afterwards
  const between = (await snapshot(sql)).numbers;
  expect([between.get(`${key}.one`), between.get(`${other}.one`)]).toEqual([1, 2]);
  release();
  await ask(lanes[0], "step", key, "written");
  expect((await snapshot(sql)).numbers.get(`${key}.one`)).toBe(3);
});

test("rule 5: who waited for written is shown to every snapshot after it, before whatever he did next", async () => {
  const { lanes, sql, key, other } = await writingLanes();
  for (let count = 0; count < 10; count++) {
    const [first, second] = count % 2 === 0 ? [key, other] : [other, key];
    const number = await ask(lanes[0], "step", first, "written");
    expect((await snapshot(sql)).numbers.get(`${first}.one`)).toBe(number);
    await ask(lanes[0], "step", second, "written");
  }
});

test("the page's statements run as they stand", async () => {
  const { lanes, sql } = await writingLanes();
  const page = await readFile("docs/consistency-of-the-database.md", "utf8");
  const statements = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, text = ""]) => text);
  expect(statements).toHaveLength(3);
  const answers = [];
  for (const text of statements) answers.push(await sql.unsafe(text));
  expect(answers[1]).toEqual([{ stopped_cleanly: false }]);
  expect(answers[2]).toEqual([]);
  await Promise.all(lanes.map((lane) => lane.close()));
  expect(await sql.unsafe(must(statements[1], "a statement"))).toHaveLength(1);
});
