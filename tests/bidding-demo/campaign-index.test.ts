// Goal: the index finds exactly what fits, the best bids first, at a cost that does not grow with
// campaigns that do not fit. Method: comparison with a plain scan as a property; for the cost, maps
// that count how often they are asked.
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

test("a search finds what a scan of all campaigns finds, once each, in order of bids", () => {
  fc.assert(
    fc.property(declarations, audiences, fc.subarray(sizes), (declared, audience, offered) => {
      const campaigns = declared.map(resolveCampaign);
      const index = new CampaignIndex(campaigns);
      const expected = campaigns
        .filter((one) => fits(one, offered, audience))
        .toSorted((a, b) => b.bidMicros - a.bidMicros);
      expect(index.search(offered.map(size), audience)).toEqual(expected);
      expect(index.search(offered.map(size), audience)).toEqual(expected);
    }),
  );
});

test("the cost of a search does not grow with campaigns that do not fit", () => {
  const fitting = campaign({ id: "fitting", targeting: { domains: ["a.example"] } });
  const steps = (others: number): number => {
    const declared = [fitting];
    for (let other = 0; other < others; other++) {
      const id = `other-${other}`;
      declared.push(campaign({ id, targeting: { domains: [`site-${other}.example`] } }));
    }
    const index = new CampaignIndex(declared.map(resolveCampaign));
    const audience = { country: "USA", domain: "a.example", siteCategories: ["IAB1-2"] };
    const lookups = vi.spyOn(Map.prototype, "get");
    try {
      expect(index.search([size("300x250")], audience)).toHaveLength(1);
      return lookups.mock.calls.length;
    } finally {
      lookups.mockRestore();
    }
  };
  expect(steps(2000)).toBe(steps(0));
});
