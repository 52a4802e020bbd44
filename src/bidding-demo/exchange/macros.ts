// Macros: the ${AUCTION_…} places of a notice's address, and what the exchange puts there.
// Owns: the names of OpenRTB 2.6, section 4.4. Does not own: when a notice is sent (notices.ts).
import type { LossReason } from "./auction.ts";
import type { AuctionRequest } from "./auction-request.ts";
import type { Bid } from "./bid-response.ts";
import { cpmText } from "./price.ts";

export interface MacroValues {
  readonly request: AuctionRequest;
  readonly bid: Bid;
  /** Null in a loss notice: the price that others pay is not told. */
  readonly clearingNanos: number | null;
  readonly minToWinNanos: number;
  readonly loss: LossReason | 0;
}

/** The address with its macros replaced; an unknown one becomes an empty text. */
export function fillMacros(url: string, values: MacroValues): string {
  if (!url.includes("${")) return url;
  return url.replace(/\$\{([A-Z_]+)(?::[A-Za-z0-9]+)?\}/g, (_macro, name: string) =>
    encodeURIComponent(valueOf(name, values)),
  );
}

function valueOf(name: string, values: MacroValues): string {
  const { request, bid, clearingNanos, minToWinNanos, loss } = values;
  switch (name) {
    case "AUCTION_ID":
      return request.id;
    case "AUCTION_BID_ID":
      return bid.id;
    case "AUCTION_IMP_ID":
      return bid.impressionId;
    case "AUCTION_SEAT_ID":
      return bid.seat;
    case "AUCTION_AD_ID":
      return bid.adId;
    case "AUCTION_PRICE":
      return clearingNanos === null ? "" : cpmText(clearingNanos);
    case "AUCTION_CURRENCY":
      return "USD";
    case "AUCTION_LOSS":
      return String(loss);
    case "AUCTION_MIN_TO_WIN":
      return cpmText(minToWinNanos);
    case "AUCTION_MULTIPLIER":
      return "1";
    default:
      return "";
  }
}
