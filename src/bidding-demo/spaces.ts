// Spaces of the bidding demo: what each partition keeps, and which rows it leaves behind.
// Owns: the entries' shapes and the tables. Does not own: how they change (purse.ts, frequency.ts,
// reservations.ts).
//
// Keys are unique within a partition; those with a table are unique over all of them. What is kept
// in memory is bounded: `purses` by the campaigns, `reservations` by the bids that are outstanding,
// `frequency` and `impressions` by what was billed within the longest window of a frequency cap.
import { space } from "../processing-units/application.ts";
import { routesOf } from "./partition-routes.ts";

/**
 * A campaign's money in one partition. Always reserved + spent + written off ≤ share, and the
 * shares of all partitions are the budget: so no sum over partitions, at whatever moments they are
 * read, can show more than the budget spent.
 */
export type Purse = {
  readonly campaignId: string;
  readonly partition: number;
  readonly shareMicros: number;
  readonly reservedMicros: number;
  readonly spentMicros: number;
  /**
   * Reserved for bids of a grid that was lost: perhaps spent, so never spent again. Left out until
   * a grid was rebuilt (purse-mender.ts).
   */
  readonly writtenOffMicros?: number | null;
};

/** Key: campaign@partition. */
export const purses = space<Purse>({
  name: "purses",
  table: {
    name: "purses",
    key: "purse",
    columns: {
      campaignId: "text",
      partition: "integer",
      shareMicros: "bigint",
      reservedMicros: "bigint",
      spentMicros: "bigint",
      writtenOffMicros: "bigint",
    },
  },
  routeOf: (_key, { partition }, partitions) => routesOf(partitions).to(partition),
});

/** Money that a bid holds until it is billed, lost or expired. Key: the bid's ordinal, base 36. */
export type Reservation = {
  readonly campaignId: string;
  readonly priceMicros: number;
  /** In whose frequency it counts; null where the campaign has no cap. */
  readonly viewer: string | null;
  /** The exchange said that the bid won its auction; money moves only when it is billed. */
  readonly won?: true;
};

export const reservations = space<Reservation>({ name: "reservations" });

/** A first-in first-out list of numbered entries: those from `done` to before `next`. */
export type Queue = {
  readonly next: number;
  readonly done: number;
};

/** Key: the queue's name @ partition. `bids`: ordinals given out and expired. */
export const queues = space<Queue>({ name: "queues" });

/** When bids were made, in spans of time: a reservation then needs no time of its own. */
export type Slots = {
  /** Tells the ordinals of this grid from those of one that was lost. */
  readonly run: string;
  /** First ordinal of each span, and when it was given out; the oldest span comes first. */
  readonly firsts: readonly number[];
  readonly startsMs: readonly number[];
};

/** One entry, under the empty key. */
export const slots = space<Slots>({ name: "slots" });

/** What one user saw, or may yet see, of one campaign that has a cap. Key: campaign|viewer. */
export type Frequency = {
  /** Bids outstanding: any of them may become an impression. */
  readonly pending: number;
  /** When impressions were billed, oldest first. */
  readonly billedAtMs: readonly number[];
};

export const frequency = space<Frequency>({ name: "frequency" });

/** A billed impression that some frequency still counts. Key: number in its queue, base 36. */
export type CountedImpression = {
  readonly campaignId: string;
  readonly viewer: string;
  readonly billedAtMs: number;
};

export const impressions = space<CountedImpression>({ name: "impressions" });

/** A bid that was made. Key: the bid's id. */
export type BidRow = {
  readonly auctionId: string;
  readonly impId: string;
  readonly campaignId: string;
  readonly userId: string | null;
  readonly siteDomain: string | null;
  readonly priceMicros: number;
  readonly bidAt: number;
  readonly test: boolean;
};

export const bids = space<BidRow>({
  name: "bids",
  writeOnly: true,
  table: {
    name: "bids",
    key: "bid_id",
    columns: {
      auctionId: "text",
      impId: "text",
      campaignId: "text",
      userId: "text",
      siteDomain: "text",
      priceMicros: "bigint",
      bidAt: "timestamptz",
      test: "boolean",
    },
  },
});

export type SettlementOutcome = "billed" | "lost" | "expired";

/** How a bid ended; each that reserved money ends once. Key: the bid's id. */
export type SettlementRow = {
  readonly campaignId: string;
  readonly outcome: SettlementOutcome;
  readonly paidMicros: number;
  /** The exchange asked for more than was bid, and got what was bid. */
  readonly capped: boolean;
  readonly settledAt: number;
};

export const settlements = space<SettlementRow>({
  name: "settlements",
  writeOnly: true,
  table: {
    name: "settlements",
    key: "bid_id",
    columns: {
      campaignId: "text",
      outcome: "text",
      paidMicros: "bigint",
      capped: "boolean",
      settledAt: "timestamptz",
    },
  },
});

export const allSpaces = [
  purses,
  reservations,
  queues,
  slots,
  frequency,
  impressions,
  bids,
  settlements,
];
