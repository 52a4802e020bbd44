// Peer channel: calls and answers between this lane and one other, over one link, for as long as
// the link lives.
// Owns: the numbers of calls, who waits for which answer, the batch that leaves next.
// Does not own: deadlines (the caller's lane keeps them, and answers at them whatever comes
// later), when a tick ends and which link is the peer's present one (messenger.ts).
// Invariants (docs/invariants.md):
//   M1. Every call is answered exactly once: by the peer, by a limit, or by the link's end.
//   M2. Calls and notices arrive in the order they were sent, and so do answers: the receiver
//       checks that calls are numbered without a gap.
//   M3. When a link ends, all calls that wait for its peer are answered: LANE_LOST, or
//       PEER_UNREACHABLE where they had not left yet, as later ones are at once; a late answer of
//       ours is dropped, because the peer has answered its caller.
//   M4. At a limit there is an answer, and nothing else is harmed.
//   M5. A malformed batch ends the link, and nothing of it takes effect.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failed, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Value } from "../grid/log-record.ts";
import {
  BatchWriter,
  decodeBatch,
  type CommandRequest,
  type Message,
  type Notice,
} from "./frames.ts";
import type { FrameLink } from "./frame-link.ts";

/** Called exactly once with what became of a call. */
export type Respond = (outcome: Outcome<Value>) => void;

export interface PeerChannelEvents {
  /** A command of the peer's; `respond` may be called at once or at any time later. */
  onRequest(peer: number, request: CommandRequest, respond: Respond): void;
  /** What the peer says of a partition of its own. */
  onNotice(peer: number, notice: Notice): void;
  /** Something waits for `flush`; said once until then. */
  onWaiting(channel: PeerChannel): void;
  onLost(channel: PeerChannel): void;
}

export class PeerChannel {
  readonly peer: number;
  readonly #link: FrameLink;
  readonly #clock: Clock;
  readonly #events: PeerChannelEvents;
  readonly #writer = new BatchWriter();
  #pending = new Map<number, Respond>();
  #lastSent = 0;
  /** The last call that was given to the link. */
  #lastFlushed = 0;
  #lastReceived = 0;
  /** While something waits: when the first of it came, and what the link held then. */
  #waiting = false;
  #waitingSinceMs = 0;
  #linkBytes = 0;
  #lost = false;

  constructor(options: { peer: number; link: FrameLink; clock: Clock; events: PeerChannelEvents }) {
    this.peer = options.peer;
    this.#link = options.link;
    this.#clock = options.clock;
    this.#events = options.events;
  }

  start(): void {
    this.#link.start({
      onBatch: (batch) => {
        this.#receive(batch);
      },
      onClose: () => {
        this.#lose("the link to it closed");
      },
    });
  }

  /** Sends a command with the next batch. At a limit `respond` is called before this returns. */
  send(request: CommandRequest, respond: Respond): void {
    assert(request.deadlineMs >= 0, "a call has a deadline");
    if (this.#lost) {
      respond(failed("PEER_UNREACHABLE", `lane ${String(this.peer)} is gone`));
      return;
    }
    if (this.#pending.size >= limits.peerCallsPendingMax) {
      respond(this.#overloaded("too many calls wait for its answer"));
      return;
    }
    this.#beginWaiting();
    const number = this.#lastSent + 1;
    const roomBytes = limits.peerQueueBytesMax - this.#linkBytes - this.#writer.waitingBytes;
    // Counted from the batch's first message; its waiting time is taken off where it arrives.
    const deadlineMs = this.#clock.monotonicMs() - this.#waitingSinceMs + request.deadlineMs;
    switch (this.#writer.addRequest(number, deadlineMs, request, roomBytes)) {
      case "added":
        this.#lastSent = number;
        this.#pending.set(number, respond);
        return;
      case "full":
        respond(this.#overloaded("too many bytes wait on the way to it"));
        return;
      case "tooLarge":
        respond(failed("VALUE_TOO_LARGE", `the input of ${request.command} is too large to send`));
        return;
      case "unencodable":
        respond(
          failed(
            "INPUT_INVALID",
            `the input of ${request.command} holds what msgpack cannot carry`,
          ),
        );
        return;
    }
  }

  /** Sends a notice with the next batch, behind the calls that were sent before it (M2). */
  tell(notice: Notice): void {
    if (this.#lost) return;
    this.#beginWaiting();
    this.#writer.addNotice(notice);
  }

  /** Gives all that waits to the link. */
  flush(): void {
    this.#waiting = false;
    this.#lastFlushed = this.#lastSent;
    if (this.#lost || this.#writer.waitingBytes === 0) return;
    const waitedMs = this.#clock.monotonicMs() - this.#waitingSinceMs;
    for (const batch of this.#writer.take(waitedMs)) this.#link.send(batch);
  }

  /** Lets what waits leave, then ends the link; calls without an answer are LANE_LOST (M3). */
  close(): void {
    if (this.#lost) return;
    this.flush();
    this.#lose("the link to it was closed here");
  }

  #overloaded(why: string): Outcome<never> {
    return failed("OVERLOADED", `lane ${String(this.peer)} is behind: ${why}`);
  }

  // Reading the clock and the link's state is per batch, not per call.
  #beginWaiting(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#waitingSinceMs = this.#clock.monotonicMs();
    this.#linkBytes = this.#link.bufferedBytes;
    this.#events.onWaiting(this);
  }

  #receive(batch: Uint8Array): void {
    if (this.#lost) return;
    const messages = decodeBatch(batch);
    if (messages === null || !this.#inOrder(messages)) {
      this.#lose("it sent what is not a batch of this protocol");
      return;
    }
    this.#dispatch(messages);
  }

  #dispatch(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#lost) return; // an answer before this one led to it
      switch (message.kind) {
        case "answer":
          this.#settle(message.number, message.outcome);
          break;
        case "request":
          this.#events.onRequest(this.peer, message.request, this.#answerer(message.number));
          break;
        case "notice":
          this.#events.onNotice(this.peer, message.notice);
          break;
      }
    }
  }

  // Before anything takes effect (M5): calls follow one another (M2), answers are waited for (M1).
  #inOrder(messages: readonly Message[]): boolean {
    let last = this.#lastReceived;
    for (const message of messages) {
      if (message.kind === "request" && message.number !== ++last) return false;
      if (message.kind === "answer" && !this.#pending.has(message.number)) return false;
    }
    this.#lastReceived = last;
    return true;
  }

  #settle(number: number, outcome: Outcome<Value>): void {
    const respond = this.#pending.get(number);
    if (respond === undefined) {
      this.#lose("it answered a call twice"); // in one batch; `inOrder` finds the other cases
      return;
    }
    this.#pending.delete(number);
    respond(outcome);
  }

  #answerer(number: number): Respond {
    let answered = false;
    return (outcome) => {
      assert(!answered, "a command is answered once"); // M1
      answered = true;
      if (this.#lost) return; // M3
      this.#beginWaiting();
      this.#writer.addAnswer(number, outcome);
    };
  }

  #lose(why: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#link.close();
    this.#events.onLost(this);
    const pending = this.#pending;
    this.#pending = new Map();
    const lane = `lane ${String(this.peer)} is lost`;
    const maybe = failed("LANE_LOST", `${lane}, and the command may have happened: ${why}`);
    const never = failed("PEER_UNREACHABLE", `${lane}, and the command was not sent: ${why}`);
    for (const [number, respond] of pending) {
      respond(number <= this.#lastFlushed ? maybe : never);
    }
  }
}
