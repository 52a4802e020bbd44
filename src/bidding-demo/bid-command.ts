// Bid command: decides frequency and money together, in the partition of the user.
// Owns: the choice among candidates and the bid's row. Does not own: which campaigns fit a request
// (campaign-index.ts, bid-filter.ts), the response (bid-response.ts).
import { Type, type Static } from "typebox";
import { command, type Command, type Transaction } from "../processing-units/application.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { Campaign } from "./campaign.ts";
import { capReached, retireImpressions, viewerOf } from "./frequency.ts";
import { idleMicros, purseOf } from "./purse.ts";
import { bidIdOf, expireBids, nameBid, reserveBid } from "./reservations.ts";
import { bids, type Purse } from "./spaces.ts";

const text = Type.Union([Type.String(), Type.Null()]);

const bidInput = Type.Object({
  /** Decides the partition: the user where there is one, else the request. */
  route: Type.String(),
  user: text,
  auctionId: Type.String(),
  siteDomain: text,
  /** Bids, but holds no money and counts nowhere. */
  test: Type.Boolean(),
  impressions: Type.Array(
    Type.Object({
      id: Type.String(),
      floorMicros: Type.Number(),
      /** Ids of campaigns that fit; those that bid most come first. */
      candidates: Type.Array(Type.String()),
    }),
    { maxItems: biddingLimits.impressionsMax },
  ),
});

export type BidInput = Static<typeof bidInput>;
type Wanted = BidInput["impressions"][number];

/** Why the best candidate did not bid. */
export type BidRefusal = "frequency" | "budget" | "floor";

/** A bid; the impression is given by its place in the input. A tuple: it goes into the log. */
export type Offer = readonly [
  impression: number,
  campaignId: string,
  priceMicros: number,
  bidId: string,
];

/** Bids, at least one, or why there is none. */
export type BidReply = readonly Offer[] | BidRefusal;

interface Choice {
  readonly campaign: Campaign;
  readonly purse: Purse;
  readonly priceMicros: number;
}

/** The command `bid`; its reply is a BidReply. */
export function bidCommand(campaigns: ReadonlyMap<string, Campaign>, partitions: number): Command {
  return command({
    input: bidInput,
    internal: true,
    routeBy: (input) => input.route,
    handle(tx, input): BidReply {
      const steps = biddingLimits.advanceSteps + 2 * input.impressions.length;
      expireBids(tx, steps);
      retireImpressions(tx, campaigns, steps);
      const offers: Offer[] = [];
      let refusal: BidRefusal | undefined;
      const viewer = input.user === null ? null : viewerOf(input.user);
      for (const [impression, wanted] of input.impressions.entries()) {
        const choice = choose(tx, campaigns, partitions, wanted, viewer);
        if (typeof choice === "string") {
          refusal ??= choice;
          continue;
        }
        const bidId = makeBid(tx, input, wanted, viewer, choice);
        offers.push([impression, choice.campaign.id, choice.priceMicros, bidId]);
      }
      return offers.length > 0 ? offers : (refusal ?? "budget");
    },
  });
}

/**
 * The candidate that can pay most. A campaign pays its bid, or what is left in its purse: its last
 * bids are small ones, so that next to nothing of a budget stays unspent.
 */
function choose(
  tx: Transaction,
  campaigns: ReadonlyMap<string, Campaign>,
  partitions: number,
  wanted: Wanted,
  viewer: string | null,
): Choice | BidRefusal {
  let best: Choice | null = null;
  let refusal: BidRefusal = "budget";
  let first = true;
  for (const id of wanted.candidates) {
    const campaign = campaigns.get(id);
    if (campaign === undefined) continue;
    if (best !== null && campaign.bidMicros <= best.priceMicros) break;
    const tried = tryCampaign(tx, campaign, partitions, wanted.floorMicros, viewer);
    if (typeof tried === "string") {
      if (first) refusal = tried;
    } else if (best === null || tried.priceMicros > best.priceMicros) {
      best = tried;
    }
    first = false;
  }
  return best ?? refusal;
}

function tryCampaign(
  tx: Transaction,
  campaign: Campaign,
  partitions: number,
  floorMicros: number,
  viewer: string | null,
): Choice | BidRefusal {
  if (campaign.bidMicros < floorMicros) return "floor";
  if (capReached(tx, campaign, viewer)) return "frequency";
  const purse = purseOf(tx, campaign, partitions);
  const priceMicros = Math.min(campaign.bidMicros, idleMicros(purse));
  // A bid of nothing would win, and show for nothing, where there is no floor.
  if (priceMicros < Math.max(floorMicros, 1)) return "budget";
  return { campaign, purse, priceMicros };
}

function makeBid(
  tx: Transaction,
  input: BidInput,
  wanted: Wanted,
  viewer: string | null,
  choice: Choice,
): string {
  const { campaign, priceMicros } = choice;
  const bid = nameBid(tx, input.test);
  if (!input.test) reserveBid(tx, bid, { ...choice, viewer });
  const bidId = bidIdOf(bid);
  tx.put(bids, bidId, {
    auctionId: input.auctionId,
    impId: wanted.id,
    campaignId: campaign.id,
    userId: input.user,
    siteDomain: input.siteDomain,
    priceMicros,
    bidAt: tx.timeMs,
    test: input.test,
  });
  return bidId;
}
