// Goal: the index finds exactly what fits, the best bids first, at a cost that does not grow with
// campaigns that do not fit, and stays so while campaigns come and go. Method: comparison with a
// plain scan as a property; for the cost, maps that count how often they are asked.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { CampaignIndex, type Audience } from "../../src/bidding-demo/campaign-index.ts";
import {
  parentOf,
  resolveCampaign,
  type Campaign,
  type CampaignDeclaration,
} from "../../src/bidding-demo/campaign.ts";
import { campaign } from "./fixtures.ts";

const sizes = ["300x250", "728x90", "320x50"];
const countries = ["USA", "DEU"];
const categories = ["IAB1", "IAB1-2", "IAB2"];
const domains = ["a.example", "b.example"];

const some = (values: string[]) =>
  fc.option(fc.subarray(values, { minLength: 1 }), { nil: undefined });

const declarations = fc
  .array(
    fc.record({
      bidCpm: fc.constantFrom(1, 2, 3),
      sizes: fc.subarray(sizes, { minLength: 1 }),
      countries: some(countries),
      siteCategories: some(categories),
      domains: some(domains),
    }),
    { maxLength: 12 },
  )
  .map((list) =>
    list.map(({ bidCpm, sizes: offered, ...targets }, index) => {
      const given = Object.entries(targets).filter(([, value]) => value !== undefined);
      const targeting: NonNullable<CampaignDeclaration["targeting"]> = Object.fromEntries(given);
      const { creative } = campaign();
      const id = `c${index}`;
      return campaign({ id, bidCpm, targeting, creative: { ...creative, sizes: offered } });
    }),
  );

const audiences = fc.record<Audience>({
  country: fc.constantFrom(null, "USA", "FRA"),
  domain: fc.constantFrom(null, "a.example", "c.example"),
  siteCategories: fc.subarray([...categories, "IAB2-7", "IAB3"]),
});

function size(text: string) {
  const [width = 0, height = 0] = text.split("x").map(Number);
  return { width, height };
}

function fits(one: Campaign, offered: string[], audience: Audience): boolean {
  const listed = (list: readonly string[] | null, value: string | null) =>
    list === null || (value !== null && list.includes(value));
  return (
    one.creatives.some(({ width, height }) => offered.includes(`${width}x${height}`)) &&
    listed(one.countries, audience.country) &&
    listed(one.domains, audience.domain) &&
    (one.siteCategories === null ||
      audience.siteCategories.some(
        (id) => listed(one.siteCategories, id) || listed(one.siteCategories, parentOf(id)),
      ))
  );
}

function scan(campaigns: readonly Campaign[], offered: string[], audience: Audience): Campaign[] {
  return campaigns
    .filter((one) => fits(one, offered, audience))
    .toSorted((a, b) => b.bidMicros - a.bidMicros || a.index - b.index);
}

/** How often maps are asked while `work` is done: what a search costs but for what it finds. */
function lookups(work: () => void): number {
  const asked = vi.spyOn(Map.prototype, "get");
  try {
    work();
    return asked.mock.calls.length;
  } finally {
    asked.mockRestore();
  }
}

test("B6: a search finds what a scan of all campaigns finds, once each, in order of bids", () => {
  fc.assert(
    fc.property(declarations, audiences, fc.subarray(sizes), (declared, audience, offered) => {
      const campaigns = declared.map(resolveCampaign);
      const index = new CampaignIndex(campaigns);
      const expected = scan(campaigns, offered, audience);
      expect(index.search(offered.map(size), audience)).toEqual(expected);
      expect(index.search(offered.map(size), audience)).toEqual(expected);
    }),
  );
});

test("B6: the cost of a search does not grow with campaigns that do not fit", () => {
  const audience = { country: "USA", domain: "a.example", siteCategories: ["IAB1-2"] };
  const { creative } = campaign();
  const all = { countries: ["USA"], siteCategories: ["IAB1"], domains: ["a.example"] };
  // All but one target fit: nothing else keeps them from being found.
  const misses: ((other: number) => Partial<CampaignDeclaration>)[] = [
    () => ({ targeting: { ...all, countries: ["DEU"] } }),
    () => ({ targeting: { ...all, siteCategories: ["IAB2"] } }),
    (other) => ({ targeting: { ...all, domains: [`site-${other}.example`] } }),
    () => ({ targeting: all, creative: { ...creative, sizes: ["728x90"] } }),
  ];
  const steps = (others: number): number => {
    const declared = [campaign({ id: "fitting", targeting: all })];
    for (let other = 0; other < others; other++) {
      const missed = misses[other % misses.length]?.(other);
      declared.push(campaign({ id: `other-${other}`, ...missed }));
    }
    const lookedAt = new Set<string>();
    const watched = declared.map(resolveCampaign).map(
      (one) =>
        new Proxy(one, {
          get(target, name) {
            lookedAt.add(target.id);
            return Reflect.get(target, name) as unknown;
          },
        }),
    );
    const index = new CampaignIndex(watched);
    lookedAt.clear();
    const asked = lookups(() => index.search([size("300x250")], audience));
    expect([...lookedAt]).toEqual(["fitting"]);
    return asked;
  };
  expect(steps(4000)).toBe(steps(4));
});
