// Closed loop: a fixed number of bids under way in this process; each answer makes room for one.
// Owns: what is under way, what was answered, how long it took. Does not own: inputs, candidates.
// Answers of one tick are replaced together in the next one, as requests come from sockets: a
// candidate that answers at once cannot keep the event loop for itself.
import { Histogram } from "../src/base/histogram.ts";
import type { BidInput } from "../src/bidding-demo/bid-command.ts";
import type { Reserver } from "./reservation-inputs.ts";

export class ClosedLoop {
  readonly #outstanding: number;
  readonly #next: () => BidInput;
  readonly #bid: Reserver["bid"];
  /** Of answers, from the call on. */
  latency = new Histogram();
  bids = 0;
  heldMicros = 0;
  /** What came instead of bids, and how often. */
  readonly others = new Map<string, number>();
  #underWay = 0;
  #stopped = false;
  #refilling = false;
  #drained: (() => void) | null = null;

  constructor(outstanding: number, next: () => BidInput, bid: Reserver["bid"]) {
    this.#outstanding = outstanding;
    this.#next = next;
    this.#bid = bid;
  }

  start(): void {
    while (this.#underWay < this.#outstanding) this.#begin();
  }

  /** Begins no more; resolves when all that is under way is answered. */
  stop(): Promise<void> {
    this.#stopped = true;
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#underWay === 0) resolve();
    });
  }

  #begin(): void {
    this.#underWay++;
    const startedMs = performance.now();
    this.#bid(this.#next(), (price) => {
      this.latency.recordMs(performance.now() - startedMs);
      this.#answered(price);
    });
  }

  #answered(price: number | string): void {
    this.#underWay--;
    if (typeof price === "number") {
      this.bids++;
      this.heldMicros += price;
    } else {
      this.others.set(price, (this.others.get(price) ?? 0) + 1);
    }
    if (this.#stopped) {
      if (this.#underWay === 0) this.#drained?.();
    } else if (!this.#refilling) {
      this.#refilling = true;
      setImmediate(() => {
        this.#refilling = false;
        if (!this.#stopped) this.start();
      });
    }
  }
}
