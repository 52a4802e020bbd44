// Bid response: what the exchange reads of a bidder's answer, and when it refuses to.
// Owns: the checks that OpenRTB 2.6 asks for. Does not own: who wins (auction.ts).
// The schema is checked by hand: the exchange is the load, and must not cost what it measures.
import { type Outcome, failed, ok } from "../../base/failure.ts";
import type { AuctionRequest } from "./auction-request.ts";
import { nanosOfCpm } from "./price.ts";

export interface Bid {
  readonly id: string;
  readonly impressionId: string;
  readonly priceNanos: number;
  readonly seat: string;
  /** Empty where the bidder named none. */
  readonly campaignId: string;
  readonly adId: string;
  readonly nurl: string;
  readonly burl: string;
  readonly lurl: string;
}

export interface BidResponse {
  readonly bids: readonly Bid[];
  /** Reason code for no bid; null where none was given. */
  readonly noBidReason: number | null;
}

/** One line without spaces: it goes into a request as it is. */
const httpAddress = /^http:\/\/[\x21-\x7e]+$/;

/** Reads an answer with status 200. RESPONSE_MALFORMED says what is wrong with it. */
export function readBidResponse(body: string, request: AuctionRequest): Outcome<BidResponse> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return malformed("it is not JSON");
  }
  if (!isObject(parsed)) return malformed("it is not an object");
  const { id, seatbid, nbr, cur } = parsed;
  const noBidReason = typeof nbr === "number" ? nbr : null;
  // `{}`, no seatbid and an empty one are three ways to say the same.
  const seats: unknown = seatbid ?? [];
  if (!Array.isArray(seats)) return malformed("seatbid is not a list");
  const bids: Bid[] = [];
  for (const seat of seats as unknown[]) {
    const problem = readSeat(seat, request, bids);
    if (problem !== null) return malformed(problem);
  }
  if (bids.length > 0) {
    if (id !== request.id) return malformed("its id is not the request's");
    if (cur !== undefined && cur !== "USD") return malformed("its currency was not asked for");
  }
  return ok({ bids, noBidReason });
}

function readSeat(seat: unknown, request: AuctionRequest, bids: Bid[]): string | null {
  if (!isObject(seat) || !Array.isArray(seat["bid"])) return "a seatbid has no list of bids";
  const seatName = textOf(seat["seat"]);
  for (const bid of seat["bid"] as unknown[]) {
    if (!isObject(bid)) return "a bid is not an object";
    const { id, impid, price } = bid;
    if (typeof id !== "string" || id === "") return "a bid has no id";
    if (typeof price !== "number" || !(price >= 0)) return "a bid has no price";
    if (!request.impressions.some((impression) => impression.id === impid)) {
      return "a bid is for an impression that was not offered";
    }
    const notices = [textOf(bid["nurl"]), textOf(bid["burl"]), textOf(bid["lurl"])] as const;
    for (const url of notices) {
      if (url !== "" && !httpAddress.test(url)) return "a notice is not an http address";
    }
    const [nurl, burl, lurl] = notices;
    bids.push({
      id,
      impressionId: String(impid),
      priceNanos: nanosOfCpm(price),
      seat: seatName,
      campaignId: textOf(bid["cid"]),
      adId: textOf(bid["adid"]),
      nurl,
      burl,
      lurl,
    });
  }
  return null;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isObject(value: unknown): value is Partial<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(why: string): Outcome<never> {
  return failed("RESPONSE_MALFORMED", why);
}
