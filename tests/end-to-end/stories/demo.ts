// Goal: the demo does what it says: it bids, spends budgets to their end and not beyond, and three
// books that are kept apart agree: the grid's, the database's, the exchange's. Ctrl-C stops it, and
// it goes on where it was. Method: three runs over one data folder; in the second one the embedded
// database is killed at work, and a person presses Ctrl-C; before the third all of it is killed.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { readLedger } from "../../../src/bidding-demo/exchange/ledger.ts";
import type { DemoSummary } from "../../../src/cli/demo-summary.ts";
import { startOrrery } from "../../support/processes.ts";
import { bookProblems, connectToEmbedded, moneyProblems, readBooks } from "../support/books.ts";
import { budgetsOf, campaign, campaignsFile } from "../support/campaigns.ts";
import { testFolder } from "../support/test-folder.ts";
import type { GridEngine } from "../support/grid-engine.ts";
import { until } from "../support/until.ts";

/**
 * Few partitions, and a cheap rival: what stays in a purse at its end, which is less than the
 * rival's bid, is then next to nothing of its share. A fifth of the requests spends the budgets.
 */
const partitions = 4;
const narrow = ["narrow-1", "narrow-2", "narrow-3"];
const campaigns = [
  campaign("wide", { bidCpm: 1, budget: 10_000 }),
  ...narrow.map((id, index) => campaign(id, { bidCpm: 3 + index / 10, budget: 0.25 })),
];

/** Declares the tests for an engine: three runs over one data folder. */
export function demoStory(engine: GridEngine): void {
  let folder: string;
  let data: string;
  let summaryPath: string;
  let flags: string[];
  beforeAll(async () => {
    folder = await testFolder();
    data = join(folder, "data");
    summaryPath = join(folder, "summary.json");
    flags = ["demo", "--lanes", "2", "--partitions", String(partitions), "--rate", "300"];
    flags.push("--port", "0", "--data", data, "--json", summaryPath);
    flags.push("--campaigns", campaignsFile(folder, campaigns), ...(await engine.flags()));
  });

  const ledgerPath = () => join(data, "exchange-ledger.jsonl");
  const logText = () => readFileSync(join(data, "orrery.log"), "utf8");

  function readSummary(): DemoSummary {
    return JSON.parse(readFileSync(summaryPath, "utf8")) as DemoSummary;
  }

  /** Waits until the ledger has so many more bids. */
  async function moreBids(count: number): Promise<void> {
    const bids = async () => (await readBooks(ledgerPath())).bid.size;
    const wanted = (await bids()) + count;
    await until(`there are ${String(wanted)} bids`, async () => {
      const found = await bids();
      return found >= wanted ? null : String(found);
    });
  }

  /** Null once each of them bid, and none among the last hundred bids: what is not yet so. */
  async function narrowAreSpent(): Promise<string | null> {
    const bids: string[] = [];
    for await (const { event, campaignId } of readLedger(ledgerPath())) {
      if (event === "bid") bids.push(campaignId);
    }
    const last = narrow.map((id) => bids.lastIndexOf(id));
    const isSpent = last.every((at) => at >= 0 && bids.length - at > 100);
    return isSpent ? null : `${String(bids.length)} bids, theirs the last at ${last.join(", ")}`;
  }

  /** What must be true of every summary. */
  function expectAgreement({ answers, errors, requests, ...summary }: DemoSummary): void {
    const { bid, noBid, invalid, shed, error } = answers;
    expect(bid + noBid + invalid + shed + error).toBe(requests);
    expect(invalid).toBe(0);
    // Late answers are the machine's; any other error would be the bidder's.
    expect({ ...errors, DEADLINE_EXCEEDED: 0 }).toEqual({ DEADLINE_EXCEEDED: 0 });
    const spentMicros = summary.campaigns.reduce((sum, one) => sum + one.spentMicros, 0);
    expect(summary.exchange.billedMicros).toBe(spentMicros);
    expect(summary.database).toMatchObject({ spentMicros, backlog: 0 });
    for (const { id, spentMicros: spent, reservedMicros, budgetMicros } of summary.campaigns) {
      expect(budgetMicros).toBe(budgetsOf(campaigns).get(id));
      expect(spent + reservedMicros).toBeLessThanOrEqual(budgetMicros);
    }
  }

  test(`${engine.name}: a demo of some seconds: nobody overspends, books agree`, async () => {
    const demo = startOrrery([...flags, "--for", "10s"]);
    expect(await demo.ended).toEqual({ code: 0, signal: null });
    expect(demo.stdout).toMatch(/Orrery bids: 2 lanes, 4 partitions/);
    expect(demo.stdout).toMatch(/\nstopped; all is written\n$/);
    expect(demo.stderr).toBe("");
    expect(demo.descendants()).toEqual([]);

    const summary = readSummary();
    expectAgreement(summary);
    const { bid } = await readBooks(ledgerPath());
    expect(summary.database?.bids).toBeGreaterThanOrEqual(bid.size);
  }, 600_000);

  test(`U2: ${engine.name}: the same data, its database killed, Ctrl-C: it goes on, and ends well`, async () => {
    const before = readSummary();
    const demo = startOrrery(flags);
    await demo.line(/stop +Ctrl-C/);
    await moreBids(100);
    const [pid] = readFileSync(join(data, "postgres/cluster/postmaster.pid"), "utf8").split("\n");
    process.kill(Number(pid), "SIGKILL");
    await moreBids(200);
    await until("the database is back", () =>
      Promise.resolve(logText().includes("the embedded database is back") ? null : "away"),
    );
    await until("the narrow budgets are spent, and others go on bidding", narrowAreSpent);
    demo.signal("SIGINT");
    expect(await demo.ended).toEqual({ code: 0, signal: null });
    expect(demo.stdout).toMatch(/\nstopped; all is written\n$/);
    expect(demo.descendants()).toEqual([]);

    const summary = readSummary();
    expectAgreement(summary);
    for (const { id, spentMicros, reservedMicros, budgetMicros } of summary.campaigns) {
      const earlier = before.campaigns.find((one) => one.id === id);
      expect(spentMicros).toBeGreaterThanOrEqual(earlier?.spentMicros ?? 0);
      if (!narrow.includes(id)) continue;
      // What answers that came too late had reserved is held for two minutes.
      expect(spentMicros + reservedMicros).toBeGreaterThanOrEqual(0.5 * budgetMicros);
      expect(spentMicros).toBeGreaterThan(0);
    }
    expect(summary.exchange.billedMicros).toBeGreaterThan(before.exchange.billedMicros);
    const grids = [...logText().matchAll(/"gridId":"(\w+)".*"unit serves"/g)].map(([, id]) => id);
    expect(grids).toEqual([grids[0], grids[0]]);
  }, 600_000);

  test(`${engine.name}: the whole demo killed at work: what its exchange had in its ledger is there`, async () => {
    const killed = startOrrery(flags);
    await killed.line(/stop +Ctrl-C/);
    await moreBids(200);
    await killed.killTree();
    const books = await readBooks(ledgerPath());

    const demo = startOrrery(flags);
    await demo.line(/stop +Ctrl-C/);
    const sql = connectToEmbedded(data);
    await until("the database has what the ledger had at the kill", async () => {
      return (await bookProblems(sql, books))[0] ?? null;
    });
    await moreBids(100);
    expect(await moneyProblems(sql, budgetsOf(campaigns))).toEqual([]);
    await sql.end();
    demo.signal("SIGTERM");
    expect(await demo.ended).toEqual({ code: 0, signal: null });
    // Notices of the killed exchange may have had their effect without coming into its ledger.
    const { campaigns: spent, exchange } = readSummary();
    const spentMicros = spent.reduce((sum, one) => sum + one.spentMicros, 0);
    expect(spentMicros).toBeGreaterThanOrEqual(exchange.billedMicros);
  }, 600_000);
}
