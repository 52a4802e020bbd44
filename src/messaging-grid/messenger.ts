// Messenger: one lane's calls to all its peers, and theirs to it. What one tick brings together
// for a peer leaves as one batch.
// Owns: which link is a peer's present one, the end of the tick. Does not own: calls and answers
// (peer-channel.ts), who owns what (owner-table.ts), deadlines (the caller's lane).
// Invariants (docs/invariants.md):
//   M1. Every call is answered exactly once.
//   M3. When a link ends, or another takes its place, all calls that wait for its peer are
//       answered LANE_LOST.
import type { Clock } from "../base/clock.ts";
import { failed } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { CommandRequest } from "./frames.ts";
import type { FrameLink } from "./frame-link.ts";
import { PeerChannel, type PeerChannelEvents, type Respond } from "./peer-channel.ts";

export interface MessengerOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** A command that a peer sent here; `respond` is called once, at any time. */
  readonly onRequest: PeerChannelEvents["onRequest"];
}

export class Messenger {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #events: PeerChannelEvents;
  readonly #channels = new Map<number, PeerChannel>();
  #waiting: PeerChannel[] = [];
  #closed = false;

  constructor(options: MessengerOptions) {
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#events = {
      onRequest: options.onRequest,
      onWaiting: (channel) => {
        this.#flushLater(channel);
      },
      onLost: (channel) => {
        if (this.#channels.get(channel.peer) === channel) this.#channels.delete(channel.peer);
      },
    };
  }

  /** Reaches `peer` over this link from now on; a link before it is closed. */
  connect(peer: number, link: FrameLink): void {
    if (this.#closed) {
      link.close();
      return;
    }
    this.#channels.get(peer)?.close();
    const channel = new PeerChannel({ peer, link, clock: this.#clock, events: this.#events });
    this.#channels.set(peer, channel);
    channel.start();
  }

  /** True while calls to `peer` have a way. */
  reaches(peer: number): boolean {
    return this.#channels.has(peer);
  }

  /**
   * Sends a command to a peer and responds once. Fails with LANE_LOST (unknown) where there is no
   * link or it ends before the answer, OVERLOADED (retryable) and VALUE_TOO_LARGE (terminal) at a
   * limit; these may come before this returns. There is no deadline here.
   */
  send(peer: number, request: CommandRequest, respond: Respond): void {
    const channel = this.#channels.get(peer);
    if (channel === undefined) {
      respond(failed("LANE_LOST", `lane ${String(peer)} cannot be reached`));
      return;
    }
    channel.send(request, respond);
  }

  /** Lets what waits leave, then closes all links; later calls are answered LANE_LOST. */
  close(): void {
    this.#closed = true;
    for (const channel of [...this.#channels.values()]) channel.close();
  }

  #flushLater(channel: PeerChannel): void {
    this.#waiting.push(channel);
    if (this.#waiting.length > 1) return;
    this.#timers.endOfTick(() => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const each of waiting) each.flush();
    });
  }
}
