// Bid response: the answer of OpenRTB 2.6 to a request that gets bids.
// Owns: its JSON. Does not own: the bids (bid-command.ts), the markup (creative.ts).
// It is put together as text: all that is the same for each bid of a creative was encoded once.
import { must } from "../base/assert.ts";
import type { Offer } from "./bid-command.ts";
import { currency, seat, sizesOf } from "./bid-filter.ts";
import type { Match } from "./bid-matching.ts";
import type { Campaign } from "./campaign.ts";
import type { Creative } from "./creative.ts";
import { cpmOf } from "./money.ts";
import type { NoticeTokens } from "./notice-token.ts";
import type { Impression } from "./openrtb.ts";

export const noticePath = "/openrtb2/notice";

export interface ResponseParts {
  readonly requestId: string;
  readonly match: Match;
  readonly offers: readonly Offer[];
  readonly campaigns: ReadonlyMap<string, Campaign>;
  readonly tokens: NoticeTokens;
  /** Host and port that notices are sent to. */
  readonly host: string;
}

/** The response as JSON; there is at least one bid. */
export function bidResponse(parts: ResponseParts): string {
  let bids = "";
  for (const offer of parts.offers) bids += (bids === "" ? "" : ",") + bidJson(parts, offer);
  const id = JSON.stringify(parts.requestId);
  return `{"id":${id},"cur":"${currency}","seatbid":[{"seat":"${seat}","bid":[${bids}]}]}`;
}

function bidJson(parts: ResponseParts, offer: Offer): string {
  const [place, campaignId, priceMicros, bidId] = offer;
  const impression = must(parts.match.impressions[place], "a bid has an impression");
  const campaign = must(parts.campaigns.get(campaignId), "a bid has a campaign");
  const token = parts.tokens.sign(bidId);
  const notice = (kind: string) => `http://${parts.host}${noticePath}/${kind}?t=${token}`;
  return (
    `{"id":"${bidId}","impid":${JSON.stringify(impression.id)},` +
    `"price":${cpmOf(priceMicros)},` +
    `"nurl":"${notice("win")}","burl":"${notice("billing")}&p=\${AUCTION_PRICE}",` +
    `"lurl":"${notice("loss")}",${creativeFor(campaign, impression).bidFieldsJson}}`
  );
}

/** The creative in the first of the impression's sizes that the campaign has. */
function creativeFor(campaign: Campaign, impression: Impression): Creative {
  let found: Creative | undefined;
  for (const { width, height } of sizesOf(impression)) {
    found ??= campaign.creatives.find((one) => one.width === width && one.height === height);
  }
  return must(found, "a campaign bids in a size that it has");
}
