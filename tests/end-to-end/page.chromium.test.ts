// Goal: what the page of a unit at work says is what the exchange's own ledger says. Method: a
// unit, an exchange, a real browser; numbers move under load, and when the last notice is
// acknowledged they are compared; then a lane is killed, and they are still the same. Screenshots
// lie in the temporary folder, under orrery-page.
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { demoCampaignsFile, loadCampaigns } from "../../src/bidding-demo/campaign.ts";
import { unwrap } from "../../src/base/failure.ts";
import { chromiumPath, openChromium, openPage } from "../support/chromium.ts";
import { readBooks, sumOf } from "./support/books.ts";
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
