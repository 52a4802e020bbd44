// Bid matching: from a valid request to what the owner of its user decides on.
// Owns: the input of the bid command. Does not own: the rules (bid-filter.ts, campaign-index.ts).
import { createHash } from "node:crypto";
import type { Random } from "../base/random.ts";
import type { BidInput } from "./bid-command.ts";
import {
  acceptsCampaign,
  allowsBanner,
  allowsBids,
  floorOf,
  sizesOf,
  userOf,
} from "./bid-filter.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { Audience, CampaignIndex } from "./campaign-index.ts";
import type { Campaign } from "./campaign.ts";
import type { BidRequest, Impression } from "./openrtb.ts";

export interface Match {
  readonly input: BidInput;
  /** The request's impressions, in the order of those of the input. */
  readonly impressions: readonly Impression[];
}

/** `policy`: the request allows no bid. `unmatched`: no campaign fits what it allows. */
export type Mismatch = "policy" | "unmatched";

/** What to ask the owner, or why there is nothing to ask. */
export function matchRequest(
  request: BidRequest,
  index: CampaignIndex,
  random: Random,
): Match | Mismatch {
  if (!allowsBids(request)) return "policy";
  const audience = audienceOf(request);
  const impressions: Impression[] = [];
  const wanted: BidInput["impressions"] = [];
  let banners = 0;
  for (const impression of request.imp) {
    if (!allowsBanner(impression)) continue;
    banners += 1;
    if (banners > biddingLimits.impressionsMax) break;
    const fitting = index
      .search(sizesOf(impression), audience)
      .filter((campaign) => acceptsCampaign(request, impression, campaign));
    if (fitting.length === 0) continue;
    const candidates = limitCandidates(fitting, random).map((campaign) => campaign.id);
    wanted.push({ id: asKey(impression.id), floorMicros: floorOf(impression), candidates });
    impressions.push(impression);
  }
  if (banners === 0) return "policy";
  if (impressions.length === 0) return "unmatched";
  const auctionId = asKey(request.id);
  const userName = userOf(request);
  const user = userName === null ? null : asKey(userName);
  const siteDomain = audience.domain === null ? null : asKey(audience.domain);
  const test = request.test === 1;
  const route = user ?? auctionId;
  return { input: { route, user, auctionId, siteDomain, test, impressions: wanted }, impressions };
}

function audienceOf({ site, app, dooh, device, user }: BidRequest): Audience {
  const place = site ?? app ?? dooh;
  const country = device?.geo?.country ?? user?.geo?.country ?? null;
  const domain = place?.domain?.toLowerCase() ?? null;
  // Categories of another taxonomy would be taken for what they are not.
  const comparable = (place?.cattax ?? 1) === 1;
  const siteCategories = (comparable ? place?.cat : null) ?? [];
  if (siteCategories.length <= biddingLimits.siteCategoriesMax) {
    return { country, domain, siteCategories };
  }
  const looked = siteCategories.slice(0, biddingLimits.siteCategoriesMax);
  return { country, domain, siteCategories: looked };
}

// A run at a random place of the ranking, not always its head: else campaigns that have nothing
// left to spend could keep those below them from bidding.
function limitCandidates(fitting: Campaign[], random: Random): Campaign[] {
  const excess = fitting.length - biddingLimits.candidatesMax;
  if (excess <= 0) return fitting;
  const from = random.below(excess + 1);
  return fitting.slice(from, from + biddingLimits.candidatesMax);
}

/**
 * The id, or its hash where the id is no good as a key or in a row: exchanges may choose any text,
 * but a key has a limit, a log has no half characters, and PostgreSQL has no character zero.
 */
function asKey(id: string): string {
  const isFit = id.length <= biddingLimits.keyLengthMax && id.isWellFormed() && !id.includes("\0");
  if (isFit) return id;
  return `#${createHash("sha256").update(id).digest("base64url")}`;
}
