// Market: made-up traffic, each request drawn from the seed and its number alone.
// Owns: who visits which site, floors, what everybody else bids. Does not own: names (market-data).
//
// Nothing depends on time or on answers: request 4711 of seed 7 is the same in every run, so a
// rerun meets the same users, floors and competitors, however fast the bidder was.
// Shapes from 65 million iPinYou auctions of 2013: the competing price is lognormal(3.87, 0.87) fen
// CPM, and a third of the prices sit on few amounts, because they are floors that nobody else
// reached. Fifty fen count as a dollar, which gives a mean of 1.4 dollars.
import { seededRandom, type Random } from "../../base/random.ts";
import type { AuctionImpression, AuctionRequest, RequestSource } from "./auction-request.ts";
import type { Weighted } from "./market-data.ts";
import { blocked, categories, countries, devices, sizes } from "./market-data.ts";
import { cpmText } from "./price.ts";

const siteCount = 2000;
const zipfExponent = 1;
/** Most users are seen once, so some must come back on purpose, or caps would never bind. */
const heavyUsers = 2000;
const heavyShare = 0.2;
const population = 20_000_000;
const anonymousShare = 0.04;
const namelessSiteShare = 0.056;
const secondImpressionShare = 0.04;
/** Prices with more decimals than whole micros have, half of them exactly on a half. */
const fineShare = 0.03;
const billsTwiceShare = 0.004;
const tmaxesMs = [200, 250, 300, 500];
const softFloors = [0, 0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3];

const nanosPerFen = 1_000_000 / 50;
const logMean = 3.87;
const logDeviation = 0.87;
/** Fen, and the share of all prices that are exactly this floor. */
const floorAtoms = [
  [70, 0.127],
  [20, 0.088],
  [50, 0.066],
  [80, 0.05],
] as const;

const slotCount = 1024;

/** `slotCount` entries, as many for each value as its weight says: a draw is one look. */
function slots<T>(from: readonly Weighted<T>[]): T[] {
  const sum = from.reduce((total, { weight }) => total + weight, 0);
  const list: T[] = [];
  let upTo = 0;
  for (const { weight, value } of from) {
    upTo += weight;
    while (list.length < Math.round((upTo / sum) * slotCount)) list.push(value);
  }
  return list;
}

function json(value: unknown): string {
  return JSON.stringify(value);
}

const bannerSlots = slots(
  sizes.map(({ weight, value }) => ({
    weight,
    value:
      `"banner":{"format":${json(value)},"w":${value[0]?.w ?? 0},"h":${value[0]?.h ?? 0},` +
      `"btype":[4],"battr":[1,3,8,10],"mimes":["text/html","image/jpeg","image/png"],"topframe":1,`,
  })),
);

const countryDevices = countries.flatMap((country) =>
  devices.map(({ weight, value }) => {
    const { ua, devicetype, make, os, osv, w, h } = value;
    const geo = { country: country.value, type: 2 };
    const device = { ua, geo, dnt: 0, lmt: 0, devicetype, make, os, osv, h, w, js: 1 };
    const open = json({ ...device, language: "en", connectiontype: 2 }).slice(0, -1);
    return { weight: weight * country.weight, value: `"device":${open},"ip":"` };
  }),
);
const deviceSlots = slots(countryDevices);

/** The made-up site of this rank: `news-0.example` is the most visited one. */
export function siteOf(rank: number): { domain: string; category: string } {
  const [category, word] = categories[rank % categories.length] ?? ["IAB12", "news"];
  return { domain: `${word}-${rank}.example`, category };
}

function siteJson(rank: number, named: boolean): string {
  const { domain, category } = siteOf(rank);
  const name = domain.replace(".example", "");
  return json({
    id: `s${rank}`,
    name,
    ...(named ? { domain } : {}),
    cat: [category],
    ...(named ? { page: `https://www.${domain}/articles/today.html` } : {}),
    mobile: 1,
    privacypolicy: 1,
    publisher: { id: `p${rank % 211}`, name: `Publisher ${rank % 211}` },
    content: { language: "en" },
  });
}

const sites = Array.from({ length: siteCount }, (_, rank) => siteJson(rank, true));
const namelessSites = sites.map((_, rank) => siteJson(rank, false));
const siteShares = zipfShares();

/** For each rank the share of visits to it and all before it. */
function zipfShares(): Float64Array {
  const shares = new Float64Array(siteCount);
  let sum = 0;
  for (let rank = 0; rank < siteCount; rank++) {
    sum += 1 / (rank + 1) ** zipfExponent;
    shares[rank] = sum;
  }
  return shares.map((share) => share / sum);
}

function drawSite(random: Random): number {
  const share = random.fraction();
  let low = 0;
  let high = siteCount - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((siteShares[middle] ?? 1) > share) high = middle;
    else low = middle + 1;
  }
  return low;
}

const tail =
  `"at":2,"cur":["USD"],"bcat":${json(blocked.bcat)},"badv":${json(blocked.badv)},` +
  `"regs":{"coppa":0,"gdpr":0}`;

/** One to one on 32 bits, so different numbers stay different. Source: murmur3's finaliser. */
function mix32(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The chance of one request: the same for a seed and number, unrelated to its neighbours. */
export function requestRandom(seed: number, number: number): Random {
  return seededRandom(mix32(number + mix32(seed ^ 0x5bd1e995)));
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** Nobody for a share of requests; else a number below `population`. */
function drawUser(random: Random): number | undefined {
  const share = random.fraction();
  if (share < anonymousShare) return undefined;
  return share < anonymousShare + heavyShare ? random.below(heavyUsers) : random.below(population);
}

function userJson(user: number | undefined): string {
  if (user === undefined) return "";
  const id = hex32(mix32(user)) + hex32(mix32(user ^ 0x2545f491));
  return `"user":{"id":"u${id}","buyeruid":"b${id}"},`;
}

/** Where somebody is and what they use does not change between their visits. */
function deviceJson(who: number): string {
  const ip = `198.${18 + ((who >>> 16) & 1)}.${(who >>> 8) & 255}.${who & 255}`;
  return `${deviceSlots[who >>> 22] ?? ""}${ip}"},`;
}

/** What everybody else bids at most, in nanos. */
export function drawCompetingNanos(random: Random): number {
  // Box and Muller; the second normal number is not needed.
  const radius = Math.sqrt(-2 * Math.log(1 - random.fraction()));
  const normal = radius * Math.cos(2 * Math.PI * random.fraction());
  return roundPrice(Math.exp(logMean + logDeviation * normal) * nanosPerFen, random);
}

/** Most prices are whole micros; some are not, and of these many lie on a half. */
function roundPrice(nanos: number, random: Random): number {
  if (!random.chance(fineShare)) return Math.round(nanos / 1000) * 1000;
  const micros = Math.floor(nanos / 1000) * 1000;
  return micros + (random.chance(0.5) ? 500 : random.below(1000));
}

function drawImpression(id: string, random: Random): AuctionImpression {
  let share = random.fraction();
  for (const [fen, ofAll] of floorAtoms) {
    share -= ofAll;
    if (share >= 0) continue;
    const floorNanos = fen * nanosPerFen;
    // A floor that the others did not reach: who reaches it pays it.
    return { id, floorNanos, competingNanos: drawCompetingNanos(random) % floorNanos };
  }
  const floorNanos = Math.round(random.pick(softFloors) * 1_000_000);
  return { id, floorNanos, competingNanos: drawCompetingNanos(random) };
}

/** From the auction until the page shows the advertisement: mostly a quarter of a second. */
export function drawRenderDelayMs(random: Random): number {
  return 40 + Math.min(2000, -200 * Math.log(1 - random.fraction()));
}

export function drawBillsTwice(random: Random): boolean {
  return random.chance(billsTwiceShare);
}

/** Endless traffic of a seed (32 bits of it count). */
export function seededMarket(seed: number): RequestSource {
  const prefix = hex32(seed >>> 0);
  return { count: Infinity, request: (number) => drawRequest(seed, number, prefix) };
}

function drawRequest(seed: number, number: number, prefix: string): AuctionRequest {
  const random = requestRandom(seed, number);
  const id = `${prefix}-${number.toString(36).padStart(7, "0")}`;
  const user = drawUser(random);
  const who = mix32((user ?? random.uint32()) ^ 0x61c88647);
  const rank = drawSite(random);
  const site = (random.chance(namelessSiteShare) ? namelessSites : sites)[rank] ?? "{}";
  const impressions = [drawImpression("1", random)];
  if (random.chance(secondImpressionShare)) impressions.push(drawImpression("2", random));
  const tmaxMs = random.pick(tmaxesMs);
  let imps = "";
  for (const impression of impressions) {
    imps +=
      `${imps === "" ? "" : ","}{"id":"${impression.id}",${random.pick(bannerSlots)}` +
      `"pos":${random.below(4)},"api":[5,7]},"tagid":"t${rank}-${impression.id}","secure":1,` +
      `"instl":0,"bidfloor":${cpmText(impression.floorNanos)},"bidfloorcur":"USD"}`;
  }
  const body =
    `{"id":"${id}","imp":[${imps}],"site":${site},${deviceJson(who)}${userJson(user)}` +
    `"tmax":${tmaxMs},"source":{"fd":0,"tid":"${id}"},${tail}}`;
  return {
    id,
    body,
    tmaxMs,
    auctionType: 2,
    test: false,
    impressions,
    renderDelayMs: drawRenderDelayMs(random),
    billsTwice: drawBillsTwice(random),
  };
}
