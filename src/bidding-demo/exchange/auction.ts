// Auction: who gets an impression, and at what price.
// Owns: the rules of a sealed-bid auction with a floor. Does not own: where bids come from, prices
// as text (price.ts), notices (notices.ts).
import type { AuctionImpression } from "./auction-request.ts";
import type { Bid } from "./bid-response.ts";

/** Why a bid lost, as OpenRTB numbers it: below the floor, or lost to a higher bid. */
export type LossReason = 100 | 102;

export interface AuctionResult {
  readonly won: { readonly bid: Bid; readonly clearingNanos: number } | null;
  readonly lost: readonly { readonly bid: Bid; readonly reason: LossReason }[];
  /** The least price that would have won. */
  readonly minToWinNanos: number;
}

/**
 * One impression. The highest bid wins where it reaches the floor and is above what everybody else
 * bids; of equal ones the first. It pays its own price (auction type 1), or the greatest of floor,
 * competing bid and the next of these bids (type 2).
 */
export function holdAuction(
  impression: AuctionImpression,
  bids: readonly Bid[],
  auctionType: 1 | 2,
): AuctionResult {
  const { floorNanos, competingNanos } = impression;
  const minToWinNanos = Math.max(floorNanos, competingNanos + 1);
  let best: Bid | null = null;
  let secondNanos = Math.max(floorNanos, competingNanos);
  for (const bid of bids) {
    if (bid.priceNanos < minToWinNanos) continue;
    if (best === null || bid.priceNanos > best.priceNanos) {
      if (best !== null) secondNanos = Math.max(secondNanos, best.priceNanos);
      best = bid;
    } else {
      secondNanos = Math.max(secondNanos, bid.priceNanos);
    }
  }
  const lost = bids
    .filter((bid) => bid !== best)
    .map((bid) => ({ bid, reason: lossReason(bid, floorNanos) }));
  const clearingNanos = auctionType === 1 ? (best?.priceNanos ?? 0) : secondNanos;
  return { won: best === null ? null : { bid: best, clearingNanos }, lost, minToWinNanos };
}

function lossReason(bid: Bid, floorNanos: number): LossReason {
  return bid.priceNanos < floorNanos ? 100 : 102;
}
