// Notice route: GET or POST /openrtb2/notice/{win,billing,loss}?t=TOKEN&p=PRICE.
// Owns: what each outcome is answered with. Does not own: what a notice does (notice-command.ts).
//
// 200: done and journaled, or nothing to do; the header x-orrery-notice says which. 503: not done,
// or not known: repeat it. 403: not authentic. 400: a billing whose price cannot be read.
import type { Outcome } from "../base/failure.ts";
import type { Value } from "../grid/log-record.ts";
import type { EdgeContext } from "../processing-units/edge-context.ts";
import type { Answer } from "./bid-route.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { LaneCounts } from "./demo-status.ts";
import { impressionMicros } from "./money.ts";
import type { NoticeKind, NoticeReply } from "./notice-command.ts";
import type { NoticeTokens } from "./notice-token.ts";
import type { PartitionRoutes } from "./partition-routes.ts";

/** What an exchange puts for the price where it only tries a creative out. */
const auditPrice = "AUDIT";
const deadlineMs = biddingLimits.noticeDeadlineMs;

export interface NoticeRouteParts {
  readonly submit: EdgeContext["submit"];
  readonly counts: LaneCounts;
  readonly tokens: NoticeTokens;
  readonly routes: PartitionRoutes;
}

export interface NoticeQuery {
  readonly t?: unknown;
  readonly p?: unknown;
}

/** What the route needs of a request. */
export interface NoticeCall {
  readonly kind: NoticeKind;
  readonly query: NoticeQuery;
  readonly correlationId: string;
}

export class NoticeRoute {
  readonly #parts: NoticeRouteParts;

  constructor(parts: NoticeRouteParts) {
    this.#parts = parts;
  }

  /** Answers one notice when it is journaled. */
  handle({ kind, query, correlationId }: NoticeCall, answer: Answer): void {
    const { tokens, routes, submit } = this.#parts;
    const bid = typeof query.t === "string" ? tokens.verify(query.t) : null;
    // A partition that is not there: the token is of another grid, signed with the same key.
    if (bid === null || !routes.has(bid.partition)) {
      this.#refuse(answer, 403, "token");
      return;
    }
    if (kind === "billing" && query.p === auditPrice) {
      this.#refuse(answer, 200, "audit");
      return;
    }
    // Only a billing has a price: in the others it may be empty, and it is never a charge.
    const price = kind === "billing" ? query.p : "0";
    const priceMicros = typeof price === "string" ? impressionMicros(price) : null;
    if (priceMicros === null) {
      this.#refuse(answer, 400, "price");
      return;
    }
    if (bid.test) {
      // Made for a test: there is no money behind it, and nothing to count.
      answer.code(200).header("x-orrery-notice", "test").send();
      return;
    }
    const { run, ordinal, partition } = bid;
    const input = { route: routes.to(partition), kind, run, ordinal, priceMicros };
    const options = { ack: "journal", deadlineMs, correlationId } as const;
    submit("notice", input, options, (outcome) => {
      this.#done(answer, outcome);
    });
  }

  #done(answer: Answer, outcome: Outcome<Value>): void {
    if (!outcome.ok) {
      answer.code(503).send();
      return;
    }
    const reply = outcome.value as NoticeReply;
    if (reply === "expired" || reply === "unknown") {
      // Nothing would become better by repeating it, so it is answered like one that was done.
      this.#refuse(answer, 200, reply);
      return;
    }
    this.#parts.counts.notices[reply] += 1;
    answer.code(200).header("x-orrery-notice", reply).send();
  }

  #refuse(answer: Answer, status: number, reason: string): void {
    this.#parts.counts.notices.refused += 1;
    answer.code(status).header("x-orrery-notice", reason).send();
  }
}
