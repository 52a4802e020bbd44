// Goal: a unit that is asked to stop ends well: exit code 0, everything written, and the next start
// goes on with the same grid. Method: an exchange at work across a SIGINT and a SIGTERM; after each
// the database is read while no unit runs.
import { join } from "node:path";
import type postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  connectTo,
  startTestDatabase,
  type TestDatabase,
} from "../../support/embedded-database.ts";
import { freePort, startOrrery, type TestProcess } from "../../support/processes.ts";
import { bookProblems, moneyProblems, readBooks } from "../support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "../support/campaigns.ts";
import { LoadedExchange } from "../support/loaded-exchange.ts";
import type { GridEngine } from "../support/grid-engine.ts";
import { testFolder } from "../support/test-folder.ts";

const campaigns = [campaign("wide", { bidCpm: 2, budget: 10_000 })];

/** Declares the test for an engine. */
export function stopStory(engine: GridEngine): void {
  let database: TestDatabase;
  let address: string;
  let sql: postgres.Sql;
  beforeAll(async () => {
    database = await startTestDatabase();
    address = await database.fresh();
    sql = connectTo(address);
  });
  afterAll(async () => {
    await sql.end();
    await database.stop();
  });

  async function gridId(): Promise<string | undefined> {
    const [row] = await sql<{ grid: string }[]>`SELECT grid_id AS grid FROM orrery.meta`;
    return row?.grid;
  }

  test(`U2: ${engine.name}: SIGINT, and SIGTERM: all is written, and it goes on where it was`, async () => {
    const folder = await testFolder();
    const ledgerPath = join(folder, "ledger.jsonl");
    // Every setting as a variable: they do the same as the flags.
    const env = {
      ORRERY_DATA: join(folder, "data"),
      ORRERY_DATABASE: address,
      ORRERY_CAMPAIGNS: campaignsFile(folder, campaigns),
      ORRERY_PORT: String(await freePort()),
      ORRERY_LANES: "2",
      ORRERY_PARTITIONS: "8",
      ORRERY_LOG_LEVEL: "error",
    };
    const flags = await engine.flags();
    const start = async (): Promise<[TestProcess, string]> => {
      const unit = startOrrery(["unit", ...flags], { env });
      const [, url = ""] = await unit.line(/^serving (http:\S+)$/);
      return [unit, url];
    };
    const stop = async (unit: TestProcess, signal: NodeJS.Signals) => {
      unit.signal(signal);
      expect(await unit.ended).toEqual({ code: 0, signal: null });
      expect(unit.stdout).toMatch(/\nstopped; all is written\n$/);
      expect(unit.stderr).toBe("");
      expect(unit.descendants()).toEqual([]);
      // No unit runs: what the exchange was told is in the database, or nowhere.
      expect(await bookProblems(sql, await readBooks(ledgerPath))).toEqual([]);
      expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
    };

    const [first, url] = await start();
    const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 300 });
    await exchange.moreBids(300);
    await stop(first, "SIGINT");
    const grid = await gridId();

    const [second] = await start();
    await exchange.moreBids(300);
    const summary = await exchange.finish();
    await stop(second, "SIGTERM");
    expect(await gridId()).toBe(grid);
    expect(summary.notices.givenUp).toBe(0);
    expect((await readBooks(ledgerPath)).billed.size).toBe(summary.notices.billed);
  }, 600_000);
}
