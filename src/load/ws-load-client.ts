// WebSocket load client: a load over WebSockets, in one of two forms.
// With bodies: each is a message on a connection that stays open, and the next message on it is its
// answer. Without: each request is a page that connects, is told something, and leaves; that is
// what a lane's live page is used for, which tells its clients and expects nothing of them.
// Owns: connections, whose turn it is, deadlines. Does not own: when requests are due.
import { assert, must } from "../base/assert.ts";
import { BoundedQueue } from "../base/bounded-queue.ts";
import type { Clock } from "../base/clock.ts";
import { failed, ok, type FailureCode, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { withDeadline, type TimerHandle, type Timers } from "../base/timers.ts";
import type { LoadAnswer, LoadClient } from "./load-client.ts";
import type { LoadSpec } from "./load-spec.ts";

interface Call {
  readonly number: number;
  readonly answered: (answer: LoadAnswer) => void;
  readonly sent: () => void;
  readonly deadlineMs: number;
}

interface Slot {
  socket: WebSocket | null;
  isOpen: boolean;
  /** What waits for a message. */
  call: Call | null;
  /** It lies in the queue of idle ones, perhaps from before it was lost. */
  isQueued: boolean;
}

const sweepMs = 5;

export class WsLoadClient implements LoadClient {
  readonly #spec: LoadSpec;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #slots: readonly Slot[];
  /** Those that can take a call, but for the ones that were lost meanwhile. */
  readonly #idle: BoundedQueue<Slot>;
  readonly #waiting: BoundedQueue<Call>;
  #sweeper: TimerHandle | undefined;
  #isClosed = false;

  constructor(spec: LoadSpec, { clock, timers }: { clock: Clock; timers: Timers }) {
    this.#spec = spec;
    this.#clock = clock;
    this.#timers = timers;
    this.#slots = Array.from({ length: spec.connections }, () => {
      return { socket: null, isOpen: false, call: null, isQueued: false };
    });
    this.#idle = new BoundedQueue(spec.connections);
    this.#waiting = new BoundedQueue(spec.inFlightMax);
  }

  /** Connects; a load of pages connects once, to see whether anybody is there. */
  async open(): Promise<Outcome<void>> {
    const { url, connections } = this.#spec;
    const slots = this.#slots.slice(0, this.#isKept ? connections : 1);
    const opened = Promise.all(slots.map((slot) => this.#connect(slot)));
    const found = await withDeadline(this.#timers, limits.connectMsMax, opened, () => []);
    if (!found.includes(true)) {
      this.close();
      const what = "start what should answer there, or name another target";
      return failed("TARGET_UNREACHABLE", `${url} takes no WebSocket connection: ${what}`);
    }
    if (!this.#isKept) {
      for (const slot of slots) this.#leave(slot);
      for (const slot of this.#slots) this.#release(slot);
    }
    this.#sweeper = this.#timers.every(sweepMs, () => this.#sweep());
    return ok(undefined);
  }

  send(number: number, answered: (answer: LoadAnswer) => void, sent: () => void): void {
    const deadlineMs = this.#clock.monotonicMs() + this.#spec.deadlineMs;
    const call: Call = { number, answered, sent, deadlineMs };
    const slot = this.#takeIdle();
    if (slot !== undefined) this.#begin(slot, call);
    else assert(this.#waiting.push(call), "no more wait than may be in flight");
  }

  close(): void {
    this.#isClosed = true;
    this.#sweeper?.cancel();
    for (const { socket } of this.#slots) socket?.close();
  }

  /** Whether connections stay open from one request to the next. */
  get #isKept(): boolean {
    return this.#spec.bodies.length > 0;
  }

  /** Resolves when it is known whether it could connect. */
  #connect(slot: Slot): Promise<boolean> {
    const socket = new WebSocket(this.#spec.url);
    slot.socket = socket;
    slot.isOpen = false;
    return new Promise((resolve) => {
      socket.addEventListener("open", () => {
        resolve(true);
        if (slot.socket !== socket) return;
        slot.isOpen = true;
        if (this.#isKept) this.#release(slot);
      });
      socket.addEventListener("message", () => {
        if (slot.socket === socket) this.#finish(slot, { outcome: "message", measured: true });
      });
      // An error is followed by `close`.
      socket.addEventListener("close", () => {
        resolve(false);
        if (slot.socket === socket) this.#lost(slot);
      });
    });
  }

  #takeIdle(): Slot | undefined {
    for (;;) {
      const slot = this.#idle.shift();
      if (slot === undefined) return undefined;
      slot.isQueued = false;
      if (slot.isOpen || !this.#isKept) return slot;
    }
  }

  #begin(slot: Slot, call: Call): void {
    assert(slot.call === null, "one request at a time");
    slot.call = call;
    if (this.#isKept) {
      const { bodies } = this.#spec;
      const body = must(bodies[call.number % bodies.length], "there are bodies");
      must(slot.socket, "it is connected").send(body);
    } else {
      void this.#connect(slot);
    }
  }

  #finish(slot: Slot, answer: LoadAnswer): void {
    const { call } = slot;
    if (call === null) return; // a message that nobody asked for
    slot.call = null;
    if (!this.#isKept) this.#leave(slot);
    if (!this.#isKept || slot.isOpen) this.#release(slot);
    call.answered(answer);
  }

  #leave(slot: Slot): void {
    const { socket } = slot;
    slot.socket = null;
    slot.isOpen = false;
    socket?.close();
  }

  /** It can take a call: the one that waited longest, or the next one. */
  #release(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.sent();
      this.#begin(slot, next);
    } else if (!slot.isQueued) {
      slot.isQueued = true;
      assert(this.#idle.push(slot), "there is room for every connection");
    }
  }

  #lost(slot: Slot): void {
    const code: FailureCode = slot.isOpen ? "CONNECTION_LOST" : "TARGET_UNREACHABLE";
    slot.isOpen = false;
    slot.socket = null;
    // A call that nobody answers now takes no time: it says nothing of how fast the server is.
    this.#finish(slot, { outcome: code, measured: false });
    if (!this.#isKept || this.#isClosed) return;
    this.#timers.after(limits.reconnectMsMax, () => {
      if (!this.#isClosed && slot.socket === null) void this.#connect(slot);
    });
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    const late: LoadAnswer = { outcome: "DEADLINE_EXCEEDED", measured: true };
    // In the order of their deadlines.
    while ((this.#waiting.peek()?.deadlineMs ?? Infinity) <= nowMs) {
      this.#waiting.shift()?.answered(late);
    }
    for (const slot of this.#slots) {
      if (slot.call === null || slot.call.deadlineMs > nowMs) continue;
      // What comes on this connection later would be taken for the next one's answer.
      this.#leave(slot);
      this.#finish(slot, late);
      if (this.#isKept) void this.#connect(slot);
    }
  }
}
