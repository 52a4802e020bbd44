// Bidding limits: the demo's own times and bounds, and how they relate to the engine's.
// Owns: the numbers. Does not own: the engine's limits (src/base/limits.ts).
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

const numbers = {
  /** `bid.exp`: seconds between auction and billing that a bid accepts; usual for web banners. */
  bidExpirySeconds: 60,
  /**
   * How long a reservation stands: `bid.exp` and a minute for what is repeated meanwhile. An
   * exchange repeats a billing notice for about a minute, also while this side was away.
   */
  reservationHoldMs: 120_000,
  /** Bids of this span expire together: a reservation stands at most so much longer. */
  slotMs: 10_000,

  /** Part of `tmax` that the network takes, there and back. */
  networkAllowanceMs: 20,
  /** `tmax` where a request has none. */
  tmaxDefaultMs: 120,
  /**
   * Longest wait for a bid, whatever `tmax` allows. A decision in memory would do with 10 to 20
   * ms, but this answer also waits for a disk: for the flush it meets and for its own, each some
   * tens of ms on a slow or busy one. To give up early would be dear: what was reserved meanwhile
   * stays so until it expires. It is no protection from overload either: that is for the limits
   * of commands in flight, which refuse at once and reserve nothing.
   */
  bidDeadlineMsMax: 250,
  /** A notice may take longer: the exchange only wants to know whether to repeat it. */
  noticeDeadlineMs: 5000,

  /** Old reservations that one bid settles on its way, besides two for each bid it makes. */
  advanceSteps: 8,
  /** The same for one sweep of a partition, which comes about once a second. */
  sweepSteps: 512,
  sweepIntervalMs: 1000,

  /** Impressions of one request that are looked at; the others get no bid. */
  impressionsMax: 32,
  /**
   * Sizes of an impression and categories of a site that are looked at; others fit no campaign. A
   * search looks at each pair of them, and a body has room for millions.
   */
  sizesMax: 32,
  siteCategoriesMax: 32,
  /** Campaigns that one impression takes to the owner, where more fit it. */
  candidatesMax: 64,
  /** Nesting of a request body: far more than OpenRTB has. Deeper: 400. */
  bodyDepthMax: 64,
  /** A user or request id as a key, in UTF-16 units; longer ones are keyed by their hash. */
  keyLengthMax: 64,

  campaignsMax: 10_000,
  /** Combinations of size, country, category and domain that one campaign may be filed under. */
  campaignPlacesMax: 20_000,
  capImpressionsMax: 50,
  capWindowSecondsMax: 7 * 24 * 3600,
};

export const biddingLimits: Readonly<typeof numbers> = numbers;

const { bidExpirySeconds, reservationHoldMs, noticeDeadlineMs, keyLengthMax } = biddingLimits;
assert(bidExpirySeconds * 1000 < reservationHoldMs, "money is held longer than a bid is valid");
assert(noticeDeadlineMs < reservationHoldMs, "a notice can be repeated while the money is held");
assert(noticeDeadlineMs <= limits.commandDeadlineMsMax, "the notice's deadline is allowed");
// A campaign's id (40), a separator and a user's key, each unit at most three bytes.
assert(41 + keyLengthMax * 3 <= limits.keyBytesMax, "a frequency key fits");
