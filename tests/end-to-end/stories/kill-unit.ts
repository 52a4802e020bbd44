// Goal: nothing that the exchange was told is ever lost, however often the unit is killed at work.
// Method: an exchange that runs on across ten kill -9 of the unit, each in a moment in which its
// requests are unanswered; its own ledger, fsynced, is compared with the grid (wins, by asking
// again) and with the database. The embedded database is killed with the unit, or left behind.
import { join } from "node:path";
import type postgres from "postgres";
import { afterAll, expect, test } from "vitest";
import { freePort } from "../../support/processes.ts";
import { bookProblems, connectToEmbedded, moneyProblems, readBooks } from "../support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "../support/campaigns.ts";
import { LoadedExchange } from "../support/loaded-exchange.ts";
import type { GridEngine } from "../support/grid-engine.ts";
import { testFolder } from "../support/test-folder.ts";
import { startUnit, notWritten, type RunningUnit } from "../support/unit-process.ts";
import { forgottenWins } from "../support/notices.ts";
import { until } from "../support/until.ts";

const kills = 10;
/** Every request fits `wide`: each unanswered one is on its way to an append, or back from it. */
const campaigns = [
  campaign("wide", { bidCpm: 2, budget: 10_000 }),
  // Spent in the middle of the kills: its purses must hold at their edge, too.
  campaign("narrow", { bidCpm: 3, budget: 1 }),
];
const budgets = budgetsOf(campaigns);

/** Declares the test for an engine. */
export function killUnitStory(engine: GridEngine): void {
  const connections: postgres.Sql[] = [];
  afterAll(async () => {
    for (const sql of connections) await sql.end();
  });

  function connect(data: string): postgres.Sql {
    const sql = connectToEmbedded(data);
    connections.push(sql);
    return sql;
  }

  /** Kills the unit while requests are unanswered; how many of them never were answered. */
  async function killAtWork(
    unit: RunningUnit,
    exchange: LoadedExchange,
    leaveDatabase: boolean,
  ): Promise<number> {
    const before = exchange.lost;
    expect(unit.process.descendants(), "the embedded database").not.toEqual([]);
    await exchange.unanswered(3);
    process.kill(unit.process.pid, "SIGKILL");
    if (!leaveDatabase) await unit.process.killTree();
    await unit.process.ended;
    return exchange.lost - before;
  }

  test(
    `${engine.name}: kill -9 at work, ten times: all that the exchange was told is there`,
    { timeout: 600_000 },
    async () => {
      const folder = await testFolder();
      const data = join(folder, "data");
      const ledgerPath = join(folder, "ledger.jsonl");
      const flags = ["--lanes", "2", "--partitions", "8", "--data", data];
      flags.push("--campaigns", campaignsFile(folder, campaigns), "--log-level", "error");
      flags.push("--port", String(await freePort()), ...(await engine.flags()));

      let unit = await startUnit(...flags);
      const { url } = unit;
      const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 300 });
      let counted = 0;
      for (let round = 0; counted < kills; round++) {
        await exchange.caughtUp();
        await exchange.moreBids(150);
        const lost = await killAtWork(unit, exchange, round % 2 === 1);
        // All answers were on the wire already: such a kill proves nothing, and is made once more.
        if (lost > 0) counted++;
        const books = await readBooks(ledgerPath);
        unit = await startUnit(...flags);
        expect(await forgottenWins(url, data, books)).toEqual([]);
        const sql = connect(data);
        await until("the database has what the ledger had at the kill", async () => {
          return (await bookProblems(sql, books))[0] ?? null;
        });
        expect(await moneyProblems(sql, budgets)).toEqual([]);
      }

      const summary = await exchange.finish();
      expect(summary.notices.givenUp).toBe(0);
      const books = await readBooks(ledgerPath);
      const sql = connect(data);
      await until("the database has all of the ledger", async () => {
        return (await bookProblems(sql, books))[0] ?? null;
      });
      await until("nothing is left to write", () => notWritten(url));
      expect(await moneyProblems(sql, budgets)).toEqual([]);
      expect(books.billed.size).toBe(summary.notices.billed);
      expect(unit.process.signal("SIGTERM")).toBe(true);
      expect(await unit.process.ended).toEqual({ code: 0, signal: null });
    },
  );
}
