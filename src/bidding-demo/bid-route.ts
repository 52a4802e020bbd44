// Bid route: POST /openrtb2/bid.
// Owns: what each outcome is answered with. Does not own: the decision (bid-command.ts).
//
// A bid is answered 200, no bid 204, an invalid request 400. A failure of this side is a 204 too:
// an exchange slows down a bidder that errs or is late, and "no bid" is what it can work with. The
// header x-orrery-nbr then has OpenRTB's reason. A bid whose answer was too late holds its money
// until it expires: this side cannot know that the exchange does not count on it.
import type { Failure, Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { Value } from "../grid/log-record.ts";
import type { EdgeContext } from "../processing-units/edge-context.ts";
import { parseBody } from "./bid-body.ts";
import type { BidReply } from "./bid-command.ts";
import { decisionMs } from "./bid-filter.ts";
import { matchRequest, type Match } from "./bid-matching.ts";
import { bidResponse } from "./bid-response.ts";
import type { CampaignIndex } from "./campaign-index.ts";
import type { Campaign } from "./campaign.ts";
import type { Answers, LaneCounts } from "./demo-status.ts";
import type { NoticeTokens } from "./notice-token.ts";
import { readBidRequest, type BidRequest } from "./openrtb.ts";

/** OpenRTB's no-bid reasons for failures of this side. */
const technicalError = "1";
const insufficientTime = "15";

/** What a route needs of an answer. */
export interface Answer {
  code(status: number): Answer;
  header(name: string, value: string): Answer;
  send(body?: string): Answer;
}

/** What a route needs of a request. */
export interface BidCall {
  readonly body: unknown;
  readonly host: string | undefined;
  readonly correlationId: string;
}

export interface BidRouteParts {
  readonly submit: EdgeContext["submit"];
  readonly random: Random;
  readonly counts: LaneCounts;
  readonly index: CampaignIndex;
  readonly campaigns: ReadonlyMap<string, Campaign>;
  readonly tokens: NoticeTokens;
  /** Host and port that notices are sent to; null: those that the request came to. */
  readonly noticesTo: string | null;
}

export class BidRoute {
  readonly #parts: BidRouteParts;

  constructor(parts: BidRouteParts) {
    this.#parts = parts;
  }

  /** Answers one request, now or when its bid is journaled. */
  handle({ body, host: calledHost, correlationId }: BidCall, answer: Answer): void {
    const host = this.#parts.noticesTo ?? calledHost;
    const request = typeof body === "string" ? readBidRequest(parseBody(body)) : null;
    // The addresses of notices are made of the host's name: nothing else may come in by it.
    if (request === null || host === undefined || !/^[\w.:[\]-]{1,255}$/.test(host)) {
      this.refuse(answer, 400);
      return;
    }
    const deadlineMs = decisionMs(request);
    if (deadlineMs <= 0) {
      this.#noAnswer(answer, "shed");
      return;
    }
    const match = matchRequest(request, this.#parts.index, this.#parts.random);
    if (typeof match === "string") {
      this.#parts.counts.noBids[match] += 1;
      this.#noBid(answer);
      return;
    }
    this.#parts.submit(
      "bid",
      match.input,
      { ack: "journal", deadlineMs, correlationId },
      (outcome) => {
        this.#decided(request, match, host, answer, outcome);
      },
    );
  }

  /** Answers what is no valid request: the status, and an empty body. */
  refuse(answer: Answer, status: number): void {
    this.#parts.counts.answers.invalid += 1;
    answer.code(status).send();
  }

  /** Answers where this side has a bug: as any other failure. */
  fail(answer: Answer): void {
    this.#noAnswer(answer, "error");
  }

  #decided(
    request: BidRequest,
    match: Match,
    host: string,
    answer: Answer,
    outcome: Outcome<Value>,
  ): void {
    if (!outcome.ok) {
      this.#noAnswer(answer, isShed(outcome.failure) ? "shed" : "error");
      return;
    }
    const reply = outcome.value as BidReply;
    const { campaigns, counts, tokens } = this.#parts;
    if (typeof reply === "string") {
      counts.noBids[reply] += 1;
      this.#noBid(answer);
      return;
    }
    counts.answers.bid += 1;
    answer
      .code(200)
      .header("content-type", "application/json; charset=utf-8")
      .header("x-openrtb-version", "2.6")
      .send(bidResponse({ requestId: request.id, match, offers: reply, campaigns, tokens, host }));
  }

  #noBid(answer: Answer): void {
    this.#parts.counts.answers.noBid += 1;
    answer.code(204).send();
  }

  #noAnswer(answer: Answer, kind: keyof Answers & ("shed" | "error")): void {
    this.#parts.counts.answers[kind] += 1;
    const reason = kind === "shed" ? insufficientTime : technicalError;
    answer.code(204).header("x-orrery-nbr", reason).send();
  }
}

/** Whether there was no time or room, and not a fault. */
function isShed({ code, kind }: Failure): boolean {
  return kind === "retryable" || code === "DEADLINE_EXCEEDED";
}
