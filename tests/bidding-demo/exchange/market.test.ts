// Goal: made-up traffic repeats exactly, is valid, and has the shape of real traffic where bidding
// depends on it. Method: the real schema; statistics of fixed seeds against stated tolerances.
import fc from "fast-check";
import { expect, test } from "vitest";
import { microsOfNanos } from "../../../src/bidding-demo/exchange/price.ts";
import { seededMarket, siteOf } from "../../../src/bidding-demo/exchange/market.ts";
import { readBidRequest } from "../../../src/bidding-demo/openrtb.ts";

const sample = 40_000;
const market = seededMarket(11);
const requests = Array.from({ length: sample }, (_, number) => market.request(number));

function share(count: number): number {
  return count / sample;
}

function bodyOf(number: number): ReturnType<typeof readBidRequest> {
  return readBidRequest(JSON.parse(requests[number]?.body ?? ""));
}

const bodies = requests.map((_, number) => bodyOf(number));

test("a request is decided by seed and number alone, in whatever order they are drawn", () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat({ max: 2 ** 31 }), fc.nat(), (seed, number, other) => {
      const first = seededMarket(seed);
      const expected = first.request(number);
      const again = seededMarket(seed);
      again.request(other);
      expect(again.request(number)).toEqual(expected);
      expect(seededMarket(seed + 1).request(number).body).not.toBe(expected.body);
    }),
  );
});

test("each request is a valid one, and says of itself what the exchange knows", () => {
  expect(bodies).not.toContain(null);
  for (const [number, body] of bodies.slice(0, 4000).entries()) {
    const request = requests[number];
    expect(body).toMatchObject({
      id: request?.id,
      tmax: request?.tmaxMs,
      at: 2,
      imp: request?.impressions.map(({ id, floorNanos }) => ({
        id,
        bidfloor: floorNanos / 1_000_000,
      })),
    });
  }
});

test("ids are different, and bodies are as long as live ones", () => {
  expect(new Set(requests.map(({ id }) => id)).size).toBe(sample);
  const bytes = requests.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  expect(share(bytes)).toBeGreaterThan(900);
  expect(share(bytes)).toBeLessThan(1500);
});

test("users: a fifth comes from 2,000 who return, some are unknown, most are seen once", () => {
  const visits = new Map<string, number>();
  let unknown = 0;
  for (const body of bodies) {
    const user = body?.user?.id;
    if (typeof user === "string") visits.set(user, (visits.get(user) ?? 0) + 1);
    else unknown++;
  }
  expect(share(unknown)).toBeCloseTo(0.04, 2);
  const counts = [...visits.values()];
  const heavy = counts.filter((count) => count > 1);
  const visitsOfHeavy = heavy.reduce((sum, count) => sum + count, 0);
  expect(share(visitsOfHeavy)).toBeGreaterThan(0.18);
  expect(share(visitsOfHeavy)).toBeLessThan(0.22);
  expect(counts.filter((count) => count === 1).length / counts.length).toBeGreaterThan(0.9);
});

test("a user keeps country and address between visits", () => {
  const seen = new Map<string, string>();
  for (const body of bodies) {
    const user = body?.user?.id;
    if (typeof user !== "string") continue;
    const device = JSON.stringify(body?.device);
    expect(seen.get(user) ?? device).toBe(device);
    seen.set(user, device);
  }
});

test("sites: few get most visits, and some do not say their domain", () => {
  const visits = new Map<string, number>();
  for (const body of bodies) {
    const domain = body?.site?.domain ?? "";
    visits.set(domain, (visits.get(domain) ?? 0) + 1);
  }
  expect(share(visits.get("") ?? 0)).toBeCloseTo(0.056, 2);
  // Zipf over 2,000: the first has 1/H of the visits, H = 8.178, less those without a domain.
  expect(share(visits.get(siteOf(0).domain) ?? 0)).toBeCloseTo(0.1154, 2);
  expect(visits.size).toBeGreaterThan(1500);
});

/** Share of single auctions that a bid of this CPM would win, and the prices it would pay. */
function winsAt(cpm: number): { rate: number; paid: number[] } {
  const paid: number[] = [];
  for (const { impressions } of requests) {
    const [impression] = impressions;
    if (impression === undefined) continue;
    const { floorNanos, competingNanos } = impression;
    const bid = cpm * 1_000_000;
    if (bid >= floorNanos && bid > competingNanos) {
      paid.push(Math.max(floorNanos, competingNanos));
    }
  }
  return { rate: share(paid.length), paid: paid.toSorted((a, b) => a - b) };
}

test("the more is bid the more is won, and what is paid looks like iPinYou's prices", () => {
  const rates = [0.2, 0.5, 1, 1.5, 2, 3, 5, 50].map((cpm) => winsAt(cpm).rate);
  expect(rates).toEqual(rates.toSorted((a, b) => a - b));
  expect(rates[0]).toBeLessThan(0.1);
  expect(rates.at(-1)).toBe(1);
  const { paid } = winsAt(50);
  const mean = paid.reduce((sum, nanos) => sum + nanos, 0) / paid.length / 1_000_000;
  const quantile = (of: number): number => (paid[Math.floor(of * paid.length)] ?? 0) / 1_000_000;
  // Fen CPM over 50, sample of campaign 1458: p10 17, p50 57, p90 140, p99 273, mean 66.5.
  expect(mean).toBeGreaterThan(1.2);
  expect(mean).toBeLessThan(1.5);
  expect(quantile(0.5)).toBeGreaterThan(0.9);
  expect(quantile(0.5)).toBeLessThan(1.3);
  expect(quantile(0.9)).toBeGreaterThan(2.2);
  expect(quantile(0.9)).toBeLessThan(3.2);
});

test("a third of all prices are floors of few amounts", () => {
  const { paid } = winsAt(50);
  for (const [cpm, expected] of [
    [1.4, 0.127],
    [0.4, 0.088],
    [1, 0.066],
    [1.6, 0.05],
  ] as const) {
    const atoms = paid.filter((nanos) => nanos === cpm * 1_000_000).length;
    expect(Math.abs(share(atoms) - expected)).toBeLessThan(0.01);
  }
});

test("some prices are no whole micros, and of these about half lie on a half", () => {
  const { paid } = winsAt(50);
  const fine = paid.filter((nanos) => nanos % 1000 !== 0);
  expect(share(fine.length)).toBeGreaterThan(0.01);
  expect(share(fine.length)).toBeLessThan(0.04);
  const halves = fine.filter((nanos) => nanos % 1000 === 500);
  expect(halves.length / fine.length).toBeGreaterThan(0.4);
  for (const nanos of halves) expect(microsOfNanos(nanos) * 1000).toBe(nanos + 500);
});

test("the chance of an impression's delay and repeat is the request's own", () => {
  const delays = requests.map(({ renderDelayMs }) => renderDelayMs);
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(40);
  expect(Math.max(...delays)).toBeLessThanOrEqual(2040);
  const twice = requests.filter(({ billsTwice }) => billsTwice).length;
  expect(Math.abs(share(twice) - 0.004)).toBeLessThan(0.002);
});
