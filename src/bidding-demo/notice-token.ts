// Notice token: proves that a notice is about a bid that this bidder made.
// Owns: the signature. Does not own: the bid id in it (reservations.ts).
// A notice's price arrives in clear text, from anybody who knows the address: without the
// signature everybody could bill. The token says which bid, and no more: what is needed to settle
// is in the bid's partition, found by its id.
import { hash, timingSafeEqual } from "node:crypto";
import { assert } from "../base/assert.ts";
import { readBidId, type BidName } from "./reservations.ts";

/** Characters of HMAC-SHA256, in base64url, that a token carries: 132 bits. */
const signatureLength = 22;

/** Of SHA-256, in bytes. */
const blockBytes = 64;
const digestBytes = 32;
/** Longer than any bid id. */
const idBytesMax = 64;

/**
 * HMAC (RFC 2104) by two one-shot hashes over prepared blocks: each bid is signed, and this takes
 * half the time of createHmac, which makes an object and a context for each.
 */
export class NoticeTokens {
  readonly #inner = Buffer.alloc(blockBytes + idBytesMax, 0x36);
  readonly #outer = Buffer.alloc(blockBytes + digestBytes, 0x5c);

  /** `key`: 32 to 64 secret bytes, the same in every lane and after every restart. */
  constructor(key: Buffer) {
    assert(key.length >= 32 && key.length <= blockBytes, "a key of 32 to 64 bytes");
    for (const [index, byte] of key.entries()) {
      this.#inner[index] = 0x36 ^ byte;
      this.#outer[index] = 0x5c ^ byte;
    }
  }

  /** The token of a bid: its id, a dot and the signature. */
  sign(bidId: string): string {
    return `${bidId}.${this.#signature(bidId)}`;
  }

  /** The bid that a token names, or null where it was not made with this key. */
  verify(token: string): BidName | null {
    const dot = token.length - signatureLength - 1;
    if (dot < 1 || token[dot] !== ".") return null;
    const bidId = token.slice(0, dot);
    const name = readBidId(bidId);
    const given = Buffer.from(token.slice(dot + 1));
    if (name === null || given.length !== signatureLength) return null;
    return timingSafeEqual(given, Buffer.from(this.#signature(bidId))) ? name : null;
  }

  #signature(bidId: string): string {
    assert(bidId.length <= idBytesMax, "a bid id is short");
    const length = this.#inner.write(bidId, blockBytes, "latin1");
    const inner = hash("sha256", this.#inner.subarray(0, blockBytes + length), "latin1");
    this.#outer.write(inner, blockBytes, "latin1");
    return hash("sha256", this.#outer, "base64url").slice(0, signatureLength);
  }
}
