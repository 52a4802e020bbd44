// Reservations: the bids of a partition that hold money, from the bid until it is settled.
// Owns: ordinals, bid ids, expiry, and that each bid settles once. Does not own: the purses
// (purse.ts), the counting of frequency (frequency.ts).
//
// Invariants (docs/invariants.md):
//   B2. A bid settles once.
//   B4. Nothing is kept of a bid that is settled.
//
// States of a bid: reserved → won → billed, lost or expired; reserved → any of those. The first of
// the three last ones is final: it deletes the reservation, and what comes later finds none. So
// nothing has to be remembered of settled bids: an ordinal that was given out, is not yet expired
// and has no reservation was settled before.
//
// Expiry costs no search. Ordinals rise with time, and `slots` says when each ten seconds of them
// began: whatever is older than its hold is behind a point that only moves forward, a few steps
// with each command.
import { must } from "../base/assert.ts";
import type { Transaction } from "../processing-units/application.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { Campaign } from "./campaign.ts";
import { countBilled, countPending, uncountPending } from "./frequency.ts";
import { reserve, settle } from "./purse.ts";
import { openQueue, queueKey } from "./queue.ts";
import {
  reservations,
  settlements,
  slots,
  type Purse,
  type Reservation,
  type SettlementOutcome,
  type Slots,
} from "./spaces.ts";

/** Only the runs of one partition need names that differ: a short one will do. */
const runLength = 8;

/** What a bid id says of its bid. */
export interface BidName {
  readonly partition: number;
  readonly run: string;
  readonly ordinal: number;
  /** Made for a request with `test` = 1: it holds no money. */
  readonly test: boolean;
}

/** Where a bid stands, seen from a notice. */
export type BidState =
  | { readonly state: "outstanding"; readonly reservation: Reservation }
  /** `settled`: before, once. `expired`: too long ago to say how. `unknown`: never made here. */
  | { readonly state: "settled" | "expired" | "unknown" };

/** The name under which exchange, log and database know a bid. */
export function bidIdOf({ partition, run, ordinal, test }: BidName): string {
  return `${partition.toString(36)}-${run}-${ordinal.toString(36)}${test ? "-t" : ""}`;
}

/** Reads a bid id; null where the text is none. */
export function readBidId(bidId: string): BidName | null {
  const match = /^([0-9a-z]{1,4})-([0-9a-z]{1,32})-([0-9a-z]{1,10})(-t)?$/.exec(bidId);
  if (match === null) return null;
  const [, partition = "", run = "", ordinal = "", test] = match;
  return {
    partition: Number.parseInt(partition, 36),
    run,
    ordinal: Number.parseInt(ordinal, 36),
    test: test !== undefined,
  };
}

/** Gives a bid its name, and nothing else. */
export function nameBid(tx: Transaction, test: boolean): BidName {
  const queue = openQueue(tx, "bids");
  const ordinal = queue.next;
  queue.next += 1;
  queue.save();
  const old = tx.get(slots, "") ?? { run: tx.id().slice(0, runLength), firsts: [], startsMs: [] };
  const startMs = old.startsMs.at(-1);
  if (startMs === undefined || startMs + biddingLimits.slotMs <= tx.timeMs) {
    const firsts = [...old.firsts, ordinal];
    tx.put(slots, "", { run: old.run, firsts, startsMs: [...old.startsMs, tx.timeMs] });
  }
  return { partition: tx.partition, run: old.run, ordinal, test };
}

/** Sets money aside for a bid and counts it for the user, where the campaign has a cap. */
export function reserveBid(
  tx: Transaction,
  bid: BidName,
  order: { campaign: Campaign; purse: Purse; priceMicros: number; viewer: string | null },
): void {
  const { campaign, purse, priceMicros } = order;
  const viewer =
    campaign.cap === null ? null : must(order.viewer, "a capped campaign knows its viewer");
  reserve(tx, purse, priceMicros);
  if (viewer !== null) countPending(tx, campaign.id, viewer);
  const reservation = { campaignId: campaign.id, priceMicros, viewer };
  tx.put(reservations, queueKey(bid.ordinal), reservation);
}

/** Where the bid stands now. */
export function findBid(tx: Transaction, { run, ordinal }: BidName): BidState {
  const queue = openQueue(tx, "bids");
  if (tx.get(slots, "")?.run !== run || ordinal >= queue.next) return { state: "unknown" };
  if (ordinal < queue.done) return { state: "expired" };
  const reservation = tx.get(reservations, queueKey(ordinal));
  return reservation === undefined ? { state: "settled" } : { state: "outstanding", reservation };
}

/** Remembers that the bid won its auction. */
export function markWon(tx: Transaction, ordinal: number, reservation: Reservation): void {
  tx.put(reservations, queueKey(ordinal), { ...reservation, won: true });
}

/** Ends a bid: frees what it holds, books what is paid, and leaves a row. */
export function settleBid(
  tx: Transaction,
  bid: BidName,
  reservation: Reservation,
  end: { outcome: SettlementOutcome; paidMicros: number; capped: boolean },
): void {
  const { campaignId, priceMicros, viewer } = reservation;
  settle(tx, campaignId, priceMicros, end.paidMicros);
  tx.delete(reservations, queueKey(bid.ordinal));
  if (viewer !== null) {
    if (end.outcome === "billed") countBilled(tx, campaignId, viewer);
    else uncountPending(tx, campaignId, viewer);
  }
  tx.put(settlements, bidIdOf(bid), { campaignId, ...end, settledAt: tx.timeMs });
}

/** Expires up to `steps` bids whose time is over, oldest first; settled ones are steps, too. */
export function expireBids(tx: Transaction, steps: number): void {
  const saved = tx.get(slots, "");
  if (saved === undefined) return;
  const queue = openQueue(tx, "bids");
  const lifeMs = biddingLimits.slotMs + biddingLimits.reservationHoldMs;
  let over = 0;
  for (let left = steps; left > 0;) {
    const startMs = saved.startsMs[over];
    if (startMs === undefined || startMs + lifeMs > tx.timeMs) break;
    if (queue.done === (saved.firsts[over + 1] ?? queue.next)) {
      over += 1;
    } else {
      expireOne(tx, saved, queue.done);
      queue.done += 1;
      left -= 1;
    }
  }
  queue.save();
  if (over === 0) return;
  const firsts = saved.firsts.slice(over);
  tx.put(slots, "", { run: saved.run, firsts, startsMs: saved.startsMs.slice(over) });
}

function expireOne(tx: Transaction, { run }: Slots, ordinal: number): void {
  const reservation = tx.get(reservations, queueKey(ordinal));
  if (reservation === undefined) return;
  const bid = { partition: tx.partition, run, ordinal, test: false };
  settleBid(tx, bid, reservation, { outcome: "expired", paidMicros: 0, capped: false });
}
