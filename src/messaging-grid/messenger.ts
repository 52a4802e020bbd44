// Messenger: one lane's calls to all its peers, and theirs to it, and what they tell one another.
// What one tick brings together for a peer leaves as one batch. A peer is a slot of the roster.
// Owns: which link is a peer's present one, the end of the tick. Does not own: calls and answers
// (peer-channel.ts), who owns what (owner-table.ts), deadlines (the caller's lane).
// Invariants (docs/invariants.md):
//   M1. Every call is answered exactly once.
//   M3. When a link ends, or another takes its place, all calls that wait for its peer are
//       answered LANE_LOST, or PEER_UNREACHABLE where nothing was sent.
import type { Clock } from "../base/clock.ts";
import { failed } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { CommandRequest, Notice } from "./frames.ts";
import type { FrameLink } from "./frame-link.ts";
import { PeerChannel, type PeerChannelEvents, type Respond } from "./peer-channel.ts";

export interface MessengerOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** A command that a peer sent here; `respond` is called once, at any time. */
  readonly onRequest: PeerChannelEvents["onRequest"];
  /** What a peer tells of a partition of its own; in order with its commands. */
  readonly onNotice: PeerChannelEvents["onNotice"];
  /** A link to a peer ended; `reaches` says whether another has taken its place. */
  readonly onLost: (peer: number) => void;
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
      onNotice: options.onNotice,
      onWaiting: (channel) => {
        this.#flushLater(channel);
      },
      onLost: (channel) => {
        if (this.#channels.get(channel.peer) === channel) this.#channels.delete(channel.peer);
        options.onLost(channel.peer);
      },
    };
  }

  /** Reaches `peer` over this link from now on; a link before it is closed. */
  connect(peer: number, link: FrameLink): void {
    if (this.#closed) {
      link.close();
      return;
    }
    const before = this.#channels.get(peer);
    const channel = new PeerChannel({ peer, link, clock: this.#clock, events: this.#events });
    this.#channels.set(peer, channel); // first: whose call is lost may send it again at once
    before?.close();
    channel.start();
  }

  /** True while calls to `peer` have a way. */
  reaches(peer: number): boolean {
    return this.#channels.has(peer);
  }

  /**
   * Sends a command to a peer and responds once. Fails with PEER_UNREACHABLE (retryable) where
   * nothing was sent, LANE_LOST (unknown) where the link ends before the answer, OVERLOADED
   * (retryable) and VALUE_TOO_LARGE (terminal) at a limit; these may come before this returns.
   * There is no deadline here.
   */
  send(peer: number, request: CommandRequest, respond: Respond): void {
    const channel = this.#channels.get(peer);
    if (channel === undefined) {
      respond(failed("PEER_UNREACHABLE", `lane ${String(peer)} cannot be reached`));
      return;
    }
    channel.send(request, respond);
  }

  /** Tells a peer something, behind what was sent to it before; nobody, where there is no link. */
  tell(peer: number, notice: Notice): void {
    this.#channels.get(peer)?.tell(notice);
  }

  /** Tells all peers that there is a link to. */
  announce(notice: Notice): void {
    for (const channel of this.#channels.values()) channel.tell(notice);
  }

  /** Lets what waits leave, then closes all links; later calls are PEER_UNREACHABLE. */
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
