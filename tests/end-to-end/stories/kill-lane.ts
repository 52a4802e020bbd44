// Goal: the death of a lane's thread loses nothing that the exchange was told, on either store.
// Method: an exchange at work; SIGUSR2 kills one lane after the other, each in a moment in which
// requests are unanswered; the exchange's ledger is compared with grid and database.
import { join } from "node:path";
import type postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  connectTo,
  startTestDatabase,
  type TestDatabase,
} from "../../support/embedded-database.ts";
import { bookProblems, moneyProblems, readBooks } from "../support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "../support/campaigns.ts";
import { LoadedExchange } from "../support/loaded-exchange.ts";
import { forgottenWins } from "../support/notices.ts";
import type { GridEngine } from "../support/grid-engine.ts";
import { testFolder } from "../support/test-folder.ts";
import { notReady, notWritten, startUnit, type RunningUnit } from "../support/unit-process.ts";
import { until } from "../support/until.ts";

const kills = 10;
const lanes = 2;
const partitions = 8;
const campaigns = [
  campaign("wide", { bidCpm: 2, budget: 10_000 }),
  campaign("narrow", { bidCpm: 3, budget: 1 }),
];

/** Declares the test for an engine. */
export function killLaneStory(engine: GridEngine): void {
  let database: TestDatabase;
  let sql: postgres.Sql;
  beforeAll(async () => {
    database = await startTestDatabase();
  });
  afterAll(async () => {
    await sql.end();
    await database.stop();
  });

  /** Kills the next lane while requests are unanswered; how many of them never were answered. */
  async function killLane(unit: RunningUnit, exchange: LoadedExchange): Promise<number> {
    const before = exchange.lost;
    await exchange.unanswered(3);
    process.kill(unit.process.pid, "SIGUSR2");
    const [, lane = ""] = await unit.process.line(/"lane":(\d+).*"lane died"/);
    // The one that replaces it claims and reads each of its partitions.
    const serves = new RegExp(`"name":"lane-${lane}".*"partition serves"`);
    for (let owned = 0; owned < partitions / lanes; owned++) await unit.process.line(serves);
    return exchange.lost - before;
  }

  test(
    `U1: ${engine.name}: a lane killed at work, ten times: all that the exchange was told is there`,
    { timeout: 600_000 },
    async () => {
      const folder = await testFolder();
      const data = join(folder, "data");
      const ledgerPath = join(folder, "ledger.jsonl");
      const address = await database.fresh();
      sql = connectTo(address);
      const flags = ["--lanes", String(lanes), "--partitions", String(partitions), "--data", data];
      flags.push(...(await engine.flags()));
      flags.push("--database", address, "--port", "0");
      flags.push("--campaigns", campaignsFile(folder, campaigns));

      const unit = await startUnit(...flags);
      const { url } = unit;
      await until("all partitions serve", () => notReady(url));
      const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 300 });
      let counted = 0;
      while (counted < kills) {
        await exchange.caughtUp();
        await exchange.moreBids(50);
        if ((await killLane(unit, exchange)) > 0) counted++;
        const books = await readBooks(ledgerPath);
        expect(await forgottenWins(url, data, books)).toEqual([]);
        expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
      }

      const summary = await exchange.finish();
      expect(summary.notices.givenUp).toBe(0);
      const books = await readBooks(ledgerPath);
      expect(books.billed.size).toBeGreaterThan(0);
      await until("the database has all of the ledger", async () => {
        return (await bookProblems(sql, books))[0] ?? null;
      });
      await until("nothing is left to write", () => notWritten(url));
      expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
      unit.process.signal("SIGTERM");
      expect(await unit.process.ended).toEqual({ code: 0, signal: null });
    },
  );
}
