// Bid bodies: campaigns and requests for measuring the path of a bid.
// Owns: requests that always get a bid (budgets that do not end, floors below the bids), and the
// same requests for a size that nobody buys. Does not own: sending them.
import type { CampaignDeclaration } from "../src/bidding-demo/campaign.ts";

const sizes = ["300x250", "728x90", "320x50", "160x600"] as const;
const countries = ["USA", "DEU", "GBR"] as const;

/**
 * Sixteen campaigns; some of them fit each request, and the owner chooses among those. `capped`:
 * with a frequency cap far away, which every bid then has to be counted for.
 */
export function benchCampaigns({ capped }: { capped: boolean }): CampaignDeclaration[] {
  return Array.from({ length: 16 }, (_, number) => ({
    id: `bench-${String(number)}`,
    name: `Campaign ${String(number)}`,
    advertiserDomain: `shop-${String(number)}.example`,
    categories: ["IAB22"],
    bidCpm: 2 + number / 10,
    budget: 1_000_000_000,
    ...(capped ? { frequencyCap: { impressions: 50, windowSeconds: 3600 } } : {}),
    targeting: number % 2 === 0 ? { countries: [...countries] } : { siteCategories: ["IAB12"] },
    creative: {
      headline: "Things that everybody needs, at prices that nobody minds",
      landingPage: `https://shop-${String(number)}.example/things`,
      sizes: [sizes[number % sizes.length] ?? sizes[0], sizes[(number + 1) % sizes.length] ?? ""],
    },
  }));
}

export interface Wanted {
  readonly width: number;
  readonly height: number;
  readonly domain: string;
  readonly category: string;
  readonly country: string;
}

/** A request of about 1 kB for one banner, of its own user. */
export function requestBody(number: number, wanted: Wanted): string {
  const { width, height, domain, category, country } = wanted;
  const hex = number.toString(16).padStart(8, "0");
  return JSON.stringify({
    id: `80ce30c5-3c16-46ed-8735-f123${hex}`,
    at: 2,
    cur: ["USD"],
    tmax: 200,
    imp: [
      {
        id: "1",
        tagid: "article-top",
        banner: { format: [{ w: width, h: height }], pos: 1, mimes: ["text/html"], api: [3, 5] },
        bidfloor: 0.35,
        bidfloorcur: "USD",
        secure: 1,
      },
    ],
    site: {
      id: "102855",
      name: "The Example News",
      domain,
      cat: [`${category}-1`],
      page: `https://${domain}/2026/world/article-${hex}?utm_source=feed`,
      publisher: { id: "8953", name: "Example Publishing" },
    },
    device: {
      ua: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
      ip: "192.0.2.7",
      language: "en",
      devicetype: 2,
      geo: { country, city: "Springfield", utcoffset: 60 },
    },
    user: { id: `55816b39711f9b5acf3b90e313ed29e5${hex}` },
    source: { tid: `a2f7c1de-0b6c-4c07-b1a0-94b4${hex}`, schain: { ver: "1.0", complete: 1 } },
    bcat: ["IAB25", "IAB26"],
    badv: ["casino.example"],
  });
}

/** The request of this number; it gets a bid. */
export function bidBody(number: number): string {
  return newsBody(number, sizes[number % sizes.length] ?? sizes[0]);
}

/** The same request for a size that no campaign has: it gets none. */
export function noBidBody(number: number): string {
  return newsBody(number, "970x90");
}

function newsBody(number: number, size: string): string {
  const [width = 0, height = 0] = size.split("x").map(Number);
  const country = countries[number % countries.length] ?? countries[0];
  return requestBody(number, { width, height, domain: "news.example", category: "IAB12", country });
}

/** A response as a unit answers it, around the request's id: what the bare server sends. */
export function bareResponse(requestId: string): string {
  return responseHead + JSON.stringify(requestId) + responseTail;
}

const noticeAddress = "http://127.0.0.1:12345/openrtb2/notice";
const token = "c-3ffs65yrtnqm2b1c-2rk.0123456789012345678901";
const markup =
  '<a href="https://shop-7.example/things" target="_blank" rel="noopener" ' +
  'style="box-sizing:border-box;width:300px;height:250px;padding:8px;background:#14324a;' +
  "color:#fff;font:600 15px/1.25 sans-serif;display:flex;flex-direction:column;" +
  'justify-content:center;overflow:hidden;text-decoration:none">' +
  "<span>Things that everybody needs, at prices that nobody minds</span>" +
  '<small style="font-weight:400;opacity:.8">shop-7.example</small></a>';
const responseHead = '{"id":';
const responseTail = `,${JSON.stringify({
  cur: "USD",
  seatbid: [
    {
      seat: "orrery",
      bid: [
        {
          id: "c-3ffs65yrtnqm2b1c-2rk",
          impid: "1",
          price: 3.5,
          nurl: `${noticeAddress}/win?t=${token}`,
          burl: `${noticeAddress}/billing?t=${token}&p=\${AUCTION_PRICE}`,
          lurl: `${noticeAddress}/loss?t=${token}`,
          adomain: ["shop-7.example"],
          cat: ["IAB22"],
          cid: "bench-7",
          crid: "bench-7-300x250",
          w: 300,
          h: 250,
          mtype: 1,
          exp: 60,
          adm: markup,
        },
      ],
    },
  ],
}).slice(1)}`;
