// Campaign index: which campaigns fit an impression by size, country, domain and site category.
// Owns: the tree. Does not own: what a request blocks (bid-filter.ts), money (bid-command.ts).
//
// A campaign is filed under every combination of what it is targeted to, and under "any" where it
// is not targeted. So a search looks only at places where all that it finds fits: its cost grows
// with what fits, and not with the number of campaigns.
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

type ByCategory = Map<string, Campaign[]>;
type ByDomain = Map<string, ByCategory>;
type ByCountry = Map<string, ByDomain>;

export class CampaignIndex {
  readonly #bySize = new Map<number, ByCountry>();
  /** For each campaign the last search that found it, so that none is found twice. */
  readonly #foundIn: Float64Array;
  #search = 0;

  constructor(campaigns: readonly Campaign[]) {
    this.#foundIn = new Float64Array(campaigns.length);
    for (const campaign of campaigns) this.#file(campaign);
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
        this.#searchDomains(countries.get(audience.country), audience, found);
      }
      this.#searchDomains(countries.get(any), audience, found);
    }
    return found.sort(byBid);
  }

  #searchDomains(domains: ByDomain | undefined, audience: Audience, found: Campaign[]): void {
    if (domains === undefined) return;
    if (audience.domain !== null) {
      this.#searchCategories(domains.get(audience.domain), audience, found);
    }
    this.#searchCategories(domains.get(any), audience, found);
  }

  #searchCategories(
    categories: ByCategory | undefined,
    audience: Audience,
    found: Campaign[],
  ): void {
    if (categories === undefined) return;
    for (const category of audience.siteCategories) {
      this.#take(categories.get(category), found);
      const parent = parentOf(category);
      if (parent !== category) this.#take(categories.get(parent), found);
    }
    this.#take(categories.get(any), found);
  }

  #take(campaigns: Campaign[] | undefined, found: Campaign[]): void {
    if (campaigns === undefined) return;
    for (const campaign of campaigns) {
      if (this.#foundIn[campaign.index] === this.#search) continue;
      this.#foundIn[campaign.index] = this.#search;
      found.push(campaign);
    }
  }

  #file(campaign: Campaign): void {
    for (const creative of campaign.creatives) {
      const countries = at(
        this.#bySize,
        sizeKey(creative.width, creative.height),
        () => new Map<string, ByDomain>(),
      );
      for (const country of campaign.countries ?? [any]) {
        const domains = at(countries, country, () => new Map<string, ByCategory>());
        for (const domain of campaign.domains ?? [any]) {
          const categories = at(domains, domain, () => new Map<string, Campaign[]>());
          for (const category of campaign.siteCategories ?? [any]) {
            at(categories, category, () => []).push(campaign);
          }
        }
      }
    }
  }
}

function byBid(a: Campaign, b: Campaign): number {
  return b.bidMicros - a.bidMicros || a.index - b.index;
}

function sizeKey(width: number, height: number): number {
  return width * 10_000 + height;
}

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const there = map.get(key);
  if (there !== undefined) return there;
  const made = make();
  map.set(key, made);
  return made;
}
