// Goal: the exchange's counts, its ledger and the bidder's books agree, whatever the bidder does.
// Method: a fake bidder in this process over real sockets; replayed requests where counts must be
// exact (their answers may take long), made-up ones elsewhere. Waits for events only.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { unwrap } from "../../../src/base/failure.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { runExchange } from "../../../src/bidding-demo/exchange/exchange.ts";
import type { Exchange, ExchangeOptions } from "../../../src/bidding-demo/exchange/exchange.ts";
import { readLedger } from "../../../src/bidding-demo/exchange/ledger.ts";
import type { LedgerEvent } from "../../../src/bidding-demo/exchange/ledger.ts";
import type { ExchangeSummary } from "../../../src/bidding-demo/exchange/tally.ts";
import type { Behaviour, Booked } from "./fake-bidder.ts";
import { FakeBidder } from "./fake-bidder.ts";

let folder = "";
let files = 0;
let bidder: FakeBidder;
let log: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orrery-exchange-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  log = [];
  bidder = new FakeBidder();
  await bidder.start();
});
afterEach(() => bidder.kill());

function options(over: Partial<ExchangeOptions> = {}): ExchangeOptions {
  return {
    targets: [bidder.url],
    ratePerSecond: 500,
    seed: 4,
    clock: systemClock,
    timers: systemTimers,
    random: seededRandom(1),
    log: (line) => log.push(line),
    ...over,
  };
}

async function start(over: Partial<ExchangeOptions> = {}): Promise<Exchange> {
  return unwrap(await runExchange(options(over)));
}

function newPath(): string {
  return join(folder, `file-${files++}`);
}

async function requestsFile(behaviours: readonly Behaviour[], over: object = {}): Promise<string> {
  const file = newPath();
  const lines = behaviours.map((behaviour, number) =>
    JSON.stringify({
      id: `r${number}`,
      tmax: 10_000,
      imp: [{ id: "1", banner: {} }],
      ext: { behaviour },
      ...over,
    }),
  );
  await writeFile(file, lines.join("\n"));
  return file;
}

async function eventsOf(path: string): Promise<LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  for await (const one of readLedger(path)) events.push(one);
  return events;
}

function sum(values: Iterable<number | undefined>): number {
  let total = 0;
  for (const value of values) total += value ?? 0;
  return total;
}

/** Ledger, summary and the bidder's books say the same of every bid that was answered in time. */
async function expectAgreement(summary: ExchangeSummary, ledgerPath: string): Promise<void> {
  const events = await eventsOf(ledgerPath);
  const of = (kind: LedgerEvent["event"]): LedgerEvent[] =>
    events.filter(({ event }) => event === kind);
  const known = new Set(of("bid").map(({ bidId }) => bidId));
  const booked = (kind: "wonMicros" | "billedMicros"): Record<string, number | undefined> =>
    Object.fromEntries(
      [...bidder.books].flatMap(([id, book]) =>
        book[kind] === undefined ? [] : [[id, book[kind]]],
      ),
    );
  const ledgered = (kind: LedgerEvent["event"]): Record<string, number> =>
    Object.fromEntries(of(kind).map(({ bidId, priceMicros }) => [bidId, priceMicros]));
  expect(of("given-up")).toEqual([]);
  expect(ledgered("won")).toEqual(booked("wonMicros"));
  expect(ledgered("billed")).toEqual(booked("billedMicros"));
  expect(Object.keys(ledgered("won")).toSorted()).toEqual(
    Object.keys(ledgered("billed")).toSorted(),
  );
  const lost = [...bidder.books].filter(([, { lostReason }]) => lostReason !== undefined);
  expect(
    of("lost")
      .map(({ bidId }) => bidId)
      .toSorted(),
  ).toEqual(lost.map(([id]) => id).toSorted());
  for (const { bidId } of [...of("won"), ...of("lost")]) expect(known).toContain(bidId);
  expect(known.size).toBe(of("won").length + of("lost").length);
  expect(summary.exchange).toEqual({
    wins: of("won").length,
    losses: of("lost").length,
    wonMicros: sum(Object.values(booked("wonMicros"))),
    billedMicros: sum(Object.values(booked("billedMicros"))),
  });
  expect(summary.notices).toMatchObject({
    won: of("won").length,
    billed: of("billed").length,
    lost: of("lost").length,
    givenUp: 0,
    pending: 0,
  });
}

function answered({ answers }: ExchangeSummary): number {
  return sum(Object.values(answers));
}

test("each kind of answer is counted as what it is, and described once where it is wrong", async () => {
  const kinds: Behaviour[] = [
    "bid",
    "none",
    "empty",
    "shed",
    "shed-body",
    "invalid",
    "garbage",
    "broken",
    "die",
  ];
  const behaviours = Array.from({ length: 20 }, () => kinds).flat();
  const ledgerPath = newPath();
  const exchange = await start({ requestsFile: await requestsFile(behaviours), ledgerPath });
  const summary = unwrap(await exchange.finished);
  expect(summary).toMatchObject({
    requests: 180,
    notSent: 0,
    answers: { bid: 20, noBid: 40, shed: 40, invalid: 20, error: 60 },
    errors: { RESPONSE_MALFORMED: 20, HTTP_500: 20, CONNECTION_LOST: 20 },
  });
  expect(log.filter((line) => line.includes("malformed"))).toHaveLength(1);
  expect(log.filter((line) => line.includes("status 500"))).toHaveLength(1);
  await expectAgreement(summary, ledgerPath);
});

test("a bid is won, lost, billed and booked alike on both sides, through all weather", async () => {
  const behaviours = Array.from({ length: 400 }, (): Behaviour => "bid");
  const ledgerPath = newPath();
  const exchange = await start({ requestsFile: await requestsFile(behaviours), ledgerPath });
  const summary = unwrap(await exchange.finished);
  expect(summary.answers.bid).toBe(400);
  await expectAgreement(summary, ledgerPath);
  // A sixth of the competition bids more than two dollars.
  expect(summary.exchange.wins).toBeGreaterThan(250);
  expect(summary.exchange.losses).toBeGreaterThan(20);
  expect(summary.notices.repeats).toBeGreaterThan(100);
  expect(bidder.repeated).toBeGreaterThan(50);
  const bills = [...bidder.books.values()].filter(
    (book: Booked) => book.billedMicros !== undefined,
  );
  for (const { billedMicros, bidMicros } of bills)
    expect(billedMicros).toBeLessThanOrEqual(bidMicros);
});

test("made-up traffic sells the same impressions at the same prices in every run", async () => {
  const prices: Map<string, number>[] = [];
  bidder.weather = false;
  for (let run = 0; run < 2; run++) {
    const ledgerPath = newPath();
    const exchange = await start({ forMs: 1000, ledgerPath });
    const summary = unwrap(await exchange.finished);
    expect(answered(summary)).toBe(summary.requests);
    expect(summary.requests + summary.notSent).toBeGreaterThan(400);
    const won = (await eventsOf(ledgerPath)).filter(({ event }) => event === "won");
    prices.push(
      new Map(
        won.map(({ requestId, impressionId, priceMicros }) => [
          `${requestId} ${impressionId}`,
          priceMicros,
        ]),
      ),
    );
  }
  const [first = new Map<string, number>(), second = new Map<string, number>()] = prices;
  // On a busy machine an answer may miss its tmax in one of the runs: it is sold in the other only.
  const both = [...first.keys()].filter((key) => second.has(key));
  expect(both.length).toBeGreaterThan(0);
  for (const key of both) expect(first.get(key)).toBe(second.get(key));
});

test("a bidder that dies and returns costs errors, not the run, and hears all its notices", async () => {
  const ledgerPath = newPath();
  const exchange = await start({ ledgerPath });
  await bidder.reached(100);
  await bidder.kill();
  while (exchange.progress().answers.error < 20) await tick();
  await bidder.start();
  const requestsBefore = bidder.requests;
  while (bidder.requests < requestsBefore + 100) await tick();
  exchange.stop();
  const summary = unwrap(await exchange.finished);
  expect(answered(summary)).toBe(summary.requests);
  expect(summary.answers.error).toBeGreaterThanOrEqual(20);
  await expectAgreement(summary, ledgerPath);
});

test("test requests are answered and recorded, and nothing is sold on them", async () => {
  const file = await requestsFile(["bid", "bid"], { test: 1 });
  const ledgerPath = newPath();
  const exchange = await start({ requestsFile: file, ledgerPath });
  const summary = unwrap(await exchange.finished);
  expect(summary).toMatchObject({ answers: { bid: 2 }, exchange: { wins: 0, losses: 0 } });
  const events = await eventsOf(ledgerPath);
  expect(events.map(({ event, test: isTest }) => ({ event, isTest }))).toEqual([
    { event: "bid", isTest: true },
    { event: "bid", isTest: true },
  ]);
});

test("stopping sends no more requests and finishes what is under way", async () => {
  const exchange = await start();
  await bidder.reached(50);
  exchange.stop();
  const { requests } = exchange.progress();
  const summary = unwrap(await exchange.finished);
  expect(summary.requests).toBe(requests);
  expect(answered(summary)).toBe(requests);
  expect(summary.notices.won).toBe(summary.exchange.wins);
  expect(summary.notices.billed).toBe(summary.exchange.wins);
  expect(summary.notices.pending).toBe(0);
});

test("a bidder that is not there at the start is named, and so is a place without ledger", async () => {
  const ledgerPath = join(folder, "missing", "ledger");
  expect(await runExchange(options({ ledgerPath }))).toMatchObject({
    failure: { code: "DATA_UNUSABLE" },
  });
  expect(await runExchange(options({ targets: ["nowhere"] }))).toMatchObject({
    failure: { code: "CONFIG_INVALID" },
  });
  await bidder.kill();
  expect(await runExchange(options())).toMatchObject({ failure: { code: "TARGET_UNREACHABLE" } });
});

function tick(): Promise<void> {
  return new Promise((resolve) => {
    systemTimers.endOfTick(resolve);
  });
}
