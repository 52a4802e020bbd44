// Auction request: one bid request with what only the exchange knows about it.
// Owns: the shape that made-up traffic (market.ts) and replayed traffic (replay.ts) share.

export interface AuctionImpression {
  readonly id: string;
  /** Least price at which the publisher sells. Prices in nanos: price.ts. */
  readonly floorNanos: number;
  /** The best bid of everybody else; 0 = nobody else bids. */
  readonly competingNanos: number;
}

export interface AuctionRequest {
  readonly id: string;
  /** The request as it goes over the wire. */
  readonly body: string;
  /** After so long without an answer there is no bid. */
  readonly tmaxMs: number;
  /** 1 = the winner pays its bid, 2 = the winner pays the next price. */
  readonly auctionType: 1 | 2;
  /** Answers are counted, but nothing is sold. */
  readonly test: boolean;
  readonly impressions: readonly AuctionImpression[];
  /** From the auction to the moment that the advertisement is seen, and billed. */
  readonly renderDelayMs: number;
  /** The billing notice is sent twice, as exchanges do now and then. */
  readonly billsTwice: boolean;
}

export interface RequestSource {
  /** How many requests there are; Infinity for made-up traffic. */
  readonly count: number;
  /** The request of this number, from 0: always the same one. */
  request(number: number): AuctionRequest;
}
