// Campaigns, applications and requests for tests of the bidding demo.
import type { CampaignDeclaration } from "../../src/bidding-demo/campaign.ts";
import biddingDemo from "../../src/bidding-demo/application.ts";
import type { Application } from "../../src/processing-units/application.ts";

export const noticeKey = "5a".repeat(32);

/** A campaign without targets and cap: 2.50 dollars CPM, one dollar, 300x250. */
export function campaign(changes: Partial<CampaignDeclaration> = {}): CampaignDeclaration {
  return {
    id: "plain",
    name: "Plain campaign",
    advertiserDomain: "shop.example",
    categories: ["IAB22"],
    bidCpm: 2.5,
    budget: 1,
    creative: {
      headline: "Things, cheap",
      landingPage: "https://shop.example/things",
      sizes: ["300x250"],
    },
    ...changes,
  };
}

export function application(
  campaigns: readonly CampaignDeclaration[] = [campaign()],
  partitions = 1,
): Application {
  return biddingDemo({ campaigns, noticeKey, partitions });
}

/** A request of OpenRTB 2.6 for one 300x250 banner in the open auction. */
export function bidRequest(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
    at: 2,
    cur: ["USD"],
    tmax: 120,
    imp: [impression()],
    site: { id: "102855", domain: "news.example", cat: ["IAB12-1"], page: "https://news.example/" },
    device: { ua: "Mozilla/5.0", ip: "192.0.2.7", geo: { country: "USA" } },
    user: { id: "55816b39711f9b5acf3b90e313ed29e51665623f" },
    ...changes,
  };
}

export function impression(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "1",
    banner: { format: [{ w: 300, h: 250 }], pos: 1 },
    bidfloor: 0.5,
    bidfloorcur: "USD",
    secure: 1,
    ...changes,
  };
}
