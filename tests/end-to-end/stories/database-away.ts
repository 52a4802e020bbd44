// Goal: a database that is away stops nobody: bidding goes on, the backlog is seen to grow, a unit
// starts without it, and when it is back it gets everything. Method: an exchange at work across a
// PostgreSQL that the test stops, a kill -9 of the unit meanwhile, a start without database, and
// the database's return.
import { join } from "node:path";
import type postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../../../src/base/failure.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from "../../../src/data-pump/embedded-postgres.ts";
import { connectTo } from "../../support/embedded-database.ts";
import { freePort } from "../../support/processes.ts";
import { bookProblems, moneyProblems, readBooks } from "../support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "../support/campaigns.ts";
import { LoadedExchange } from "../support/loaded-exchange.ts";
import { forgottenWins } from "../support/notices.ts";
import type { GridEngine } from "../support/grid-engine.ts";
import { testFolder } from "../support/test-folder.ts";
import { metricOf, notReady, notWritten, startUnit } from "../support/unit-process.ts";
import { until } from "../support/until.ts";

const campaigns = [
  campaign("wide", { bidCpm: 2, budget: 10_000 }),
  campaign("narrow", { bidCpm: 3, budget: 0.2 }),
];

/** Declares the test for an engine. */
export function databaseAwayStory(engine: GridEngine): void {
  let folder: string;
  let database: EmbeddedPostgres;
  let sql: postgres.Sql;

  /** Starts it over the same folder each time: it keeps its address. */
  async function startDatabase(): Promise<void> {
    const options = {
      folder: join(folder, "postgres"),
      timers: systemTimers,
      log: () => undefined,
    };
    database = unwrap(await startEmbeddedPostgres(options));
    sql = connectTo(database.url);
  }

  async function stopDatabase(): Promise<void> {
    await sql.end();
    await database.stop();
  }

  beforeAll(async () => {
    folder = await testFolder();
    await startDatabase();
  });
  afterAll(stopDatabase);

  /** Waits until the unit says that it has more to write than `records`; how much it is. */
  async function backlogAbove(url: string, records: number): Promise<number> {
    let backlog = 0;
    await until(`the backlog is above ${String(records)}`, async () => {
      backlog = (await metricOf(url, "orrery_backlog_records")) ?? 0;
      return backlog > records ? null : String(backlog);
    });
    return backlog;
  }

  test(`${engine.name}: a database away at work, at a start, and back: nothing is lost`, async () => {
    const data = join(folder, "data");
    const ledgerPath = join(folder, "ledger.jsonl");
    const flags = ["--lanes", "2", "--partitions", "8", "--data", data, "--log-level", "error"];
    flags.push("--database", database.url, "--port", String(await freePort()));
    flags.push("--campaigns", campaignsFile(folder, campaigns), ...(await engine.flags()));
    const first = await startUnit(...flags);
    const { url } = first;
    const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 300 });
    await exchange.moreBids(200);

    await stopDatabase();
    const shortly = await backlogAbove(url, 0);
    await exchange.moreBids(200);
    const later = await backlogAbove(url, shortly);
    await until("it is ready without its database", () => notReady(url));
    await until("the alarm says for how long the room lasts", async () => {
      const answer = await (await fetch(`${url}/readyz`)).text();
      const isSaid = /cannot be written .* room for \d+ more .* which lasts about \d+/.test(answer);
      return isSaid ? null : answer;
    });
    expect(await metricOf(url, "orrery_backlog_seconds")).toBeGreaterThan(0);
    expect(await metricOf(url, "orrery_backlog_full")).toBe(0);

    const books = await readBooks(ledgerPath);
    await first.process.killTree();
    const second = await startUnit(...flags);
    expect(await forgottenWins(url, data, books)).toEqual([]);
    await exchange.moreBids(200);
    await backlogAbove(url, later);
    const summary = await exchange.finish();
    expect(summary.notices.givenUp).toBe(0);

    await startDatabase();
    const all = await readBooks(ledgerPath);
    await until("the database has all of the ledger", async () => {
      return (await bookProblems(sql, all))[0] ?? null;
    });
    await until("nothing is left to write", () => notWritten(url));
    expect(await metricOf(url, "orrery_database_away")).toBe(0);
    expect(await metricOf(url, "orrery_dead_letters")).toBe(0);
    expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
    second.process.signal("SIGTERM");
    expect(await second.process.ended).toEqual({ code: 0, signal: null });
  }, 600_000);
}
