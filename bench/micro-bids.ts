// Micro bids: campaigns, requests, and what one bid leaves in the log, for measurements of parts.
// Owns: so many campaigns of which always the same twenty fit each request. Does not own: what is
// done with them (micro-matching.ts, micro-records.ts).
import { assert } from "../src/base/assert.ts";
import { unwrap } from "../src/base/failure.ts";
import { seededRandom } from "../src/base/random.ts";
import { bidCommand } from "../src/bidding-demo/bid-command.ts";
import { resolveCampaign, type Campaign } from "../src/bidding-demo/campaign.ts";
import { allSpaces } from "../src/bidding-demo/spaces.ts";
import type { CommandEntry } from "../src/grid/log-record.ts";
import { runCommand } from "../src/processing-units/command-run.ts";
import { PartitionMemory } from "../src/processing-units/partition-memory.ts";
import { requestBody } from "./bid-bodies.ts";

const timeMs = 1_700_000_000_000;
export const microSeed = 7;

/** Those that fit each request; below the number of candidates that a bid command takes. */
export const fittingCampaigns = 20;

const sizes = ["300x250", "728x90"] as const;
const countries = ["USA", "DEU", "GBR"] as const;
const categories = ["IAB12", "IAB17"] as const;
const domains = ["news", "sports", "weather", "maps"].map((name) => `${name}.example`);

/** Targets that no request has. */
const otherSizes = ["970x250", "336x280"] as const;
const otherCountries = ["JPN", "BRA", "AUS"] as const;
const otherCategories = ["IAB2", "IAB8"] as const;
const otherDomainCount = 20_000;

/**
 * `count` campaigns, in an order of chance. Twenty fit each request. Each of the others is like one
 * of those but for one target, which no request has: its sizes, countries, categories or domains.
 * So nothing but that one target keeps it from being found.
 */
export function microCampaigns(count: number): Campaign[] {
  assert(count >= fittingCampaigns, "those that fit are among them");
  const random = seededRandom(microSeed);
  const order = Array.from({ length: count }, (_, number) => ({ number, at: random.uint32() }));
  order.sort((one, other) => one.at - other.at);
  return order.map(({ number }, index) => campaign(number, index));
}

const misses = ["size", "country", "category", "domain"] as const;

function campaign(number: number, index: number): Campaign {
  const missed = number < fittingCampaigns ? null : misses[number % misses.length];
  // Some of those that fit take any site: a search looks for both.
  const isAnySite = number % 3 === 0 && missed !== "domain";
  const targeting = {
    countries: [...(missed === "country" ? otherCountries : countries)],
    siteCategories: [...(missed === "category" ? otherCategories : categories)],
  };
  const sites = missed === "domain" ? otherDomains(number) : domains;
  const shop = `shop-${String(number % 1000)}.example`;
  const declaration = {
    id: `micro-${String(number)}`,
    name: `Campaign ${String(number)}`,
    advertiserDomain: shop,
    categories: ["IAB22"],
    bidCpm: 2 + (number % fittingCampaigns) / 10,
    budget: 1_000_000_000,
    frequencyCap: { impressions: 50, windowSeconds: 3600 },
    targeting: isAnySite ? targeting : { ...targeting, domains: sites },
    creative: {
      headline: "Things that everybody needs, at prices that nobody minds",
      landingPage: `https://${shop}/things`,
      sizes: [...(missed === "size" ? otherSizes : sizes)],
    },
  };
  return resolveCampaign(declaration, index);
}

function otherDomains(number: number): string[] {
  return domains.map((_, at) => {
    const site = (number * domains.length + at) % otherDomainCount;
    return `site-${String(site)}.example`;
  });
}

/** Ids of the campaigns that fit each request, in the order of what they bid. */
export function fittingIds(campaigns: readonly Campaign[]): string[] {
  const numbers = Array.from(
    { length: fittingCampaigns },
    (_, number) => `micro-${String(number)}`,
  );
  const fitting = campaigns.filter(({ id }) => numbers.includes(id));
  fitting.sort((one, other) => other.bidMicros - one.bidMicros || one.index - other.index);
  return fitting.map(({ id }) => id);
}

/** A request of about 1 kB for one banner, of its own user; unfit: of a country nobody buys. */
export function microRequest(number: number, isFit: boolean): string {
  const pick = (list: readonly string[], by: number) => {
    return list[Math.floor(number / by) % list.length] ?? "";
  };
  const [width = 0, height = 0] = pick(sizes, 1).split("x").map(Number);
  const country = isFit ? pick(countries, 16) : "ESP";
  const [domain, category] = [pick(domains, 2), pick(categories, 8)];
  return requestBody(number, { width, height, domain, category, country });
}

/** What a new user's bid leaves in the log, as the demo's own command makes it. */
export function bidEntry(): CommandEntry {
  const campaigns = microCampaigns(fittingCampaigns);
  const command = bidCommand(new Map(campaigns.map((one) => [one.id, one])), 32);
  const memory = new PartitionMemory(allSpaces);
  const random = seededRandom(microSeed);
  const bid = (number: number): CommandEntry => {
    const user = `55816b39711f9b5acf3b90e313ed29e50000000${String(number)}`;
    const input = {
      route: user,
      user,
      auctionId: `80ce30c5-3c16-46ed-8735-f1230000000${String(number)}`,
      siteDomain: "news.example",
      test: false,
      impressions: [{ id: "1", floorMicros: 350, candidates: fittingIds(campaigns) }],
    };
    const options = { partition: 0, timeMs, memory, random };
    const { changes, answer: reply } = unwrap(runCommand("bid", command, input, options));
    assert(typeof reply !== "string", "it bids");
    memory.apply(changes);
    return { sender: null, number: 0, confirmed: 0, attempt: 0, changes, reply };
  };
  bid(1); // the first one of a partition has more to write
  return bid(2);
}
