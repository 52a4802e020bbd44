// Goal: what an operator does about dead letters keeps the promise that tables and letters together
// are the fold of the log, also while the owner writes. Method: one embedded server, a database per
// test; letters written through the pump's port, refused by a constraint that somebody added.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { systemTimers, type Timers } from "../../src/base/timers.ts";
import type { DeadLetter, PumpTransaction, TableRows } from "../../src/data-pump/database.ts";
import { DeadLetters } from "../../src/data-pump/dead-letters.ts";
import { OpenDatabase } from "../../src/data-pump/open-database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import type { Table } from "../../src/data-pump/table.ts";
import type { Value } from "../../src/grid/log-record.ts";
import {
  connectTo,
  query,
  startTestDatabase,
  type TestDatabase,
} from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const identity = { gridId: "grid", generation: 1, partitions: 2 };
const items: Table = { name: "items", key: "id", columns: { count: "bigint" } };
const events: Table = { name: "events", key: "id", columns: { count: "bigint" }, kind: "append" };
const tables = new Map([
  ["items", items],
  ["events", events],
]);

let server: TestDatabase;
beforeAll(async () => {
  server = await startTestDatabase();
});
afterAll(() => server.stop());

/** A letter of partition 0; one without a reason follows another. */
function letter(position: number, space: string, key: string, value: Value): DeadLetter {
  const reason = position === 1 ? "too many" : null;
  return { partition: 0, position, change: 0, space, key, value, reason };
}

/** Record 1 to `letters.length` of partition 0 became letters; counts must stay below 10. */
async function withLetters(...letters: readonly DeadLetter[]) {
  const url = await server.fresh();
  const address = addressOf(url);
  const database = new OpenDatabase(address, systemTimers);
  const options = { address, identity, tables: [items, events], timers: systemTimers };
  const pump = new PostgresDatabase(options);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  await query(
    url,
    "ALTER TABLE items ADD CONSTRAINT few CHECK (count < 10)",
    "ALTER TABLE events ADD CONSTRAINT few CHECK (count < 10)",
  );
  expect(unwrap(await pump.write(transaction(0, letters.length, 0, [], letters)))).toBe("written");
  return { url, pump, letters: new DeadLetters({ database, tables, timers: systemTimers }) };
}

/** Resolves when a connection to that database waits for a lock of one of these kinds. */
async function waits(url: string, ...events: readonly string[]): Promise<void> {
  const waiting = `SELECT 1 FROM pg_stat_activity
                   WHERE datname = current_database()
                     AND wait_event = ANY('{${events.join(",")}}')`;
  while ((await query(url, waiting)).length === 0);
}

function transaction(
  before: number,
  seq: number,
  version: number,
  rows: readonly TableRows[] = [],
  letters: readonly DeadLetter[] = [],
): PumpTransaction {
  const chain = Buffer.alloc(16, seq);
  const step = { partition: 0, epoch: 1, before, seq, chain, letters: version, complete: false };
  return { generation: 1, steps: [step], rows, letters };
}

test("letters are listed, newest first, and shown with their exact values", async () => {
  const value = { count: 2n ** 60n, text: "a\nb", nested: [1, null, { three: true }] };
  const { url, pump, letters } = await withLetters(
    letter(1, "items", "a", value),
    letter(2, "items", "a", null),
    letter(3, "events", "e", { count: 11 }),
  );
  const listed = unwrap(await letters.list(2));
  expect(listed.total).toBe(3);
  expect(listed.letters.map(({ position }) => position)).toEqual([3, 2]);
  const stored = unwrap(await letters.list(9)).letters;
  // An owner of later finds them with the row.
  const { newest = [] } = unwrap(await pump.read([0]))[0] ?? {};
  expect(newest).toMatchObject(stored.map(({ id: _id, value: _value, at: _at, ...one }) => one));
  for (const [index, { timeMs }] of newest.entries()) {
    expect(new Date(timeMs - (timeMs % 1000))).toEqual(new Date(stored[index]?.at ?? ""));
  }
  const first = stored.at(-1);
  expect(first).toMatchObject(letter(1, "items", "a", value));
  expect(first?.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(unwrap(await letters.show(first?.id ?? 0))).toEqual(first);
  for (const outcome of [await letters.show(99), await letters.retry(99), await letters.drop(99)]) {
    expect(outcome).toMatchObject({ failure: { code: "INPUT_INVALID" } });
  }
  await pump.close();
  await query(url, "ALTER TABLE items DROP count");
  expect(await letters.list(1)).toMatchObject({ failure: { code: "DATABASE_MISFIT" } });
});

test("D33: a retry applies a key's letters in order, and nothing where one is refused again", async () => {
  const { url, pump, letters } = await withLetters(
    letter(1, "events", "e", { count: 10 }),
    letter(2, "events", "e", { count: 1 }),
    letter(3, "events", "other", { count: 2 }),
    letter(4, "events", "e", { count: 20 }),
  );
  const [last] = unwrap(await letters.list(1)).letters;
  const id = last?.id ?? 0;
  await query(url, "ALTER TABLE events ADD place bigint GENERATED BY DEFAULT AS IDENTITY");
  const refused = await letters.retry(id);
  expect(refused).toMatchObject({ failure: { code: "ROW_REFUSED" } });
  expect(refused.ok ? "" : refused.failure.message).toContain('constraint "few"');
  expect(await query(url, "SELECT * FROM events")).toEqual([]);
  expect(unwrap(await pump.read([0]))[0]).toMatchObject({ letters: 0, deadLetters: 4 });
  await query(url, "ALTER TABLE events DROP CONSTRAINT few");
  const act = { partition: 0, space: "events", key: "e", letters: 3, left: 0 };
  expect(unwrap(await letters.retry(id))).toEqual(act);
  const counts = await query(url, "SELECT count::integer FROM events ORDER BY place");
  expect(counts).toEqual([{ count: 10 }, { count: 1 }, { count: 20 }]);
  expect(unwrap(await pump.read([0]))[0]).toMatchObject({
    letters: 1,
    parked: [{ space: "events", key: "other" }],
  });
  await pump.close();
});

test("D33: an owner that knows the parked keys of before writes nothing until it has read again", async () => {
  const { url, pump, letters } = await withLetters(letter(1, "items", "a", { count: 10 }));
  await query(url, "ALTER TABLE items DROP CONSTRAINT few");
  const [one] = unwrap(await letters.list(1)).letters;
  unwrap(await letters.retry(one?.id ?? 0));
  // It would park this change behind a letter that is no longer there.
  const parked = [letter(2, "items", "a", { count: 3 })];
  expect(unwrap(await pump.write(transaction(1, 2, 0, [], parked)))).toBe("misfit");
  const [row] = unwrap(await pump.read([0]));
  expect(row).toMatchObject({ seq: 1, letters: 1, deadLetters: 0, parked: [] });
  const upserts = [["a", { count: 3 }]] as const;
  const rows = [{ table: items, upserts, deletes: [], appends: [] }];
  expect(unwrap(await pump.write(transaction(1, 2, 1, rows)))).toBe("written");
  expect(await query(url, "SELECT count::integer FROM items")).toEqual([{ count: 3 }]);
  await pump.close();
});

test("D33: a retry waits for a transaction of the owner, and takes in the letters that it brought", async () => {
  const { url, pump, letters } = await withLetters(letter(1, "items", "a", { count: 10 }));
  await query(url, "ALTER TABLE items DROP CONSTRAINT few");
  const [one] = unwrap(await letters.list(1)).letters;
  const owner = connectTo(url);
  await owner.unsafe("BEGIN");
  await owner.unsafe("UPDATE orrery.progress SET seq = 2 WHERE partition = 0");
  const retrying = letters.retry(one?.id ?? 0);
  await waits(url, "transactionid");
  await owner.unsafe(
    `INSERT INTO orrery.dead_letters (partition, position, change, space, key)
     VALUES (0, 2, 0, 'items', 'a')`,
  );
  await owner.unsafe("COMMIT");
  await owner.end();
  expect(unwrap(await retrying)).toMatchObject({ letters: 2, left: 0 });
  expect(await query(url, "SELECT * FROM items")).toEqual([]); // the second one was a delete
  await pump.close();
});

test("D33: one transaction of the owner after the other is no refusal, at any isolation level", async () => {
  const { url, pump, letters } = await withLetters(letter(1, "items", "a", { count: 10 }));
  await query(
    url,
    "ALTER TABLE items DROP CONSTRAINT few",
    `ALTER DATABASE ${new URL(url).pathname.slice(1)}
     SET default_transaction_isolation = 'repeatable read'`,
  );
  const [one] = unwrap(await letters.list(1)).letters;
  const [first, second] = [connectTo(url), connectTo(url)];
  const move = "UPDATE orrery.progress SET seq = seq + 1 WHERE partition = 0";
  await first.unsafe("BEGIN");
  await first.unsafe(move);
  const retrying = letters.retry(one?.id ?? 0);
  await waits(url, "transactionid");
  await second.unsafe("BEGIN ISOLATION LEVEL READ COMMITTED");
  const moved = second.unsafe(move).execute();
  await waits(url, "tuple");
  await first.unsafe("COMMIT");
  await moved;
  // The retry was too late for its first look, and waits for the next transaction.
  await waits(url, "relation", "transactionid");
  await second.unsafe(
    `INSERT INTO orrery.dead_letters (partition, position, change, space, key)
     VALUES (0, 2, 0, 'items', 'a')`,
  );
  await second.unsafe("COMMIT");
  expect(unwrap(await retrying)).toMatchObject({ letters: 2, left: 0 });
  await Promise.all([first.end(), second.end(), pump.close()]);
});

test("D33: a conflict in the middle of a retry is no refusal: it is done again", async () => {
  const { url, pump, letters } = await withLetters(letter(1, "items", "a", { count: 10 }));
  // As a deadlock would have it, the first time.
  await query(
    url,
    "ALTER TABLE items DROP CONSTRAINT few",
    "CREATE SEQUENCE times",
    `CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       IF nextval('times') % 3 > 0 THEN RAISE 'collided' USING ERRCODE = '40P01'; END IF;
       RETURN NEW;
     END $$`,
    "CREATE TRIGGER collide BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION collide()",
  );
  const [one] = unwrap(await letters.list(1)).letters;
  const twice = await letters.retry(one?.id ?? 0);
  expect(twice).toMatchObject({ failure: { code: "DATABASE_UNREACHABLE" } });
  expect(await query(url, "SELECT id FROM items")).toEqual([]);
  await query(url, "SELECT nextval('times')", "SELECT nextval('times')");
  expect(unwrap(await letters.retry(one?.id ?? 0))).toMatchObject({ letters: 1, left: 0 });
  expect(await query(url, "SELECT id FROM items")).toEqual([{ id: "a" }]);
  await pump.close();
});

test.for([
  { lost: "by its time limit", left: 0 },
  { lost: "by the server", left: 1 },
])("D33: an act that is cut off in COMMIT, $lost, is unknown", async ({ lost, left }) => {
  const { url, pump, letters } = await withLetters(letter(1, "items", "a", { count: 10 }));
  // COMMIT waits for somebody.
  await query(
    url,
    `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$`,
    `CREATE CONSTRAINT TRIGGER wait AFTER DELETE ON orrery.dead_letters
     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`,
  );
  const holder = connectTo(url);
  await holder.unsafe("SELECT pg_advisory_lock(7)");
  const [one] = unwrap(await letters.list(1)).letters;
  const { timers, expire } = expiringTimers();
  const database = new OpenDatabase(addressOf(url), timers);
  const dropping = new DeadLetters({ database, tables, timers }).drop(one?.id ?? 0);
  await waits(url, "advisory");
  const waiting = `SELECT pid FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event = 'advisory'`;
  if (left === 0) expire();
  else await query(url, `SELECT pg_terminate_backend(pid, 60000) FROM (${waiting}) AS w`);
  expect(await dropping, lost).toMatchObject({ failure: { code: "OUTCOME_UNKNOWN" } });
  await holder.unsafe("SELECT pg_advisory_unlock(7)");
  await holder.end();
  while ((await query(url, waiting)).length > 0);
  // Whoever has the row now comes after it.
  const after = "SELECT 1 FROM orrery.progress WHERE partition = 0 FOR UPDATE";
  await query(url, after);
  expect(unwrap(await letters.list(1)).total).toBe(left);
  const again = await letters.drop(one?.id ?? 0);
  expect(again).toMatchObject(left === 0 ? { failure: { code: "INPUT_INVALID" } } : { ok: true });
  await pump.close();
});

/** Timers, and the end of what has a transaction's time limit. */
function expiringTimers(): { timers: Timers; expire: () => void } {
  let expire = (): void => undefined;
  const timers: Timers = {
    ...systemTimers,
    after(delayMs, callback) {
      if (delayMs === limits.databaseTransactionMs) expire = callback;
      return systemTimers.after(delayMs, callback);
    },
  };
  return { timers, expire: () => expire() };
}

test("D33: a dropped letter's change is left out; the last one of a key unparks it", async () => {
  const { url, pump, letters } = await withLetters(
    letter(1, "items", "a", { count: 10 }),
    letter(2, "items", "a", { count: 2 }),
  );
  const [second, first] = unwrap(await letters.list(2)).letters.map(({ id }) => id);
  expect(unwrap(await letters.drop(first ?? 0))).toMatchObject({ letters: 1, left: 1 });
  expect(unwrap(await pump.read([0]))[0]).toMatchObject({ letters: 1, deadLetters: 1 });
  expect(unwrap(await letters.retry(second ?? 0))).toMatchObject({ letters: 1, left: 0 });
  expect(await query(url, "SELECT count::integer FROM items")).toEqual([{ count: 2 }]);
  expect(unwrap(await pump.read([0]))[0]).toMatchObject({ letters: 2, parked: [] });
  await pump.close();
});

test("D33: all keys are retried, each by itself; those refused again stay", async () => {
  const { url, pump, letters } = await withLetters(
    letter(1, "items", "a", { count: 10 }),
    letter(2, "items", "b", { count: 2 }),
    letter(3, "gone", "c", { count: 2 }),
    letter(4, "events", "a", { count: 4 }),
  );
  const { keys, acts } = unwrap(await letters.retryAll());
  expect(keys).toBe(4);
  expect(acts.map((act) => (act.ok ? act.value.key : act.failure.code))).toEqual([
    "ROW_REFUSED",
    "b",
    "INPUT_INVALID", // the application has that space no longer
    "a",
  ]);
  expect(await query(url, "SELECT id FROM items")).toEqual([{ id: "b" }]);
  expect(await query(url, "SELECT id FROM events")).toEqual([{ id: "a" }]);
  expect(unwrap(await letters.list(9)).letters.map(({ key }) => key)).toEqual(["c", "a"]);
  await pump.close();
});

test("D33: where a retry's outcome is unknown the keys behind it are left alone", async () => {
  const { url, pump, letters } = await withLetters(
    letter(1, "items", "a", { count: 1 }),
    letter(2, "items", "b", { count: 2 }),
    letter(3, "items", "c", { count: 3 }),
  );
  await query(
    url,
    `CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN OLD; END $$`,
    `CREATE TRIGGER defer BEFORE DELETE ON orrery.dead_letters
     FOR EACH ROW EXECUTE FUNCTION defer()`,
    `CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
    `CREATE CONSTRAINT TRIGGER hang_up AFTER DELETE ON orrery.dead_letters
     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.key = 'b') EXECUTE FUNCTION hang_up()`,
  );
  const { keys, acts } = unwrap(await letters.retryAll());
  expect(keys).toBe(3);
  expect(acts).toMatchObject([{ ok: true }, { failure: { code: "OUTCOME_UNKNOWN" } }]);
  expect(unwrap(await letters.list(9)).letters.map(({ key }) => key)).toEqual(["c", "b"]);
  await pump.close();
});
