// Campaign index: which campaigns fit an impression by size, country, site category and domain.
// Owns: the tree. Does not own: what a request blocks (bid-filter.ts), money (bid-command.ts).
// Invariants (docs/invariants.md):
//   B6. A search finds exactly the campaigns that fit, and its cost does not depend on how many
//       others there are.
//
// A campaign is filed under every combination of what it is targeted to, and under "any" where it
// is not targeted. So a search looks only at places where all that it finds fits. Filed under its
// rarest target alone, a campaign would take less memory, but whoever shares that target and misses
// another would be looked at. Domains come last: nearly all combinations differ in their domain
// alone, and so each takes one place in a map that is there already.
import { assert } from "../base/assert.ts";
import type { Campaign } from "./campaign.ts";
import { parentOf } from "./campaign.ts";
import type { Size } from "./bid-filter.ts";

/** What campaigns are targeted by. Null: unknown, which fits no target. */
export interface Audience {
  readonly country: string | null;
  readonly domain: string | null;
  readonly siteCategories: readonly string[];
}

// No country, domain or category is an empty text.
const any = "";

type ByDomain = Map<string, Campaign[]>;
type ByCategory = Map<string, ByDomain>;
type ByCountry = Map<string, ByCategory>;

export class CampaignIndex {
  readonly #bySize = new Map<number, ByCountry>();
  /** By campaign, the last search that found it: none is found twice. */
  readonly #foundIn: number[] = [];
  #search = 0;

  constructor(campaigns: readonly Campaign[]) {
    for (const campaign of campaigns) this.#add(campaign);
  }

  #add(campaign: Campaign): void {
    assert(this.#foundIn[campaign.index] === undefined, "a campaign is filed once");
    this.#foundIn[campaign.index] = 0;
    const { countries, siteCategories, domains } = campaign;
    for (const { width, height } of campaign.creatives) {
      const byCountry = at(this.#bySize, sizeKey(width, height), newMap<string, ByCategory>);
      for (const country of countries ?? [any]) {
        const byCategory = at(byCountry, country, newMap<string, ByDomain>);
        for (const category of siteCategories ?? [any]) {
          const byDomain = at(byCategory, category, newMap<string, Campaign[]>);
          for (const domain of domains ?? [any]) {
            const filed = byDomain.get(domain);
            // A list that begins empty takes room for seventeen, and most have one.
            if (filed === undefined) byDomain.set(domain, [campaign]);
            else filed.push(campaign);
          }
        }
      }
    }
  }

  /**
   * Campaigns that have a creative in one of the sizes and fit the audience, each once; those
   * that bid most come first.
   */
  search(sizes: readonly Size[], audience: Audience): Campaign[] {
    const found: Campaign[] = [];
    this.#search += 1;
    for (const size of sizes) {
      const countries = this.#bySize.get(sizeKey(size.width, size.height));
      if (countries === undefined) continue;
      if (audience.country !== null) {
        this.#searchCategories(countries.get(audience.country), audience, found);
      }
      this.#searchCategories(countries.get(any), audience, found);
    }
    return found.sort(byBid);
  }

  #searchCategories(
    categories: ByCategory | undefined,
    audience: Audience,
    found: Campaign[],
  ): void {
    if (categories === undefined) return;
    for (const category of audience.siteCategories) {
      this.#searchDomains(categories.get(category), audience, found);
      const parent = parentOf(category);
      if (parent !== category) this.#searchDomains(categories.get(parent), audience, found);
    }
    this.#searchDomains(categories.get(any), audience, found);
  }

  #searchDomains(domains: ByDomain | undefined, { domain }: Audience, found: Campaign[]): void {
    if (domains === undefined) return;
    if (domain !== null) this.#find(domains.get(domain), found);
    this.#find(domains.get(any), found);
  }

  #find(campaigns: readonly Campaign[] | undefined, found: Campaign[]): void {
    if (campaigns === undefined) return;
    for (const campaign of campaigns) {
      if (this.#foundIn[campaign.index] === this.#search) continue;
      this.#foundIn[campaign.index] = this.#search;
      found.push(campaign);
    }
  }
}

function byBid(a: Campaign, b: Campaign): number {
  return b.bidMicros - a.bidMicros || a.index - b.index;
}

function sizeKey(width: number, height: number): number {
  return width * 10_000 + height;
}

function newMap<K, V>(): Map<K, V> {
  return new Map();
}

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const there = map.get(key);
  if (there !== undefined) return there;
  const made = make();
  map.set(key, made);
  return made;
}
