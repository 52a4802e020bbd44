// Goal: matching a request gives what a plain look at all campaigns gives, and no request makes it
// dear. Method: comparison with a scan as a property, over the rules of targeting and of blocking;
// for the cost, maps that count how often they are asked.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { seededRandom } from "../../src/base/random.ts";
import { acceptsCampaign } from "../../src/bidding-demo/bid-filter.ts";
import { matchRequest } from "../../src/bidding-demo/bid-matching.ts";
import { biddingLimits } from "../../src/bidding-demo/bidding-limits.ts";
import { CampaignIndex } from "../../src/bidding-demo/campaign-index.ts";
import { parentOf, resolveCampaign, type Campaign } from "../../src/bidding-demo/campaign.ts";
import { readBidRequest, type BidRequest } from "../../src/bidding-demo/openrtb.ts";
import { bidRequest, campaign, impression } from "./fixtures.ts";

const { creative } = campaign();
const sizes = ["300x250", "728x90"];
const categories = ["IAB1", "IAB1-2", "IAB2"];

const given = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });

const declarations = fc.array(
  fc.record({
    bidCpm: fc.integer({ min: 1, max: 4 }),
    advertiserDomain: fc.constantFrom("shop.example", "casino.example"),
    categories: fc.subarray(["IAB22", "IAB25"], { minLength: 1 }),
    landingPage: fc.constantFrom("https://shop.example/", "http://shop.example/"),
    sizes: fc.subarray(sizes, { minLength: 1 }),
    countries: given(fc.constantFrom(["USA"], ["USA", "DEU"])),
    siteCategories: given(fc.subarray(categories, { minLength: 1 })),
    domains: given(fc.constantFrom(["a.example"], ["a.example", "b.example"])),
  }),
  { maxLength: 12 },
);

const requests = fc.record({
  size: fc.constantFrom(...sizes),
  secure: fc.constantFrom(0, 1),
  country: given(fc.constantFrom("USA", "FRA")),
  domain: given(fc.constantFrom("a.example", "A.example", "c.example")),
  cat: given(fc.subarray([...categories, "IAB2-7"])),
  bcat: given(fc.subarray(["IAB25", "IAB22"])),
  badv: given(fc.subarray(["casino.example"])),
});

function read(changes: Record<string, unknown>): BidRequest {
  return must(readBidRequest(bidRequest(changes)), "the request is valid");
}

function candidates(request: BidRequest, index: CampaignIndex): readonly string[] {
  const match = matchRequest(request, index, seededRandom(1));
  return typeof match === "string" ? [] : (match.input.impressions[0]?.candidates ?? []);
}

/** What the rules say of one campaign, without an index. */
function fits(one: Campaign, request: BidRequest): boolean {
  const { site, device, imp } = request;
  const [offered] = imp;
  const listed = (list: readonly string[] | null, values: readonly (string | undefined)[]) =>
    list === null || values.some((value) => value !== undefined && list.includes(value));
  const sections = site?.cat?.flatMap((id) => [id, parentOf(id)]) ?? [];
  const [format] = offered?.banner?.format ?? [];
  return (
    one.creatives.some(({ width, height }) => width === format?.w && height === format.h) &&
    listed(one.countries, [device?.geo?.country ?? undefined]) &&
    listed(one.domains, [site?.domain?.toLowerCase()]) &&
    listed(one.siteCategories, sections) &&
    acceptsCampaign(request, must(offered, "an impression"), one)
  );
}

test("B6: a request is offered what a look at each campaign finds, those that bid most first", () => {
  fc.assert(
    fc.property(declarations, requests, (declared, asked) => {
      const campaigns = declared.map(({ bidCpm, advertiserDomain, categories, ...rest }, index) => {
        const { landingPage, sizes: offered, ...targets } = rest;
        const named = Object.entries(targets).filter(([, value]) => value !== null);
        const declaration = campaign({
          ...{ id: `c${index}`, bidCpm, advertiserDomain, categories },
          targeting: Object.fromEntries(named),
          creative: { ...creative, landingPage, sizes: offered },
        });
        return resolveCampaign(declaration, index);
      });
      const [w, h] = asked.size.split("x").map(Number);
      const { country, domain, cat, bcat, badv } = asked;
      const request = read({
        imp: [impression({ banner: { format: [{ w, h }] }, secure: asked.secure })],
        site: { domain, cat },
        device: { geo: { country } },
        ...{ bcat, badv },
      });
      const expected = campaigns
        .filter((one) => fits(one, request))
        .toSorted((a, b) => b.bidMicros - a.bidMicros || a.index - b.index);
      const found = candidates(request, new CampaignIndex(campaigns));
      expect(found).toEqual(expected.map(({ id }) => id));
    }),
  );
});

test("no request asks for more combinations than a few sizes and categories have", () => {
  const { sizesMax, siteCategoriesMax } = biddingLimits;
  const index = new CampaignIndex([resolveCampaign(campaign(), 0)]);
  const formats = (count: number) => Array.from({ length: count }, () => ({ w: 300, h: 250 }));
  const cats = (count: number) => Array.from({ length: count }, () => "IAB1-2");
  const lookups = (sizesAsked: number, catsAsked: number): number => {
    const request = read({
      imp: [impression({ banner: { format: formats(sizesAsked) } })],
      site: { domain: "a.example", cat: cats(catsAsked) },
    });
    const asked = vi.spyOn(Map.prototype, "get");
    try {
      candidates(request, index);
      return asked.mock.calls.length;
    } finally {
      asked.mockRestore();
    }
  };
  expect(lookups(1700, 3500)).toBe(lookups(sizesMax, siteCategoriesMax));
});
