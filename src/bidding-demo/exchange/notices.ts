// Notices: tells the bidder what became of its bids, until it has heard.
// Owns: when a notice is sent, repeats, giving up, the limit of notices that wait. Does not own:
// the wire (notice-transport.ts), what a notice says (macros.ts), what is counted (exchange.ts).
//
//     send ── after its delay ──▶ try ──200 or 204──▶ acknowledged
//                                  ▲ └──else──▶ wait a second; given up after a minute
import type { Clock } from "../../base/clock.ts";
import { limits } from "../../base/limits.ts";
import type { Timers } from "../../base/timers.ts";

export interface NoticeSenderOptions<T> {
  readonly clock: Clock;
  readonly timers: Timers;
  /** One try: `respond` is called once, with whether the bidder acknowledged. */
  readonly transport: (url: string, respond: (acknowledged: boolean) => void) => void;
  readonly onAcknowledged: (notice: T) => void;
  /** Not acknowledged in its time, or never sent because too many wait: it is not sent again. */
  readonly onGivenUp: (notice: T) => void;
}

interface Pending<T> {
  readonly notice: T;
  readonly url: string;
  /** Of the first try; 0 before it. */
  firstTryMs: number;
}

export class NoticeSender<T> {
  readonly #options: NoticeSenderOptions<T>;
  #pending = 0;
  #repeats = 0;
  #drained: (() => void)[] = [];

  constructor(options: NoticeSenderOptions<T>) {
    this.#options = options;
  }

  /** Notices that wait for their time, for an answer, or for a repeat. */
  get pending(): number {
    return this.#pending;
  }

  /** Tries after the first of a notice. */
  get repeats(): number {
    return this.#repeats;
  }

  /** Sends a notice after `delayMs` (0: now), until it is acknowledged or given up. */
  send(notice: T, url: string, delayMs: number): void {
    if (this.#pending >= limits.noticesPendingMax) {
      this.#options.onGivenUp(notice);
      return;
    }
    this.#pending++;
    const pending: Pending<T> = { notice, url, firstTryMs: 0 };
    if (delayMs === 0) this.#try(pending);
    else this.#options.timers.after(delayMs, () => this.#try(pending));
  }

  /** Resolves when no notice is pending. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#endIfDrained();
    });
  }

  #try(pending: Pending<T>): void {
    const { clock, transport, onAcknowledged } = this.#options;
    if (pending.firstTryMs === 0) pending.firstTryMs = clock.monotonicMs();
    transport(pending.url, (acknowledged) => {
      if (!acknowledged) {
        this.#repeat(pending);
        return;
      }
      this.#pending--;
      onAcknowledged(pending.notice);
      this.#endIfDrained();
    });
  }

  #repeat(pending: Pending<T>): void {
    const { clock, timers, onGivenUp } = this.#options;
    const nextMs = clock.monotonicMs() + limits.noticeRepeatMs;
    if (nextMs - pending.firstTryMs <= limits.noticeGiveUpMs) {
      timers.after(limits.noticeRepeatMs, () => {
        this.#repeats++;
        this.#try(pending);
      });
      return;
    }
    this.#pending--;
    onGivenUp(pending.notice);
    this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (this.#pending > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
