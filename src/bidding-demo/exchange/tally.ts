// Tally: the exchange's counts, and the summary that is made of them.
// Owns: what is counted, the shapes of progress and summary. Does not own: when something counts:
// money and notices count when their event is in the ledger (ledger.ts).
import { unreachable } from "../../base/assert.ts";
import type { LedgerEvent } from "./ledger.ts";

/** Answers to bid requests; together as many as requests that have finished. */
export interface AnswerCounts {
  /** At least one bid, in time. */
  readonly bid: number;
  /** 204, or a body without a bid. */
  readonly noBid: number;
  /** 400, 413 or 415: the bidder says the request is not a valid one. */
  readonly invalid: number;
  /** No bid with reason 15: the bidder says it had no time. */
  readonly shed: number;
  /** No answer in time, a lost connection, another status, an answer that cannot be read. */
  readonly error: number;
}

export interface NoticeCounts {
  /** Acknowledged, each once. */
  readonly won: number;
  readonly billed: number;
  readonly lost: number;
  /** Billing notices that were sent once more although they were acknowledged. */
  readonly duplicate: number;
  /** Tries after the first. */
  readonly repeats: number;
  /** Never acknowledged; what they did is unknown. */
  readonly givenUp: number;
  readonly pending: number;
}

export interface MoneyCounts {
  /** Auctions that a bid of the bidder won or lost. */
  readonly wins: number;
  readonly losses: number;
  /** Clearing prices of acknowledged win notices, whole micros. */
  readonly wonMicros: number;
  /** Clearing prices of acknowledged billing notices, whole micros. */
  readonly billedMicros: number;
}

export interface LatencyMs {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface ExchangeProgress {
  /** Bid requests that were sent. */
  readonly requests: number;
  /** Bid requests that were due while too many were in flight already. */
  readonly notSent: number;
  readonly inFlight: number;
  readonly answers: AnswerCounts;
  /** `answers.error` by failure code, or by status as HTTP_503. */
  readonly errors: Readonly<Record<string, number>>;
  readonly notices: NoticeCounts;
  readonly exchange: MoneyCounts;
  /** Of the last whole second. */
  readonly lastSecond: {
    readonly requests: number;
    /** Requests that were answered with a bid. */
    readonly bids: number;
    readonly latencyMs: LatencyMs;
  };
}

export interface LoadSummary {
  /** From the first planned moment to the last answer. */
  readonly durationMs: number;
  /** From the planned moment to the answer; an answer that did not come in time counts its wait. */
  readonly latencyMs: LatencyMs;
  /** From sending to the answer. */
  readonly serviceMs: LatencyMs;
  readonly generator: {
    readonly latenessMsP99: number;
    /** CPU of this process, as a share of one core. */
    readonly cpuShare: number;
    readonly cpuUsPerRequest: number;
    /** False where latencies may be the generator's own: it was late, or short of CPU. */
    readonly latencyTrusted: boolean;
  };
}

export type ExchangeSummary = Omit<ExchangeProgress, "lastSecond" | "inFlight"> & LoadSummary;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class Tally {
  readonly answers: Mutable<AnswerCounts> = { bid: 0, noBid: 0, invalid: 0, shed: 0, error: 0 };
  readonly errors: Record<string, number> = {};
  readonly money: Mutable<MoneyCounts> = { wins: 0, losses: 0, wonMicros: 0, billedMicros: 0 };
  readonly notices = { won: 0, billed: 0, lost: 0, duplicate: 0, givenUp: 0 };

  countError(code: string): void {
    this.answers.error++;
    this.errors[code] = (this.errors[code] ?? 0) + 1;
  }

  /** Counts what the ledger holds. */
  countEvent({ event, priceMicros }: LedgerEvent): void {
    switch (event) {
      case "bid":
        return;
      case "won":
        this.notices.won++;
        this.money.wonMicros += priceMicros;
        return;
      case "billed":
        this.notices.billed++;
        this.money.billedMicros += priceMicros;
        return;
      case "lost":
        this.notices.lost++;
        return;
      case "given-up":
        this.notices.givenUp++;
        return;
      default:
        unreachable(event);
    }
  }
}
