// Notice token: proves that a notice is about a bid that this bidder made.
// Owns: the signature. Does not own: the bid id in it (reservations.ts).
// A notice's price arrives in clear text, from anybody who knows the address: without the
// signature everybody could bill. The token says which bid, and no more: what is needed to settle
// is in the bid's partition, found by its id.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readBidId, type BidName } from "./reservations.ts";

/** Bytes of HMAC-SHA256 that a token carries. */
const signatureBytes = 16;
const signatureLength = 22;

export class NoticeTokens {
  readonly #key: Buffer;

  /** `key`: at least 32 secret bytes, the same in every lane and after every restart. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** The token of a bid: its id, a dot and the signature. */
  sign(bidId: string): string {
    return `${bidId}.${this.#signature(bidId).toString("base64url")}`;
  }

  /** The bid that a token names, or null where it was not made with this key. */
  verify(token: string): BidName | null {
    const dot = token.length - signatureLength - 1;
    if (dot < 1 || token[dot] !== ".") return null;
    const bidId = token.slice(0, dot);
    const given = Buffer.from(token.slice(dot + 1), "base64url");
    if (given.length !== signatureBytes) return null;
    return timingSafeEqual(given, this.#signature(bidId)) ? readBidId(bidId) : null;
  }

  #signature(bidId: string): Buffer {
    return createHmac("sha256", this.#key).update(bidId).digest().subarray(0, signatureBytes);
  }
}
