// Goal: an operator can look at what a migration would do, do it, and deal with dead letters, from
// the command line, beside units or without them. Method: one embedded server; a database that is
// migrated by the command, and gets letters as the pump writes them; each command as a process.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { bids, settlements } from "../../src/bidding-demo/spaces.ts";
import type { DeadLetter } from "../../src/data-pump/database.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import {
  startTestDatabase,
  type TestDatabase,
  query as queryAt,
} from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";
import { refusal, runOrrery } from "./run-orrery.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let server: TestDatabase;
let url: string;
beforeAll(async () => {
  server = await startTestDatabase();
  url = await server.fresh();
});
afterAll(() => server.stop());

const query = (...texts: readonly string[]) => queryAt(url, ...texts);

/** Runs a command that succeeds; what it printed. */
async function orrery(command: string, database = url): Promise<string> {
  const ended = await runOrrery(command.split(" "), { ORRERY_DATABASE: database });
  expect(ended).toMatchObject({ code: 0, stderr: "", left: [] });
  return ended.stdout;
}

test("D8: migrate --dry-run prints SQL and changes nothing; migrate does it, once", async () => {
  // The folder's server runs in this process: the command finds it there.
  const planned = await orrery("migrate --dry-run", `embedded:${server.server.folder}`);
  expect(planned).toMatch(/^-- schema orrery: .*\nCREATE SCHEMA IF NOT EXISTS orrery;\n/);
  expect(planned).toContain('CREATE TABLE public."bids" ("bid_id" text PRIMARY KEY, ');
  expect(await orrery("migrate --dry-run")).toBe(planned);
  expect(await query("SELECT to_regclass('public.bids') AS bids")).toEqual([{ bids: null }]);
  expect(await orrery("migrate")).toContain("migrated: table public.bids\n");
  expect(await orrery("migrate")).toBe("the database has all that this version needs\n");
  await query("ALTER TABLE bids ALTER price_micros TYPE numeric(9,2)");
  const refused = await runOrrery(["migrate"], { ORRERY_DATABASE: url });
  expect(refused).toEqual(refusal(1, /column price_micros is numeric\(9,2\), not bigint/));
  await query("ALTER TABLE bids ALTER price_micros TYPE bigint");
});

/** The connection goes while the COMMIT of an operator's act is under way. */
const hangUpInCommit = [
  `CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN OLD; END $$`,
  `CREATE TRIGGER defer BEFORE DELETE ON orrery.dead_letters
     FOR EACH ROW EXECUTE FUNCTION defer()`,
  `CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
  `CREATE CONSTRAINT TRIGGER hang_up AFTER DELETE ON orrery.dead_letters
     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang_up()`,
];

test("D33: dead letters are listed, shown, retried and dropped", async () => {
  const options = {
    address: addressOf(url),
    identity: { gridId: "grid", generation: 1, partitions: 1 },
    tables: [bids, settlements].flatMap(({ table }) => table ?? []),
    timers: systemTimers,
  };
  const letter = (position: number, key: string, priceMicros: unknown): DeadLetter => {
    const reason = position === 1 ? "violates check\nconstraint" : null;
    const value = { priceMicros: priceMicros as bigint, test: true };
    return { partition: 0, position, change: 0, space: "bids", key, value, reason };
  };
  const pump = new PostgresDatabase(options);
  unwrap(await pump.claim(1, [{ partition: 0, epoch: 1 }]));
  const chain = Buffer.alloc(16);
  const step = { partition: 0, epoch: 1, before: 0, seq: 4, chain, letters: 0, complete: false };
  const letters = [letter(1, "b1", 2n ** 60n), letter(2, "b1", 5), letter(3, "b2", 7)];
  unwrap(await pump.write({ generation: 1, steps: [step], rows: [], letters }));
  await pump.close();
  await query("ALTER TABLE bids ADD CONSTRAINT cheap CHECK (price_micros < 7)");

  const listed = (await orrery("dead-letters list")).split("\n");
  expect(listed[0]).toMatch(/^3 {2}\S+Z {2}partition 0 record 3 {2}bids b2: follows an earlier/);
  expect(listed[2]).toMatch(/^1 {2}.* bids b1: violates check constraint$/);
  expect(listed[3]).toBe("3 letters");
  const shown: unknown = JSON.parse(await orrery("dead-letters show 1"));
  const exact = { priceMicros: "1152921504606846976", test: true };
  expect(shown).toMatchObject({ id: 1, space: "bids", key: "b1", value: exact });

  const refused = await runOrrery(["dead-letters", "retry", "2"], { ORRERY_DATABASE: url });
  expect(refused).toEqual(refusal(1, /dead letter 1 is refused again: .*"cheap".*ROW_REFUSED/));
  expect(await orrery("dead-letters drop 1")).toBe(
    "dropped: 1 letter of bids b1; 1 letter left, it stays parked\n",
  );
  const all = await runOrrery(["dead-letters", "retry", "--all"], { ORRERY_DATABASE: url });
  expect(all).toEqual({
    ...refusal(1, /1 of 2 keys were retried, the last failure: dead letter 3 is .*ROW_REFUSED/),
    stdout: all.stdout,
  });
  expect(all.stdout).toMatch(
    /^retried: 1 letter of bids b1; its changes are written again\nnot retried: dead letter 3 /,
  );
  expect(await query("SELECT bid_id, price_micros::integer AS price FROM bids")).toEqual([
    { bid_id: "b1", price: 5 },
  ]);
  await query("ALTER TABLE bids DROP CONSTRAINT cheap");
  await query(...hangUpInCommit);
  const cut = await runOrrery(["dead-letters", "retry", "--all"], { ORRERY_DATABASE: url });
  expect(cut).toEqual({ ...refusal(1, /0 of 1 keys were .*OUTCOME_UNKNOWN/), stdout: cut.stdout });
  expect(cut.stdout).toMatch(
    /^unknown: .*do it once more: if it was done, there is no dead letter 3$/m,
  );
  await query(
    "DROP TRIGGER hang_up ON orrery.dead_letters",
    "DROP TRIGGER defer ON orrery.dead_letters",
  );
  expect(await orrery("dead-letters retry --all")).toContain("retried: 1 letter of bids b2");
  expect(await orrery("dead-letters list")).toBe("there are no dead letters\n");
  const gone = await runOrrery(["dead-letters", "drop", "1"], { ORRERY_DATABASE: url });
  expect(gone).toEqual(refusal(1, /there is no dead letter 1 \[INPUT_INVALID\]/));
});
