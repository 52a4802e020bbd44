// Notice command: what an exchange says of a bid: won, billable, lost.
// Owns: what each notice does to a bid, in which state. Does not own: whether the notice is
// authentic (notice-token.ts), how it is answered (notice-routes.ts).
//
//            | outstanding                     | settled before | expired      | unknown
//   win      | marked, once: won (duplicate)   | duplicate      | expired      | unknown
//   billing  | pays, at most the bid: billed   | duplicate      | expired      | unknown
//   loss     | frees the money: lost           | duplicate      | expired      | unknown
//
// Only the first column changes anything. An expired bid's money may be promised elsewhere by
// now, so a notice that comes so late is refused, and never charged.
import { Type } from "typebox";
import { command, type Command, type Transaction } from "../processing-units/application.ts";
import { findBid, markWon, settleBid, type BidName } from "./reservations.ts";
import type { Reservation } from "./spaces.ts";

const noticeInput = Type.Object({
  /** A key that leads to the bid's partition. */
  route: Type.String(),
  kind: Type.Union([Type.Literal("win"), Type.Literal("billing"), Type.Literal("loss")]),
  run: Type.String(),
  ordinal: Type.Integer({ minimum: 0 }),
  /** Clearing price of a billing. */
  priceMicros: Type.Integer({ minimum: 0 }),
});

export type NoticeKind = "win" | "billing" | "loss";
export type NoticeReply = "won" | "billed" | "lost" | "duplicate" | "expired" | "unknown";

/** The command `notice`; its reply is a NoticeReply. */
export const noticeCommand: Command = command({
  input: noticeInput,
  internal: true,
  routeBy: (input) => input.route,
  handle(tx, { kind, run, ordinal, priceMicros }): NoticeReply {
    const bid = { partition: tx.partition, run, ordinal, test: false };
    const found = findBid(tx, bid);
    switch (found.state) {
      case "expired":
      case "unknown":
        return found.state;
      case "settled":
        return "duplicate";
      case "outstanding":
        return apply(tx, kind, bid, found.reservation, priceMicros);
    }
  },
});

function apply(
  tx: Transaction,
  kind: NoticeKind,
  bid: BidName,
  reservation: Reservation,
  priceMicros: number,
): NoticeReply {
  switch (kind) {
    case "win":
      if (reservation.won === true) return "duplicate";
      markWon(tx, bid.ordinal, reservation);
      return "won";
    case "billing": {
      // Exchanges do clear above a bid at times: never more is paid than was set aside.
      const paidMicros = Math.min(priceMicros, reservation.priceMicros);
      const capped = paidMicros < priceMicros;
      settleBid(tx, bid, reservation, { outcome: "billed", paidMicros, capped });
      return "billed";
    }
    case "loss":
      settleBid(tx, bid, reservation, { outcome: "lost", paidMicros: 0, capped: false });
      return "lost";
  }
}
