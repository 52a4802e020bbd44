// Goal: on members, too, what stands in a start's way is said in one line; a second unit joins the
// first at work, takes its share, and has it all when the first has gone; members that lost
// everything are not taken for new ones. Method: real members, one grid with bids in it; every
// obstacle in turn; then a second unit beside a first one at work.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { campaign, campaignsFile } from "../end-to-end/support/campaigns.ts";
import { LoadedExchange } from "../end-to-end/support/loaded-exchange.ts";
import { readBooks } from "../end-to-end/support/books.ts";
import { forgottenWins } from "../end-to-end/support/notices.ts";
import { testFolder } from "../end-to-end/support/test-folder.ts";
import { metricOf, notReady, startUnit } from "../end-to-end/support/unit-process.ts";
import { until } from "../end-to-end/support/until.ts";
import { refusal, runOrrery } from "./run-orrery.ts";

const timeout = 600_000;
let database: TestDatabase;
let folder: string;
let common: string[];

beforeAll(async () => {
  database = await startTestDatabase();
  folder = await testFolder();
  const campaigns = [campaign("wide", { bidCpm: 9, budget: 1000 })];
  common = ["--lanes", "2", "--port", "0", "--campaigns", campaignsFile(folder, campaigns)];
});
afterAll(() => database.stop());

const data = (name: string) => ["--data", join(folder, name)];

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("units on members"), () => {
  test(
    "what is in a start's way is said in one line, and the grid stays",
    { timeout },
    async () => {
      const members = await startMembers();
      const address = await database.fresh();
      const store = ["--store", members.url];
      const first = await startUnit(...common, ...store, ...data("a"), "--database", address);
      first.process.signal("SIGTERM");
      expect(await first.process.ended).toEqual({ code: 0, signal: null });

      const start = (...args: string[]) => runOrrery(["unit", ...common, ...data("a"), ...args]);
      const partitions = await start(...store, "--database", address, "--partitions", "8");
      expect(partitions).toEqual(
        refusal(1, /the data has 32 partitions, not 8; leave --partitions/),
      );
      const foreign = await database.fresh();
      const other = await startMembers();
      const elsewhere = await startUnit(
        ...common,
        ...data("b"),
        ...["--store", other.url, "--database", foreign],
      );
      elsewhere.process.signal("SIGTERM");
      expect(await elsewhere.process.ended).toEqual({ code: 0, signal: null });
      const second = await start(...store, "--database", foreign);
      expect(second).toEqual(
        refusal(1, /the database belongs to another grid .*or the store that belongs to it/),
      );

      await Promise.all(other.members.map((member) => member.kill()));
      const away = await start("--store", other.url, "--database", foreign);
      expect(away).toEqual(
        refusal(1, /no Hazelcast member at .* can be used: .*STORE_UNREACHABLE/),
      );
      await other.member(1).start();
      await other.whole();
      const alone = await start("--store", other.url, "--database", foreign);
      expect(alone).toEqual(refusal(1, /only 1 of at least 2 members .*; start more/));
      await Promise.all(other.members.map((member) => member.start()));
      await other.whole();
      const wiped = await start("--store", other.url, "--database", foreign);
      expect(wiped).toEqual(refusal(1, /the store is empty, but the database holds rows of grid/));
      const name = await start("--store", `${members.url}-not`, "--database", address);
      expect(name).toEqual(refusal(1, /cluster name .* does not match/));

      const again = await startUnit(...common, ...store, ...data("a"), "--database", address);
      again.process.signal("SIGTERM");
      expect(await again.process.ended).toEqual({ code: 0, signal: null });
    },
  );

  test("U2: a second unit joins the first and takes its share", { timeout }, async () => {
    const members = await startMembers();
    const address = await database.fresh();
    const flags = [...common, "--store", members.url, "--database", address];
    const first = await startUnit(...flags, ...data("first"));
    const ledgerPath = join(folder, "ledger.jsonl");
    const exchange = await LoadedExchange.start({
      url: first.url,
      ledgerPath,
      ratePerSecond: 100,
    });
    await exchange.moreBids(100);

    const second = await startUnit(...flags, ...data("second"));
    for (const { url } of [first, second]) {
      await until("it has its half", async () => {
        const serving = await metricOf(url, "orrery_partitions_serving");
        return serving === 16 ? null : `it has ${String(serving)}`;
      });
    }
    await exchange.moreBids(100);
    expect(first.process.hasEnded).toBe(false);
    expect(exchange.lost).toBe(0);
    first.process.signal("SIGTERM");
    expect(await first.process.ended).toEqual({ code: 0, signal: null });
    // Its notices cannot reach it any more: the books are compared as they were at its end.
    void exchange.finish();
    await until("the second has everything", () => notReady(second.url));
    const books = await readBooks(ledgerPath);
    expect(books.won.size).toBeGreaterThan(0);
    expect(await forgottenWins(second.url, join(folder, "second"), books)).toEqual([]);
    second.process.signal("SIGTERM");
    expect(await second.process.ended).toEqual({ code: 0, signal: null });
  });
});
