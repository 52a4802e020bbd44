// Campaigns for tests of whole processes: files as a user would write them.
// Owns: their making. Does not own: the schema (src/bidding-demo/campaign.ts checks them).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CampaignDeclaration } from "../../../src/bidding-demo/campaign.ts";
import { sizes } from "../../../src/bidding-demo/exchange/market-data.ts";

const allSizes = [...new Set(sizes.flatMap(({ value }) => value.map(({ w, h }) => `${w}x${h}`)))];

/** A campaign that fits every request of the made-up market, but for what `special` says. */
export function campaign(
  id: string,
  special: Partial<CampaignDeclaration> & Pick<CampaignDeclaration, "bidCpm" | "budget">,
): CampaignDeclaration {
  return {
    id,
    name: id,
    advertiserDomain: `${id}.example`,
    categories: ["IAB3"],
    creative: { headline: id, landingPage: `https://${id}.example/`, sizes: allSizes },
    ...special,
  };
}

/** Writes a campaigns file into a folder; its path. */
export function campaignsFile(folder: string, campaigns: readonly CampaignDeclaration[]): string {
  const path = join(folder, "campaigns.json");
  writeFileSync(path, JSON.stringify(campaigns, null, 2));
  return path;
}

/** Budgets by campaign, in micros. */
export function budgetsOf(campaigns: readonly CampaignDeclaration[]): Map<string, number> {
  return new Map(campaigns.map(({ id, budget }) => [id, Math.round(budget * 1_000_000)]));
}
