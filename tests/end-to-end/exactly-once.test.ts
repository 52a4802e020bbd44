// Goal: every bid and every settlement of the demo is written exactly once, whoever dies, while the
// log is trimmed. Method: a real PostgreSQL whose triggers note each write of these tables in one
// without a unique key, and keep its sum; kill -9 of the unit and of the server under load. What
// they noted is compared with the exchange's ledger, and the grid's bytes with what was journaled.
import { join } from "node:path";
import type postgres from "postgres";
import { expect, onTestFinished, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { PostgresServer } from "../../src/faults/postgres-server.ts";
import { connectTo } from "../support/embedded-database.ts";
import { freePort } from "../support/processes.ts";
import { bookProblems, moneyProblems, readBooks, sumOf } from "./support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "./support/campaigns.ts";
import { LoadedExchange } from "./support/loaded-exchange.ts";
import { testFolder } from "./support/test-folder.ts";
import { metricOf, notWritten, startUnit } from "./support/unit-process.ts";
import { until } from "./support/until.ts";

/** One: its log is soon long enough to be trimmed. Half of the bids come by the other lane. */
const partitions = 1;
const bidsBeforeFault = 3000;
const campaigns = [campaign("wide", { bidCpm: 2, budget: 10_000 })];

const audit = `
  CREATE SCHEMA audit;
  CREATE TABLE audit.writes (kind text NOT NULL, bid_id text NOT NULL, micros bigint NOT NULL);
  CREATE TABLE audit.sums (kind text PRIMARY KEY, writes bigint NOT NULL, micros bigint NOT NULL);
  INSERT INTO audit.sums VALUES ('bids', 0, 0), ('settlements', 0, 0);
  CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE amount bigint := (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
  BEGIN
    INSERT INTO audit.writes VALUES (TG_TABLE_NAME, NEW.bid_id, amount);
    UPDATE audit.sums SET writes = writes + 1, micros = micros + amount WHERE kind = TG_TABLE_NAME;
    RETURN NULL;
  END $$;
  CREATE TRIGGER note AFTER INSERT OR UPDATE ON bids
    FOR EACH ROW EXECUTE FUNCTION audit.note('price_micros');
  CREATE TRIGGER note AFTER INSERT OR UPDATE ON settlements
    FOR EACH ROW EXECUTE FUNCTION audit.note('paid_micros')`;

/** What triggers noted, beside what the tables hold: in words where they differ. */
async function auditProblems(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql<Record<"kind" | "held" | "noted" | "once" | "sum", string>[]>`
    WITH held AS (
      SELECT 'bids' AS kind, count(*) AS rows, sum(price_micros) AS micros FROM bids
      UNION ALL SELECT 'settlements', count(*), sum(paid_micros) FROM settlements),
    noted AS (
      SELECT kind, count(*) AS rows, count(DISTINCT bid_id) AS once, sum(micros) AS micros
      FROM audit.writes GROUP BY kind)
    SELECT kind, h.rows || ' ' || h.micros AS held, n.rows || ' ' || n.micros AS noted,
           n.once || ' ' || n.micros AS once, s.writes || ' ' || s.micros AS sum
    FROM held h JOIN noted n USING (kind) JOIN audit.sums s USING (kind)`;
  expect(rows.length).toBe(2);
  return rows.flatMap((row) => {
    const { held, noted, once, sum } = row;
    return [noted, once, sum].every((said) => said === held) ? [] : [JSON.stringify(row)];
  });
}

/** kill -9; resolves when the next server answers, with the load going on all the while. */
async function killServer(server: PostgresServer, sql: postgres.Sql): Promise<void> {
  const start = async () =>
    String((await sql`SELECT pg_postmaster_start_time()::text AS at`)[0]?.["at"]);
  const before = await start();
  server.kill();
  await until("the server is back", async () => {
    try {
      return (await start()) === before ? "the one that was killed still answers" : null;
    } catch (error) {
      return String(error); // it is gone, or recovers
    }
  });
}

/** A log is trimmed from some bytes on, grows until that is done, and has its checkpoint beside. */
const boundBytes = partitions * 3 * limits.checkpointLogBytesMin;

/** Null once the logs take less than that: what they take. */
async function notTrimmed(url: string): Promise<string | null> {
  const bytes = (await metricOf(url, "orrery_grid_bytes")) ?? 0;
  return bytes < boundBytes ? null : `${String(bytes)} bytes`;
}

test(
  "D1: the demo's bids and settlements are written exactly once, and the log is trimmed behind them",
  { timeout: 600_000 },
  async () => {
    const folder = await testFolder();
    const server = await PostgresServer.start(folder);
    onTestFinished(() => server.close());
    const sql = connectTo(server.url);
    onTestFinished(() => sql.end());
    const ledgerPath = join(folder, "ledger.jsonl");
    const flags = ["--lanes", "2", "--partitions", String(partitions), "--log-level", "error"];
    flags.push("--data", join(folder, "data"), "--database", server.url);
    flags.push("--campaigns", campaignsFile(folder, campaigns));
    flags.push("--port", String(await freePort()));

    let unit = await startUnit(...flags);
    const { url } = unit;
    await sql.unsafe(audit);
    const exchange = await LoadedExchange.start({ url, ledgerPath, ratePerSecond: 600 });
    let journaledBytes = 0;
    for (const fault of ["unit", "server", "unit", "server"] as const) {
      await exchange.caughtUp();
      await until("the logs are trimmed", () => notTrimmed(url));
      await exchange.moreBids(bidsBeforeFault);
      if (fault === "server") await killServer(server, sql);
      else {
        journaledBytes += (await metricOf(url, "orrery_log_bytes")) ?? 0;
        await exchange.unanswered(3);
        unit.process.signal("SIGKILL");
        await unit.process.ended;
        unit = await startUnit(...flags);
      }
    }
    await exchange.finish();
    const books = await readBooks(ledgerPath);
    await until("the database has all of the ledger", async () => {
      return (await bookProblems(sql, books))[0] ?? null;
    });
    await until("nothing is left to write", () => notWritten(url));
    await until("the logs are trimmed", () => notTrimmed(url));
    journaledBytes += (await metricOf(url, "orrery_log_bytes")) ?? 0;

    expect(await bookProblems(sql, books)).toEqual([]);
    expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
    expect(await auditProblems(sql)).toEqual([]);
    const [paid] = await sql`SELECT micros::text FROM audit.sums WHERE kind = 'settlements'`;
    expect(Number(paid?.["micros"])).toBe(sumOf(books.billed));
    expect(journaledBytes).toBeGreaterThan(boundBytes);
    unit.process.signal("SIGTERM");
    expect(await unit.process.ended).toEqual({ code: 0, signal: null });
  },
);
