// Goal: OpenRTB's must-honour list, as far as it is about banners. Method: a table with, for each
// item, a request that must get no bid and the nearest one that must get one.
import { describe, expect, test } from "vitest";
import type { CampaignDeclaration } from "../../src/bidding-demo/campaign.ts";
import { decisionMs, sizesOf, userOf } from "../../src/bidding-demo/bid-filter.ts";
import { readBidRequest } from "../../src/bidding-demo/openrtb.ts";
import { must } from "../../src/base/assert.ts";
import { FakeEdge } from "./fake-edge.ts";
import { bidRequest, campaign, impression } from "./fixtures.ts";

type Changes = Record<string, unknown>;
/** What is tried, the request without a bid, the one with a bid. */
type Row = [string, Changes, Changes];

const imp = (changes: Changes): Changes => ({ imp: [impression(changes)] });
const banner = (changes: Changes): Changes => imp({ banner: { w: 300, h: 250, ...changes } });

async function status(changes: Changes, declared: Partial<CampaignDeclaration> = {}) {
  const edge = new FakeEdge({ campaigns: [campaign(declared)] });
  return (await edge.bid(bidRequest(changes))).statusCode;
}

const rows: Row[] = [
  ["the floor, in micros exactly", imp({ bidfloor: 2.5001 }), imp({ bidfloor: 2.5 })],
  ["no floor", imp({ bidfloor: 2.6 }), imp({ bidfloor: undefined })],
  ["a floor in another currency", imp({ bidfloorcur: "EUR" }), imp({ bidfloorcur: undefined })],
  [
    "another currency of no floor",
    imp({ bidfloorcur: "EUR" }),
    imp({ bidfloor: 0, bidfloorcur: "EUR" }),
  ],
  ["cur", { cur: ["EUR", "GBP"] }, { cur: ["EUR", "USD"] }],
  ["an empty cur allows any", { cur: ["EUR"] }, { cur: [] }],
  ["bcat: the category", { bcat: ["IAB22"] }, { bcat: ["IAB2"] }],
  ["bcat: one below does not block", { bcat: ["IAB22"] }, { bcat: ["IAB22-1"] }],
  ["bcat of another taxonomy", { bcat: ["150"], cattax: 6 }, { bcat: [], cattax: 6 }],
  ["acat", { acat: ["IAB1"] }, { acat: ["IAB1", "IAB22"] }],
  ["badv: the domain", { badv: ["shop.example"] }, { badv: ["workshop.example"] }],
  ["badv: in capitals", { badv: ["Shop.Example"] }, { badv: ["b.shop.example"] }],
  ["w and h", imp({ banner: { w: 300, h: 600 } }), imp({ banner: { w: 300, h: 250 } })],
  [
    "the list of formats, before w and h",
    imp({ banner: { format: [{ w: 1, h: 1 }], w: 300, h: 250 } }),
    imp({
      banner: {
        format: [
          { w: 1, h: 1 },
          { w: 300, h: 250 },
        ],
      },
    }),
  ],
  ["no size at all", imp({ banner: {} }), imp({})],
  ["a size that is none", imp({ banner: { w: 0, h: 250 } }), imp({})],
  ["formats without pixels", imp({ banner: { format: [{ wratio: 6, hratio: 5 }] } }), imp({})],
  ["a side that looks like another size", imp({ banner: { w: 299, h: 10_250 } }), imp({})],
  ["wseat", { wseat: ["other"] }, { wseat: ["other", "orrery"] }],
  ["bseat", { bseat: ["orrery"] }, { bseat: ["other"] }],
  ["at: unknown auctions", { at: 500 }, { at: 1 }],
  ["at: a fixed price is for deals", { at: 3 }, { at: undefined }],
  [
    "a private auction",
    imp({ pmp: { private_auction: 1, deals: [{ id: "d" }] } }),
    imp({ pmp: { private_auction: 0, deals: [{ id: "d" }] } }),
  ],
  ["qty", imp({ qty: { multiplier: 14.2 } }), imp({ qty: { multiplier: 1 } })],
  ["btype", banner({ btype: [4, 2] }), banner({ btype: [1, 3, 4] })],
  ["mimes", banner({ mimes: ["image/png"] }), banner({ mimes: ["image/png", "text/html"] })],
  [
    "only video, audio or native",
    imp({ banner: null, video: { mimes: ["video/mp4"] } }),
    imp({ video: { mimes: ["video/mp4"] } }),
  ],
];

test.each(rows)("%s: no bid, and a bid for the nearest request", async (_name, without, with_) => {
  expect(await status(without)).toBe(204);
  expect(await status(with_)).toBe(200);
});

test("secure=1 takes https only, other requests take both", async () => {
  const creative = { headline: "h", landingPage: "http://shop.example/", sizes: ["300x250"] };
  expect(await status(imp({ secure: 1 }), { creative })).toBe(204);
  expect(await status(imp({ secure: 0 }), { creative })).toBe(200);
  expect(await status(imp({ secure: undefined }), { creative })).toBe(200);
  expect(await status(imp({ secure: 1 }))).toBe(200);
});

test("a category is blocked and allowed with the one above it", async () => {
  const declared = { categories: ["IAB22-3"] };
  expect(await status({ bcat: ["IAB22"] }, declared)).toBe(204);
  expect(await status({ bcat: ["IAB22-4"] }, declared)).toBe(200);
  expect(await status({ acat: ["IAB22"] }, declared)).toBe(200);
  expect(await status({ acat: ["IAB22-4"] }, declared)).toBe(204);
  const two = { categories: ["IAB22-3", "IAB1"] };
  expect(await status({ acat: ["IAB22"] }, two)).toBe(204);
});

test("a domain is blocked with the one above it", async () => {
  const declared = { advertiserDomain: "www.shop.example" };
  expect(await status({ badv: ["shop.example"] }, declared)).toBe(204);
  expect(await status({ badv: ["other.shop.example"] }, declared)).toBe(200);
});

describe("targeting", () => {
  type Targeting = NonNullable<CampaignDeclaration["targeting"]>;
  test.each<[string, Targeting, Changes, Changes]>([
    [
      "countries",
      { countries: ["DEU", "USA"] },
      { device: { geo: { country: "FRA" } } },
      { device: { geo: { country: "USA" } } },
    ],
    ["an unknown country", { countries: ["USA"] }, { device: {} }, {}],
    [
      "the user's country",
      { countries: ["DEU"] },
      {},
      { device: {}, user: { id: "u", geo: { country: "DEU" } } },
    ],
    [
      "domains",
      { domains: ["news.example"] },
      { site: { domain: "b.example" } },
      { site: { domain: "NEWS.example" } },
    ],
    ["an unknown domain", { domains: ["news.example"] }, { site: {} }, {}],
    ["categories of the site", { siteCategories: ["IAB12-1"] }, { site: { cat: ["IAB12"] } }, {}],
    ["categories below", { siteCategories: ["IAB12"] }, { site: { cat: ["IAB1-2"] } }, {}],
    [
      "another taxonomy",
      { siteCategories: ["IAB12"] },
      { site: { cat: ["IAB12"], cattax: 6 } },
      {},
    ],
    [
      "apps",
      { siteCategories: ["IAB9"] },
      { site: null, app: { cat: [] } },
      { site: null, app: { cat: ["IAB9-30"] } },
    ],
  ])("%s", async (_name, targeting, without, with_) => {
    expect(await status(without, { targeting })).toBe(204);
    expect(await status(with_, { targeting })).toBe(200);
  });
});

describe("the user is named, where following is allowed", () => {
  const zeros = "00000000-0000-0000-0000-000000000000";
  test.each<[string, Changes, string | null]>([
    ["by the exchange's id", { user: { id: "u", buyeruid: "b" } }, "u"],
    ["by the synced id", { user: { buyeruid: "b" }, device: { ifa: "i" } }, "b"],
    ["by the device", { user: {}, device: { ifa: "i-1" } }, "i-1"],
    ["not by a device of zeros", { user: {}, device: { ifa: zeros } }, null],
    ["not at all", { user: null, device: null }, null],
    ["not with lmt", { device: { lmt: 1 } }, null],
    ["not with dnt", { device: { dnt: 1 } }, null],
    ["not with coppa", { regs: { coppa: 1 } }, null],
    ["not under the GDPR without consent", { regs: { gdpr: 1 } }, null],
    ["under the GDPR with consent", { regs: { gdpr: 1 }, user: { id: "u", consent: "C" } }, "u"],
  ])("%s", (_name, changes, user) => {
    expect(userOf(must(readBidRequest(bidRequest(changes)), "valid"))).toBe(user);
  });

  test("without a name, capped campaigns do not bid, others do", async () => {
    const frequencyCap = { impressions: 5, windowSeconds: 60 };
    expect(await status({ user: null }, { frequencyCap })).toBe(204);
    expect(await status({}, { frequencyCap })).toBe(200);
    expect(await status({ user: null })).toBe(200);
  });
});

test("the time for a decision leaves the network its part", () => {
  const request = (changes: Changes) => must(readBidRequest(bidRequest(changes)), "valid");
  expect(decisionMs(request({ tmax: 60 }))).toBe(40);
});

test("sizes keep the exchange's order", () => {
  const format = [
    { w: 728, h: 90 },
    { w: 300, h: 250 },
  ];
  const request = must(readBidRequest(bidRequest(imp({ banner: { format } }))), "valid");
  expect(sizesOf(must(request.imp[0], "impression")).map(({ width }) => width)).toEqual([728, 300]);
});
