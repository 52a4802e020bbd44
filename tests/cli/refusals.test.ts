// Goal: what stands in a start's way is said in one line with what to do, and nothing is lost by
// it. Method: one grid with bids in it and a database of its own; every obstacle in turn, then a
// right start over the same folder, which finds the same grid and all its rows.
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seededMarket } from "../../src/bidding-demo/exchange/market.ts";
import { connectTo, startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { campaign, campaignsFile } from "../end-to-end/support/campaigns.ts";
import { testFolder } from "../end-to-end/support/test-folder.ts";
import { notReady, startUnit, type RunningUnit } from "../end-to-end/support/unit-process.ts";
import { until } from "../end-to-end/support/until.ts";
import { refusal, runOrrery } from "./run-orrery.ts";

let database: TestDatabase;
let folder: string;
let data: string;
let address: string;
let common: string[];
let gridId: string | undefined;
let bids = 0;

/** Starts rightly, makes more bids, sees all rows of all starts, and stops. */
async function startRightly(work?: (unit: RunningUnit) => Promise<void>) {
  const unit = await startUnit(...common, "--data", data, "--database", address);
  const market = seededMarket(7);
  for (let number = 0; number < 5 || (bids === 0 && number < 500); number++) {
    const { body } = market.request(number);
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${unit.url}/openrtb2/bid`, { method: "POST", headers, body });
    if (answer.status === 200) bids += ((await answer.json()) as Answer).seatbid[0].bid.length;
  }
  await work?.(unit);
  unit.process.signal("SIGTERM");
  expect(await unit.process.ended).toEqual({ code: 0, signal: null });
  expect(bids).toBeGreaterThan(0);
  const sql = connectTo(address);
  const [row] = await sql<{ grid: string; rows: number }[]>`
    SELECT grid_id AS grid, (SELECT count(*)::integer FROM bids) AS rows FROM orrery.meta`;
  await sql.end();
  // A bid whose answer was too late is in the database all the same.
  expect(row?.rows).toBeGreaterThanOrEqual(bids);
  gridId ??= row?.grid;
  expect(row?.grid).toBe(gridId);
}

interface Answer {
  readonly seatbid: readonly [{ readonly bid: readonly unknown[] }];
}

const start = (...args: string[]) => runOrrery(["unit", ...common, ...args]);
const grid = () => join(data, "grid");

beforeAll(async () => {
  database = await startTestDatabase();
  address = await database.fresh();
  folder = await testFolder();
  data = join(folder, "data");
  const campaigns = [campaign("wide", { bidCpm: 9, budget: 1000 })];
  common = ["--lanes", "1", "--port", "0", "--campaigns", campaignsFile(folder, campaigns)];
  common.push("--log-level", "error");
});
afterAll(async () => {
  await database.stop();
});

test("G1: a new grid waits for a database that is away, and is made when it answers", async () => {
  const away = "postgres://orrery:secret@127.0.0.1:1/away";
  const refused = refusal(1, /the store is empty.*start it, or use --database none:/);
  expect(await start("--data", data, "--database", away)).toEqual(refused);
  await startRightly();
});

test("a second unit takes part, unless it writes elsewhere; an address in use is left", async () => {
  await startRightly(async (unit) => {
    const elsewhere = refusal(1, /writes to another database.*give --database the same/);
    expect(await start("--data", data, "--database", "none:")).toEqual(elsewhere);
    const port = ["--port", new URL(unit.url).port, "--data", join(folder, "other")];
    expect(await start(...port)).toEqual(refusal(1, /is in use; .*choose --port/));
    const second = await startUnit(...common, "--data", data, "--database", address);
    await until("all partitions serve", () => notReady(second.url));
    second.process.signal("SIGTERM");
    expect(await second.process.ended).toEqual({ code: 0, signal: null });
    await until("all partitions serve", () => notReady(unit.url));
  });
});

test("a port of somebody else is not waited for", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  const ended = await start("--data", data, "--database", address, "--port", String(port));
  other.close();
  expect(ended).toEqual(refusal(1, /is in use; .*choose --port/));
});

test("a data folder that cannot be one", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "a file where a folder should be");
  const refused = refusal(1, /cannot open the store in .*choose a folder that can be written/);
  expect(await start("--data", file, "--database", "none:")).toEqual(refused);
});

test("another number of partitions than the grid has", async () => {
  const refused = refusal(1, /32 partitions.*leave --partitions out/);
  const ended = await start("--data", data, "--database", address, "--partitions", "16");
  expect(ended).toEqual(refused);
  await startRightly();
});

test("G1: an emptied grid beside a full database is a loss, and told so until it is back", async () => {
  renameSync(grid(), `${grid()}.aside`);
  const lost = refusal(1, /grid's data is gone; bring its folder back .*choose another database/);
  expect(await start("--data", data, "--database", address)).toEqual(lost);
  expect(await start("--data", data, "--database", address)).toEqual(lost);
  rmSync(grid(), { recursive: true });
  renameSync(`${grid()}.aside`, grid());
  await startRightly();
});

test("D8: a database of another grid is not written to", async () => {
  const other = join(folder, "foreign");
  const own = await database.fresh();
  const first = await startUnit(...common, "--data", other, "--database", own);
  first.process.signal("SIGTERM");
  await first.process.ended;
  const foreign = refusal(1, /belongs to another grid.*choose another database, or the store/);
  expect(await start("--data", other, "--database", address)).toEqual(foreign);
  expect(await start("--data", data, "--database", own)).toEqual(foreign);
  await startRightly();
});

test("D8: a database with tables of somebody else is not written to", async () => {
  const own = await database.fresh();
  const sql = connectTo(own);
  await sql`CREATE TABLE bids (bid_id text PRIMARY KEY, price numeric)`;
  const other = join(folder, "misfit");
  const misfit = refusal(1, /table public\.bids.*column/);
  expect(await start("--data", other, "--database", own)).toEqual(misfit);
  await sql`DROP TABLE bids`;
  await sql.end();
  const right = await startUnit(...common, "--data", other, "--database", own);
  right.process.signal("SIGTERM");
  expect(await right.process.ended).toEqual({ code: 0, signal: null });
});

test("wrong user, password or database name", async () => {
  const wrong = new URL(address);
  wrong.password = "wrong";
  const refused = refusal(1, /refuses us.*check user, password and database name/);
  expect(await start("--data", data, "--database", wrong.href)).toEqual(refused);
  const nowhere = new URL(address);
  nowhere.pathname = "/nowhere";
  expect(await start("--data", data, "--database", nowhere.href)).toEqual(refused);
  // What it says goes into logs and onto screens.
  expect((await start("--data", data, "--database", wrong.href)).stderr).not.toContain("wrong");
  await startRightly();
});

test("an exchange without anybody to ask", async () => {
  const args = ["exchange", "--targets", "http://127.0.0.1:1", "--data", join(folder, "ledger")];
  expect(await runOrrery(args)).toEqual(refusal(1, /cannot be reached.*name another target/));
});

test("a summary that could not be written at the end is refused at the start", async () => {
  const run = (command: string) =>
    runOrrery([command, "--json", folder, "--data", join(folder, "summary")]);
  const refused = refusal(1, /EISDIR.*choose a path/);
  expect(await run("demo")).toEqual(refused);
  expect(await run("exchange")).toEqual(refused);
});
