// Goal: a grid whose store lost everything goes on from its database: by itself after a clean stop,
// by an operator's act after a crash, with other partitions if he likes; no money is lost or made.
// Method: units on a store in memory, which ends with them; an exchange at work in between.
import { EventEmitter, once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import type postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import {
  connectTo,
  query,
  startTestDatabase,
  type TestDatabase,
} from "../support/embedded-database.ts";
import { freePort, startOrrery, type TestProcess } from "../support/processes.ts";
import { bookProblems, readBooks } from "./support/books.ts";
import { campaign, campaignsFile } from "./support/campaigns.ts";
import { LoadedExchange } from "./support/loaded-exchange.ts";
import { testFolder } from "./support/test-folder.ts";
import { until } from "./support/until.ts";

const budgetMicros = 50_000_000;
const campaigns = [campaign("wide", { bidCpm: 2, budget: budgetMicros / 1_000_000 })];

let database: TestDatabase;
let sql: postgres.Sql;
let env: NodeJS.ProcessEnv;
let folder: string;

beforeAll(async () => {
  database = await startTestDatabase();
  const address = await database.fresh();
  sql = connectTo(address);
  folder = await testFolder();
  env = {
    ORRERY_DATA: join(folder, "data"),
    ORRERY_DATABASE: address,
    ORRERY_CAMPAIGNS: campaignsFile(folder, campaigns),
    ORRERY_PORT: "0",
    ORRERY_LANES: "2",
    ORRERY_LOG_LEVEL: "error",
  };
});

afterAll(async () => {
  await sql.end();
  await database.stop();
});

async function serving(...flags: string[]): Promise<[TestProcess, string]> {
  const unit = startOrrery(["unit", ...flags], { env });
  const [, url = ""] = await unit.line(/^serving (http:\S+)$/);
  return [unit, url];
}

async function trade(url: string, ledgerPath: string, seed: number): Promise<void> {
  const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 300, seed });
  await exchange.moreBids(100);
  await exchange.finish();
}

async function stop(ledgerPath: string, ...units: readonly TestProcess[]): Promise<void> {
  for (const unit of units) unit.signal("SIGTERM");
  for (const unit of units) expect(await unit.ended).toEqual({ code: 0, signal: null });
  expect(await bookProblems(sql, await readBooks(ledgerPath))).toEqual([]);
}

interface Money {
  readonly spent: number;
  readonly held: number;
  readonly written_off: number;
  readonly most: number;
  readonly purses: number;
}

/** Sums over the purses; what they may spend at most, all together. */
async function money(): Promise<Money> {
  const [row] = await sql<[Money]>`
    SELECT sum(spent_micros)::float8 AS spent, sum(reserved_micros)::float8 AS held,
           coalesce(sum(written_off_micros), 0)::float8 AS written_off, count(*)::int AS purses,
           sum(greatest(share_micros, spent_micros + reserved_micros
                        + coalesce(written_off_micros, 0)))::float8 AS most
    FROM purses`;
  return row;
}

/** A copy of the database as it is now. Its units are dead; their connections end a bit later. */
async function copied(): Promise<string> {
  const from = new URL(place());
  const to = new URL(from);
  to.pathname += "_backup";
  await sql.end();
  const [name, copy] = [from.pathname.slice(1), to.pathname.slice(1)];
  await until("nobody is connected to the database", async () => {
    const text = `SELECT pid FROM pg_stat_activity WHERE datname = '${name}'`;
    const connected = await query(database.server.url, text);
    return connected.length === 0 ? null : JSON.stringify(connected);
  });
  await query(database.server.url, `CREATE DATABASE ${copy} TEMPLATE ${name}`);
  sql = connectTo(from.href);
  return to.href;
}

function place(): string {
  return must(env["ORRERY_DATABASE"], "the database's address");
}

/** From now on the database is that one; what the command said that wrote it from the grid. */
async function fromGrid(flags: readonly string[], url: string): Promise<string> {
  await sql.end();
  env = { ...env, ORRERY_DATABASE: url };
  sql = connectTo(url);
  const rows = startOrrery(["rebuild", ...flags, "--from", "grid", "--yes"], { env });
  expect(await rows.ended).toEqual({ code: 0, signal: null });
  return rows.stdout;
}

test("G1: a lost grid goes on from its database: by itself after a clean stop, else when it is told", async () => {
  const memory = ["--store", "memory:", "--rebuild", "after-clean-stop"];
  const [first, firstUrl] = await serving(...memory, "--partitions", "8");
  await trade(firstUrl, join(folder, "one.jsonl"), 1);
  await stop(join(folder, "one.jsonl"), first);
  const stopped = await money();

  // Everything is gone but the database, which says that nothing follows.
  const [second, secondUrl] = await serving(...memory);
  expect(second.stdout).toMatch(/^rebuilt from the database: generation 2 .* in 8 partitions$/m);
  expect(second.stdout).toMatch(/^complete: nothing that was acknowledged is missing$/m);
  const rebuilt = await money();
  expect(rebuilt).toMatchObject({ spent: stopped.spent, held: 0, most: budgetMicros });
  expect(rebuilt.written_off).toBe(stopped.held);
  await trade(secondUrl, join(folder, "two.jsonl"), 2);
  await until("more is spent", async () => {
    return (await money()).spent > stopped.spent ? null : "nothing more";
  });
  await second.killTree();
  const killed = await money();

  // It was not stopped: perhaps it had acknowledged more, and nobody pretends that it had not.
  const third = startOrrery(["unit", ...memory], { env });
  expect(await third.ended).toEqual({ code: 1, signal: null });
  expect(third.stderr).toMatch(/8 of 8 partitions were not stopped in order.*\[GRID_LOST\]\n$/);
  const flags = ["--store", `lmdb:${join(folder, "grid")}`, "--partitions", "5"];
  const asked = startOrrery(["rebuild", ...flags], { env });
  expect(await asked.ended).toEqual({ code: 0, signal: null });
  expect(asked.stdout).toMatch(/8 partitions may have acknowledged more than is written/);
  expect(asked.stdout).toMatch(/\nnothing was changed; stop all units, then add --yes\n$/);
  const backup = await copied();
  const done = startOrrery(["rebuild", ...flags, "--yes"], { env });
  expect(await done.ended).toEqual({ code: 0, signal: null });
  expect(done.stdout).toMatch(/\nrebuilt from the database: generation 3 .* in 5 partitions\n/);
  expect(done.stdout).toMatch(/\nnot vouched for is what was acknowledged under generation 2 /);

  const [fourth, fourthUrl] = await serving("--store", `lmdb:${join(folder, "grid")}`);
  const moved = await money();
  expect(moved).toMatchObject({ spent: killed.spent, held: 0, most: budgetMicros, purses: 5 });
  expect(moved.written_off).toBe(killed.written_off + killed.held);
  const [beside] = await serving("--store", `lmdb:${join(folder, "grid")}`);
  const [another] = await serving("--store", `lmdb:${join(folder, "grid")}`);
  await trade(fourthUrl, join(folder, "three.jsonl"), 3);
  // All at once: whatever they leave to one another, nothing is left in the end (O4).
  await stop(join(folder, "three.jsonl"), fourth, beside, another);
  const last = await money();
  const quiet = startOrrery(["rebuild", ...flags], { env });
  expect(await quiet.ended).toEqual({ code: 0, signal: null });
  expect(quiet.stdout).toMatch(/\nall partitions were stopped in order: complete\n/);
  expect(last.most).toBe(budgetMicros);

  // The other way round: the database went back to where nothing was, and the log is trimmed.
  await sql`DELETE FROM purses`;
  await sql`UPDATE orrery.progress SET seq = 0, epoch = 0, chain = NULL`;
  const rows = startOrrery(["rebuild", ...flags, "--from", "grid", "--yes"], { env });
  expect(await rows.ended).toEqual({ code: 0, signal: null });
  expect(rows.stdout).toMatch(/\nwritten from the grid: \d+ entries of 5 partitions\n/);
  expect(await money()).toEqual(last);
  // Further back than the rebuild; and set aside, for an empty one.
  const older = await fromGrid(flags, backup);
  expect(older).toMatch(/\nthe database went back to generation 2, with 8 partitions: it is /);
  expect(older).toMatch(/\nrows of write-only spaces that came under generation 2 after the /);
  expect(await money()).toEqual(last);
  expect(await fromGrid(flags, await database.fresh())).not.toMatch(/went back/);
  expect(await money()).toEqual(last);
  const [fifth] = await serving("--store", `lmdb:${join(folder, "grid")}`);
  await stop(join(folder, "three.jsonl"), fifth);
  expect(fifth.stdout).toMatch(/\nstopped; all is written\n$/);
}, 600_000);

test("P12: with the database away behind a rebuild nothing is acknowledged, so that no loss is silent", async () => {
  const files = (name: string) => join(folder, name);
  const address = await database.fresh();
  env = { ...env, ORRERY_DATA: files("away"), ORRERY_DATABASE: address };
  await sql.end();
  sql = connectTo(address);
  const [first] = await serving("--store", "memory:", "--partitions", "8");
  first.signal("SIGTERM");
  expect(await first.ended).toEqual({ code: 0, signal: null });
  const store = ["--store", `lmdb:${files("rebuilt")}`];
  const done = startOrrery(["rebuild", ...store, "--yes"], { env });
  expect(await done.ended).toEqual({ code: 0, signal: null });
  expect(done.stdout).toMatch(/\ncomplete: nothing that was acknowledged is missing\n/);

  // To the unit the database is away; it asks for it again and again, behind its claims, too.
  const asked = new EventEmitter();
  const deaf = createServer((socket) => {
    socket.destroy();
    asked.emit("connection");
  });
  await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
  const away = new URL(address);
  away.port = String((deaf.address() as AddressInfo).port);
  const port = String(await freePort());
  env = { ...env, ORRERY_DATABASE: away.href, ORRERY_PORT: port };
  const second = startOrrery(["unit", ...store], { env });
  const url = `http://127.0.0.1:${port}`;
  await until("the unit listens", () => {
    return fetch(`${url}/livez`).then(() => null, String);
  });
  const ledgerPath = files("away.jsonl");
  const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 100 });
  for (let times = 0; times < 12; times++) await once(asked, "connection");
  expect(second.stdout).not.toMatch(/^serving/m);
  await second.killTree();
  await exchange.finish();
  deaf.close();
  const books = await readBooks(ledgerPath);
  expect(books.bid.size).toBe(0);

  // Complete, says the database: and so it is.
  env = { ...env, ORRERY_DATABASE: address, ORRERY_PORT: "0" };
  const [third] = await serving("--store", "memory:", "--rebuild", "after-clean-stop");
  expect(third.stdout).toMatch(/^complete: nothing that was acknowledged is missing$/m);
  expect(await bookProblems(sql, books)).toEqual([]);
  third.signal("SIGTERM");
  expect(await third.ended).toEqual({ code: 0, signal: null });
}, 600_000);
