// Goal: a person sees on the page what the unit says, at any width and in both colour schemes; the
// page says when it is cut off, and comes back by itself. Method: a lane's real server with the
// page on it, made-up statuses, a real browser; what it shows is compared with what was sent.
// Screenshots lie in the temporary folder, under orrery-page.
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { StatusMessage } from "../../src/bidding-demo/page/page-message.ts";
import { advance, type PageState } from "../../src/bidding-demo/page/page-state.ts";
import { chromiumPath, faintTexts, openChromium, openPage } from "../support/chromium.ts";
import { servePage, type PageServer } from "./page-server.ts";
import { Story, storyPartitions } from "./page-story.ts";

const screenshots = path.join(tmpdir(), "orrery-page");
let browser: Browser | undefined;
const servers: PageServer[] = [];

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true });
  if (chromiumPath !== undefined) browser = await openChromium();
});

afterAll(() => browser?.close());

afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

/** A server with two minutes behind it; `tell` lets one more second go by. */
async function running(port = 0) {
  const server = await servePage({ timers: systemTimers, partitions: storyPartitions, port });
  servers.push(server);
  const story = new Story();
  let state: PageState | null = null;
  const tell = (alive = story.lanes.slice()): StatusMessage => {
    const status = story.next(alive);
    server.page.onUnitStatus(status);
    const { elsewhere } = server;
    state = advance(state, status, { lane: 0, partitions: storyPartitions, elsewhere });
    return state.message;
  };
  for (let second = 0; second < 125; second++) tell();
  return { server, story, tell, url: `http://${server.host}/` };
}

function view(url: string, width: number, colorScheme: "light" | "dark" = "light") {
  return openPage(must(browser, "a browser"), url, { width, height: 900, colorScheme });
}

/** Waits until the page shows this status. */
async function shows(page: Page, { timeMs, answers }: StatusMessage): Promise<void> {
  const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(timeMs);
  await page.locator("#time", { hasText: time }).waitFor();
  await page.locator(`#answers-bid[value="${answers.bid}"]`).waitFor();
}

function exact(page: Page, id: string): Promise<string | null> {
  return page.locator(`#${id}`).getAttribute("value");
}

test.skipIf(chromiumPath === undefined)(
  "numbers: what the unit said is what is shown, and nothing goes wrong",
  async () => {
    const { tell, url } = await running();
    const { page, problems } = await view(url, 1280);
    await page.locator('body[data-state="live"]').waitFor();
    const message = tell();
    await shows(page, message);
    const { rates, latencyMs, money, answers, noBids, notices } = message;
    const expected: Record<string, number | undefined> = {
      requests: rates?.requests,
      bids: rates?.bids,
      p50: latencyMs?.p50,
      p99: latencyMs?.p99,
      p999: latencyMs?.p999,
      spent: money.spentMicros,
      budget: money.budgetMicros,
      reserved: money.reservedMicros,
      backlog: message.backlog ?? undefined,
      restarts: 0,
      "answers-noBid": answers.noBid,
      "no-bids-floor": noBids.floor,
      "notices-billed": notices.billed,
    };
    for (const [id, value] of Object.entries(expected)) {
      expect([id, await exact(page, id)]).toEqual([id, String(value)]);
    }
    const dollars = (money.spentMicros / 1_000_000).toFixed(2);
    expect((await page.locator("#spent").textContent())?.replace(/[$,]/g, "")).toBe(dollars);
    expect(await page.title()).toMatch(/^[\d,]+ requests\/s · Orrery bidding demo$/);
    // Names are texts, whatever is in them.
    expect(await page.locator("#campaigns .name").allTextContents()).toEqual(
      message.campaigns.map(({ name }) => name),
    );
    expect(await page.locator("#campaigns .exhausted .name").allTextContents()).toEqual(
      message.campaigns.filter(({ exhausted }) => exhausted).map(({ name }) => name),
    );
    expect(await page.locator("#partitions li").count()).toBe(storyPartitions);
    expect(await page.locator(".chart canvas").count()).toBe(2);
    expect(problems).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined).each([
  ["wide", 1280, "light"],
  ["middle", 900, "light"],
  ["narrow", 400, "light"],
  ["dark", 1280, "dark"],
  ["narrow-dark", 400, "dark"],
] as const)("sight: %s, %i pixels, %s: all fits, and can be read", async (name, width, scheme) => {
  const { tell, url } = await running();
  const { page, problems } = await view(url, width, scheme);
  await page.locator('body[data-state="live"]').waitFor();
  await shows(page, tell());
  await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
  expect(await faintTexts(page)).toEqual([]);
  expect(problems).toEqual([]);
});

test.skipIf(chromiumPath === undefined)(
  "lanes: a dead one and its partitions are shown as such, then under a higher epoch",
  async () => {
    const { story, tell, url } = await running();
    const { page, problems } = await view(url, 1280);
    const [first, second] = story.lanes;
    story.restarts = 1;
    await shows(page, tell([first]));
    expect(await page.locator('#partitions [data-phase="away"]').count()).toBe(16);
    expect(await page.locator('#lanes [data-present="false"]').textContent()).toContain(
      "being replaced",
    );
    await page.locator("#partitions li").nth(1).hover();
    expect(await page.locator("#partition-detail").textContent()).toMatch(
      /^Partition 1: lane 1, waiting for an owner, epoch 1, backlog \d+$/,
    );
    await page.screenshot({ path: path.join(screenshots, "lane-lost.png"), fullPage: true });
    second.replace("the second");
    await shows(page, tell());
    expect(await page.locator('#partitions [data-phase="serving"]').count()).toBe(32);
    // What is shown is kept up to date while somebody looks at it.
    expect(await page.locator("#partition-detail").textContent()).toMatch(
      /^Partition 1: lane 1, serving, epoch 11, backlog \d+$/,
    );
    expect(await exact(page, "restarts")).toBe("1");
    await page.locator("summary").click();
    const row = page.locator("#partition-rows tr").nth(1);
    const cells = await row.locator("th, td").allTextContents();
    expect(cells.slice(0, 4)).toEqual(["1", "lane 1", "serving", "11"]);
    expect(problems).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined).each([1280, 400])(
  "database: what waits and for how long, what was refused, and that changes are (%i pixels)",
  async (width) => {
    const { story, tell, url } = await running();
    const { page, problems } = await view(url, width);
    await shows(page, tell());
    expect(await page.locator("#database-text").textContent()).toBe("Writing");
    expect(await page.locator("#letters-table").isVisible()).toBe(false);
    const [first, second] = story.lanes;
    const where = { partition: 4, change: 0, space: "bids", key: "<i>a user</i>" };
    const reason =
      'new row for relation "bids" violates check constraint "bids_price_micros_check"';
    const newestLetters = [
      { timeMs: 1_767_225_660_000, ...where, position: 12_345, reason: null },
      { timeMs: 1_767_225_650_000, ...where, position: 12_001, reason },
    ];
    const room = { records: 600_000, bytes: 1, msLeft: 720_000 };
    Object.assign(first.trouble, { deadLetters: 2, newestLetters, room, breaker: "open" });
    Object.assign(first.trouble, { problem: "connection refused", oldestUnwrittenMs: 95_000 });
    await shows(page, tell());
    expect(await page.locator("#database-text").textContent()).toMatch(/^Away: left alone/);
    expect(await page.locator("#database-problem").textContent()).toBe("connection refused");
    expect(await page.locator("#oldest").textContent()).toBe("95 s");
    expect(await page.locator("#backlog-age").textContent()).toBe("oldest 95 s");
    expect(await page.locator("#room").textContent()).toBe("12 min");
    expect(await exact(page, "dead-letters")).toBe("2");
    expect(await page.locator("#letters .entry").allTextContents()).toEqual(
      newestLetters.map(({ space, key }) => `${space} / ${key}`),
    );
    expect(await page.locator("#letters .reason").allTextContents()).toEqual([
      "follows an earlier one of its entry",
      reason,
    ]);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    expect(await faintTexts(page)).toEqual([]);
    await page.screenshot({
      path: path.join(screenshots, `database-${width}.png`),
      fullPage: true,
    });
    Object.assign(second.trouble, { alarms: [{ kind: "full", message: "full" }] });
    await shows(page, tell());
    expect(await page.locator("#database-text").textContent()).toMatch(
      /^Full: changes are refused/,
    );
    second.hasDatabase = first.hasDatabase = false;
    await shows(page, tell());
    expect(await page.locator("#database").isVisible()).toBe(false);
    expect(problems).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "units: partitions of another one are shown under its lane's name, and the page says of what it is",
  async () => {
    const { server, story, tell, url } = await running();
    const { page, problems } = await view(url, 1280);
    const [first] = story.lanes;
    const there = Array.from({ length: storyPartitions / 2 }, (_, index) => index * 2 + 1);
    server.elsewhere = there.map((partition) => ({
      partition,
      epoch: 7,
      lane: "lane 0 of b:7070",
    }));
    await shows(page, tell([first]));
    expect(await page.locator('#partitions [data-phase="elsewhere"]').count()).toBe(16);
    expect(await page.locator("#others").textContent()).toMatch(/^16 of 32 partitions are with/);
    await page.locator("#partitions li").nth(1).hover();
    expect(await page.locator("#partition-detail").textContent()).toMatch(
      /^Partition 1: lane 0 of b:7070, another unit, serving, epoch 7$/,
    );
    await page.screenshot({ path: path.join(screenshots, "units.png"), fullPage: true });
    server.elsewhere = [];
    await shows(page, tell());
    expect(await page.locator("#others").isVisible()).toBe(false);
    expect(problems).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "connection: when the unit stops the page says so, and goes on when it is back",
  async () => {
    const { server, tell, url } = await running();
    const { page, problems } = await view(url, 1280);
    await page.locator('body[data-state="live"]').waitFor();
    await shows(page, tell());
    server.page.onStop();
    await page.locator('body[data-state="lost"]').waitFor();
    expect(await page.locator("#connection").textContent()).toContain("Reconnecting");
    expect(await page.title()).toBe("Reconnecting · Orrery bidding demo");
    await page.screenshot({ path: path.join(screenshots, "lost.png") });
    await server.close();
    servers.splice(servers.indexOf(server), 1);
    const again = await running(Number(new URL(url).port));
    await page.locator('body[data-state="live"]').waitFor();
    await shows(page, again.tell());
    // A browser reports each try that failed; nothing else went wrong.
    expect(problems.filter((problem) => !problem.includes("/live"))).toEqual([]);
  },
);
