// Open loop: sends what a plan says when it says so, whatever the server does.
// Owns: pacing, the response time (planned → done), the service time (sent → done), lateness, the
// cap of requests in flight. Does not own: the plan (arrival-plan.ts), the wire (http-client.ts).
//
// The response time begins at the planned moment: a server that stalls is charged with every
// request that was due meanwhile, not only with the one that it held (coordinated omission).
// Nothing is added to what was measured: a correction on top would count the stall twice.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { Histogram } from "../base/histogram.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { ArrivalPlan } from "./arrival-plan.ts";

export interface OpenLoopCounts {
  /** Requests that were due; each has a number from 0, whether it was sent or not. */
  readonly planned: number;
  readonly sent: number;
  /** Due while the cap of requests in flight was reached. */
  readonly notSent: number;
  readonly inFlight: number;
}

/** What one stretch of time saw. Merge histograms by `add`; percentiles are never averaged. */
export interface OpenLoopWindow {
  readonly sent: number;
  readonly notSent: number;
  readonly finished: number;
  readonly response: Histogram;
  readonly service: Histogram;
  /** How much later than planned requests were given to the client: the generator's own fault. */
  readonly lateness: Histogram;
}

/** `measured`: whether the time counts. A refusal after no time at all is not an answer's time. */
export type Finish = (measured: boolean) => void;
/** It left only now, as it had to wait for a connection; the service time begins here. */
export type Sent = () => void;

export interface OpenLoopOptions {
  readonly plan: ArrivalPlan;
  readonly inFlightMax: number;
  readonly clock: Clock;
  /** How exactly they keep a time is what `lateness` shows. */
  readonly timers: Pick<Timers, "after">;
  /**
   * Sends the request of this number; `finish` is called once, at once or later. `sent` may be
   * called before that; where it is not, the service time begins with this call.
   */
  readonly send: (number: number, finish: Finish, sent: Sent) => void;
}

export class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #total = new WindowCounts();
  #window = new WindowCounts();
  #nextMs: number | undefined;
  #planned = 0;
  #inFlight = 0;
  #startMs = 0;
  #pacer: TimerHandle | undefined;
  #started = false;
  #finished: (() => void) | undefined;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
  }

  /** Resolves when the plan has ended, or `stop` was called, and nothing is in flight any more. */
  run(): Promise<void> {
    assert(!this.#started, "a loop runs once");
    this.#started = true;
    const { plan, clock } = this.#options;
    return new Promise((resolve) => {
      this.#finished = resolve;
      this.#startMs = clock.monotonicMs();
      this.#nextMs = plan.next();
      this.#sendDue();
    });
  }

  /** Sends nothing more; `run` resolves when what is in flight has finished. */
  stop(): void {
    this.#nextMs = undefined;
    this.#pacer?.cancel();
    this.#endIfDone();
  }

  /** When the plan began, by the loop's clock. */
  get startMs(): number {
    return this.#startMs;
  }

  get counts(): OpenLoopCounts {
    const { sent, notSent } = this.#both();
    return { planned: this.#planned, sent, notSent, inFlight: this.#inFlight };
  }

  /** What was seen since the last call; the next window begins. */
  takeWindow(): OpenLoopWindow {
    const window = this.#window;
    this.#window = new WindowCounts();
    this.#total.add(window);
    return window;
  }

  /** What was seen since the start. */
  total(): OpenLoopWindow {
    const total = new WindowCounts();
    total.add(this.#total);
    total.add(this.#window);
    return total;
  }

  #both(): { sent: number; notSent: number } {
    return {
      sent: this.#total.sent + this.#window.sent,
      notSent: this.#total.notSent + this.#window.notSent,
    };
  }

  #sendDue(): void {
    const elapsedMs = this.#options.clock.monotonicMs() - this.#startMs;
    while (this.#nextMs !== undefined && this.#nextMs <= elapsedMs) {
      const plannedMs = this.#nextMs;
      // Before sending: `send` may finish at once, and may call `stop`.
      this.#nextMs = this.#options.plan.next();
      this.#sendOne(plannedMs);
    }
    if (this.#nextMs === undefined) {
      this.stop();
      return;
    }
    const nowMs = this.#options.clock.monotonicMs() - this.#startMs;
    const waitMs = Math.max(0, this.#nextMs - nowMs);
    this.#pacer = this.#options.timers.after(waitMs, () => this.#sendDue());
  }

  #sendOne(plannedMs: number): void {
    const number = this.#planned++;
    if (this.#inFlight >= this.#options.inFlightMax) {
      this.#window.notSent++;
      return;
    }
    const { clock, send } = this.#options;
    let sentMs = clock.monotonicMs() - this.#startMs;
    this.#window.sent++;
    this.#window.lateness.recordMs(sentMs - plannedMs);
    this.#inFlight++;
    let open = true;
    const finish: Finish = (measured) => {
      assert(open, "a request finishes once");
      open = false;
      this.#inFlight--;
      this.#window.finished++;
      if (measured) {
        const doneMs = clock.monotonicMs() - this.#startMs;
        this.#window.response.recordMs(doneMs - plannedMs);
        this.#window.service.recordMs(doneMs - sentMs);
      }
      this.#endIfDone();
    };
    send(number, finish, () => (sentMs = clock.monotonicMs() - this.#startMs));
  }

  #endIfDone(): void {
    if (this.#nextMs !== undefined || this.#inFlight > 0) return;
    this.#finished?.();
    this.#finished = undefined;
  }
}

class WindowCounts implements OpenLoopWindow {
  sent = 0;
  notSent = 0;
  finished = 0;
  readonly response = new Histogram();
  readonly service = new Histogram();
  readonly lateness = new Histogram();

  add(other: OpenLoopWindow): void {
    this.sent += other.sent;
    this.notSent += other.notSent;
    this.finished += other.finished;
    this.response.add(other.response);
    this.service.add(other.service);
    this.lateness.add(other.lateness);
  }
}
