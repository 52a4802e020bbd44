// Sales: what happens to bids: auctions, notices, and the events that the books are made of.
// Owns: which notice follows which outcome, when an event counts. Does not own: the rules of an
// auction (auction.ts), that a notice arrives (notices.ts), that a line is durable (ledger.ts).
import type { Clock } from "../../base/clock.ts";
import { limits } from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";
import type { Timers } from "../../base/timers.ts";
import { holdAuction } from "./auction.ts";
import type { AuctionRequest } from "./auction-request.ts";
import type { Bid } from "./bid-response.ts";
import type { Ledger, LedgerEvent, NoticeKind } from "./ledger.ts";
import { fillMacros, type MacroValues } from "./macros.ts";
import { NoticeTransport } from "./notice-transport.ts";
import { NoticeSender } from "./notices.ts";
import { microsOfNanos } from "./price.ts";
import type { Tally } from "./tally.ts";

export interface SalesOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: (line: string) => void;
  readonly tally: Tally;
  /** Null: events count at once. */
  readonly ledger: Ledger | null;
}

/** A notice on its way: the event that it becomes when the bidder has acknowledged it. */
interface OutgoingNotice {
  readonly event: LedgerEvent & { readonly event: NoticeKind };
  /** To be sent once more when it has been acknowledged. */
  readonly again: { readonly url: string } | null;
  /** It is that second one, and counts for nothing. */
  readonly duplicate: boolean;
}

export class Sales {
  readonly #options: SalesOptions;
  readonly #transport: NoticeTransport;
  readonly #notices: NoticeSender<OutgoingNotice>;

  constructor(options: SalesOptions) {
    this.#options = options;
    this.#transport = new NoticeTransport(options);
    this.#notices = new NoticeSender({
      clock: options.clock,
      timers: options.timers,
      transport: (url, respond) => this.#transport.send(url, respond),
      onAcknowledged: (notice) => this.#onAcknowledged(notice),
      onGivenUp: (notice) => this.#onGivenUp(notice),
    });
  }

  /** Notices that are under way, and how often one was sent again. */
  get notices(): { readonly pending: number; readonly repeats: number } {
    return { pending: this.#notices.pending, repeats: this.#notices.repeats };
  }

  /** Records the bids of an answer and sells the request's impressions. */
  take(request: AuctionRequest, bids: readonly Bid[]): void {
    for (const bid of bids) this.#record(this.#eventOf("bid", request, bid, bid.priceNanos));
    if (request.test) return;
    for (const impression of request.impressions) {
      const own = bids.filter((bid) => bid.impressionId === impression.id);
      if (own.length > 0) this.#sell(request, impression, own);
    }
  }

  /** Resolves when every notice is acknowledged or given up: at most about a minute. */
  async drain(): Promise<void> {
    await this.#notices.drain();
    this.#transport.close();
  }

  #sell(
    request: AuctionRequest,
    impression: AuctionRequest["impressions"][number],
    bids: readonly Bid[],
  ): void {
    const { money } = this.#options.tally;
    const { won, lost, minToWinNanos } = holdAuction(impression, bids, request.auctionType);
    for (const { bid, reason } of lost) {
      money.losses++;
      const values = { request, bid, clearingNanos: null, minToWinNanos, loss: reason };
      this.#notify("lost", bid.lurl, values, 0);
    }
    if (won === null) return;
    money.wins++;
    const values = { request, ...won, minToWinNanos, loss: 0 } as const;
    this.#notify("won", won.bid.nurl, values, 0);
    this.#notify("billed", won.bid.burl, values, request.renderDelayMs);
  }

  #notify(kind: NoticeKind, address: string, values: MacroValues, delayMs: number): void {
    // A bidder names only the notices that it wants.
    if (address === "") return;
    const { request, bid, clearingNanos } = values;
    const url = fillMacros(address, values);
    const event = this.#eventOf(kind, request, bid, clearingNanos ?? 0);
    const again = kind === "billed" && request.billsTwice ? { url } : null;
    this.#notices.send({ event, again, duplicate: false }, url, delayMs);
  }

  #eventOf<K extends LedgerEvent["event"]>(
    event: K,
    request: AuctionRequest,
    bid: Bid,
    nanos: number,
  ): LedgerEvent & { readonly event: K } {
    return {
      at: this.#options.clock.wallMs(),
      event,
      bidId: bid.id,
      requestId: request.id,
      impressionId: bid.impressionId,
      campaignId: bid.campaignId,
      priceMicros: microsOfNanos(nanos),
      ...(request.test ? { test: true } : {}),
    };
  }

  #onAcknowledged({ event, again, duplicate }: OutgoingNotice): void {
    if (duplicate) {
      this.#options.tally.notices.duplicate++;
      return;
    }
    this.#record({ ...event, at: this.#options.clock.wallMs() });
    if (again === null) return;
    this.#notices.send({ event, again: null, duplicate: true }, again.url, limits.noticeRepeatMs);
  }

  #onGivenUp({ event, duplicate }: OutgoingNotice): void {
    // The first of the two was acknowledged: nothing is unknown.
    if (duplicate) return;
    const at = this.#options.clock.wallMs();
    this.#record({ ...event, at, event: "given-up", notice: event.event });
  }

  #record(event: LedgerEvent): void {
    const { ledger, tally } = this.#options;
    if (ledger === null) tally.countEvent(event);
    else ledger.append(event);
  }
}
