// Bid filter: what of a valid request this bidder may bid on, and with which campaigns.
// Owns: the rules of the request and of each impression. Does not own: targeting
// (campaign-index.ts), frequency and money (bid-command.ts).
//
// A rule that cannot be judged (another taxonomy, another currency) counts as broken: no bid.
import { biddingLimits } from "./bidding-limits.ts";
import { parentOf, type Campaign } from "./campaign.ts";
import { floorMicros } from "./money.ts";
import type { BidRequest, Impression } from "./openrtb.ts";

/** The seat this bidder buys for. */
export const seat = "orrery";
/** The currency of all campaigns, and of each bid. */
export const currency = "USD";

/** First price and second price plus; what other values mean is agreed between two sides. */
const auctionTypes = [1, 2];
/** Content Taxonomy 1.0, whose names begin with IAB: the one that campaigns are described in. */
const ownTaxonomy = 1;
/** XHTML banner: the type of all creatives. */
const bannerType = 2;
const bannerMime = "text/html";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Whether the request as a whole allows bids of this seat, in this currency. */
export function allowsBids(request: BidRequest): boolean {
  const { at, cur, wseat, bseat, cattax, acat, bcat } = request;
  if (!auctionTypes.includes(at ?? 2)) return false;
  if (filled(cur) && !cur.includes(currency)) return false;
  if (filled(wseat) && !wseat.includes(seat)) return false;
  if (bseat?.includes(seat) === true) return false;
  return (cattax ?? ownTaxonomy) === ownTaxonomy || (!filled(acat) && !filled(bcat));
}

/** Whether a banner may be offered for the impression in the open auction. */
export function allowsBanner(impression: Impression): boolean {
  const { banner, pmp, qty, bidfloor, bidfloorcur } = impression;
  if (banner === null || banner === undefined) return false;
  if (pmp?.private_auction === 1) return false;
  // One bid would be shown, and charged, several times.
  if ((qty?.multiplier ?? 1) !== 1) return false;
  if ((bidfloor ?? 0) > 0 && (bidfloorcur ?? currency) !== currency) return false;
  if (banner.btype?.includes(bannerType) === true) return false;
  return !filled(banner.mimes) || banner.mimes.includes(bannerMime);
}

/** Sizes a banner may have, in the exchange's order; none where the request does not say. */
export function sizesOf(impression: Impression): Size[] {
  const { banner } = impression;
  const sizes: Size[] = [];
  if (filled(banner?.format)) {
    for (const { w, h } of banner.format) {
      if (sizes.length === biddingLimits.sizesMax) break;
      addSize(sizes, w, h);
    }
  } else addSize(sizes, banner?.w, banner?.h);
  return sizes;
}

function addSize(sizes: Size[], w: number | null | undefined, h: number | null | undefined): void {
  // No creative has a side of five digits.
  if (w && h && w < 10_000 && h < 10_000) sizes.push({ width: w, height: h });
}

/** Least price of one impression in micros. */
export function floorOf(impression: Impression): number {
  return floorMicros(impression.bidfloor ?? 0);
}

/** Whether the publisher accepts this campaign's advertiser, categories and addresses. */
export function acceptsCampaign(
  request: BidRequest,
  impression: Impression,
  campaign: Campaign,
): boolean {
  const { badv, bcat, acat } = request;
  if (impression.secure === 1 && !campaign.secure) return false;
  if (filled(badv)) {
    for (const domain of badv) {
      if (campaign.advertiserDomains.includes(domain.toLowerCase())) return false;
    }
  }
  if (filled(bcat)) {
    for (const category of bcat) {
      if (campaign.categoriesAndParents.includes(category)) return false;
    }
  }
  if (!filled(acat)) return true;
  return campaign.categories.every((id) => acat.includes(id) || acat.includes(parentOf(id)));
}

/** Milliseconds that a decision may take; 0 or less where there is no time for one. */
export function decisionMs(request: BidRequest): number {
  const tmaxMs = request.tmax ?? biddingLimits.tmaxDefaultMs;
  return Math.min(tmaxMs - biddingLimits.networkAllowanceMs, biddingLimits.bidDeadlineMsMax);
}

/**
 * The name under which a user's impressions are counted, or null: unknown, or not to be followed
 * (limited tracking, a child, the GDPR without consent). Then nothing of the user is kept, and
 * campaigns with a frequency cap do not bid: a cap that cannot be counted is taken as reached.
 */
export function userOf({ device, regs, user }: BidRequest): string | null {
  if (device?.lmt === 1 || device?.dnt === 1 || regs?.coppa === 1) return null;
  if (regs?.gdpr === 1 && !user?.consent) return null;
  return user?.id || user?.buyeruid || realDevice(device?.ifa) || null;
}

// A device that does not tell its id sends zeros.
function realDevice(ifa: string | null | undefined): string | null | undefined {
  return ifa && /[^0-]/.test(ifa) ? ifa : null;
}

function filled<T>(list: readonly T[] | null | undefined): list is readonly T[] {
  return list !== null && list !== undefined && list.length > 0;
}
