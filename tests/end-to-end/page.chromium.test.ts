// Goal: what the page of a unit at work says is what the exchange's own ledger says. Method: a
// unit, an exchange, a real browser; numbers move under load, and when the last notice is
// acknowledged they are compared; then a lane is killed, and they are still the same. What the
// database refuses is on the page until an operator has dealt with it. Screenshots lie in the
// temporary folder, under orrery-page.
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { demoCampaignsFile, loadCampaigns } from "../../src/bidding-demo/campaign.ts";
import { unwrap } from "../../src/base/failure.ts";
import { chromiumPath, openChromium, openPage } from "../support/chromium.ts";
import { runOrrery } from "../cli/run-orrery.ts";
import { bookProblems, connectToEmbedded, readBooks, sumOf } from "./support/books.ts";
import { budgetsOf } from "./support/campaigns.ts";
import { LoadedExchange } from "./support/loaded-exchange.ts";
import { testFolder } from "./support/test-folder.ts";
import { startUnit } from "./support/unit-process.ts";
import { until } from "./support/until.ts";

const screenshots = join(tmpdir(), "orrery-page");
let browser: Browser | undefined;

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true });
  if (chromiumPath !== undefined) browser = await openChromium();
});
afterAll(() => browser?.close());

async function shown(page: Page, id: string): Promise<number> {
  return Number(await page.locator(`#${id}`).getAttribute("value"));
}

async function untilShown(page: Page, id: string, holds: (value: number) => boolean) {
  await until(`the page shows it as ${id}`, async () => {
    const value = await shown(page, id);
    return holds(value) ? null : String(value);
  });
}

/** Within one per cent; an answer that came too late counts on the page, or not at all. */
function expectNear(value: number, counted: number, late: number): void {
  expect(value).toBeGreaterThanOrEqual(counted * 0.99);
  expect(value).toBeLessThanOrEqual((counted + late) * 1.01);
}

test.skipIf(chromiumPath === undefined)(
  "the page's totals are those of the exchange's ledger, also when a lane has died",
  async () => {
    const folder = await testFolder();
    const ledgerPath = join(folder, "ledger.jsonl");
    const unit = await startUnit("--lanes", "2", "--port", "0", "--data", join(folder, "data"));
    const exchange = await LoadedExchange.start({ url: unit.url, ledgerPath, ratePerSecond: 300 });
    const window = { width: 1280, height: 900 };
    const { page, problems } = await openPage(must(browser, "a browser"), unit.url, window);
    await page.locator('body[data-state="live"]').waitFor();
    await exchange.moreBids(1500);
    await untilShown(page, "requests", (requests) => requests > 0);
    await page.screenshot({ path: join(screenshots, "demo-at-work.png"), fullPage: true });

    const summary = await exchange.finish();
    const books = await readBooks(ledgerPath);
    const spentMicros = sumOf(books.billed);
    await untilShown(page, "notices-billed", (billed) => billed === books.billed.size);
    await untilShown(page, "spent", (spent) => spent === spentMicros);
    await untilShown(page, "backlog", (backlog) => backlog === 0);
    const budgets = budgetsOf(unwrap(loadCampaigns(demoCampaignsFile)));
    expect(await shown(page, "budget")).toBe(sumOf(budgets));
    const { bid, error } = summary.answers;
    expectNear(await shown(page, "answers-bid"), bid, error);
    expectNear(await shown(page, "requests-total"), summary.requests - error, error);

    unit.process.signal("SIGUSR2");
    await untilShown(page, "restarts", (restarts) => restarts >= 1);
    await untilShown(page, "spent", (spent) => spent === spentMicros);
    await page.screenshot({ path: join(screenshots, "demo-lane-died.png"), fullPage: true });
    expect(problems).toEqual([]);
  },
  600_000,
);

test.skipIf(chromiumPath === undefined)(
  "D33: dead letters are on the page, with their reasons, until an operator retries or drops them",
  async () => {
    const folder = await testFolder();
    const [data, ledgerPath] = [join(folder, "data"), join(folder, "ledger.jsonl")];
    const unit = await startUnit("--lanes", "2", "--port", "0", "--data", data);
    const sql = connectToEmbedded(data);
    const hash = "abs(hashtext(bid_id)::bigint)";
    await sql.unsafe(`ALTER TABLE bids ADD CONSTRAINT picky CHECK (${hash} % 20 > 0) NOT VALID`);
    const exchange = await LoadedExchange.start({ url: unit.url, ledgerPath, ratePerSecond: 100 });
    const window = { width: 1280, height: 900 };
    const { page, problems } = await openPage(must(browser, "a browser"), unit.url, window);
    await untilShown(page, "dead-letters", (letters) => letters > 0);
    const newest = await page.locator("#letters tr").first().innerText();
    expect(newest).toMatch(/bids \/ .*"picky"/s);
    await page.locator("#database").screenshot({ path: join(screenshots, "dead-letters.png") });

    await exchange.finish();
    await untilShown(page, "backlog", (backlog) => backlog === 0);
    const books = await readBooks(ledgerPath);
    const letters = await sql<{ id: number; key: string }[]>`
      SELECT id::integer, key FROM orrery.dead_letters ORDER BY id`;
    await untilShown(page, "dead-letters", (shownNow) => shownNow === letters.length);
    // Those rows are missing, and no other.
    const missing = async () => {
      const found = await bookProblems(sql, books);
      return [...new Set(found.map((problem) => /^bid ([^ ,]+)/.exec(problem)?.[1]))].toSorted();
    };
    // What came too late for the exchange is in no ledger.
    const known = letters.filter(({ key }) => books.bid.has(key));
    expect(await missing()).toEqual(known.map(({ key }) => key).toSorted());

    const dropped = must(known[0], "a letter");
    const operate = async (...words: string[]) => {
      const ended = await runOrrery(["dead-letters", ...words, "--data", data]);
      expect(ended).toMatchObject({ code: 0, stderr: "" });
      return ended.stdout;
    };
    expect(await operate("drop", String(dropped.id))).toContain(`bids ${dropped.key}`);
    await sql`ALTER TABLE bids DROP CONSTRAINT picky`;
    const retried = (await operate("retry", "--all")).trim().split("\n");
    expect(retried.length).toBe(letters.length - 1);
    await untilShown(page, "dead-letters", (shownNow) => shownNow === 0);
    expect(await page.locator("#letters-table").isVisible()).toBe(false);
    expect(await missing()).toEqual([dropped.key]);
    expect(problems).toEqual([]);
    await sql.end();
  },
  600_000,
);
