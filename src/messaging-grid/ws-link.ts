// WebSocket link: batches between two processes, over a WebSocket of either side.
// Owns: one open WebSocket: its pings, its end. Does not own: how it came about (ws-server.ts,
// ws-client.ts), connecting again after it closed (the caller).
// A peer that is frozen keeps its connection open, so silence ends a link too: each side pings,
// and what it hears, pong or batch, counts as a sign of life. Pings without one are counted, not
// time: after a pause of this process itself, nobody is to blame for the silence.
import type { RawData, WebSocket } from "ws";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { FrameLink, FrameLinkListener } from "./frame-link.ts";

/** Common to both sides: compression costs more than it saves on frames of this size. */
export const wsOptions = {
  maxPayload: limits.frameBytesMax,
  perMessageDeflate: false,
  skipUTF8Validation: true, // text is refused anyway
};

/** Who connects: its slot and its incarnation. */
export const helloHeader = "x-orrery-hello";
/** Whom it wants there, and who answers: an incarnation. */
export const wantedHeader = "x-orrery-wanted";
export const answeredHeader = "x-orrery-answered";

export class WsLink implements FrameLink {
  readonly #socket: WebSocket;
  readonly #timers: Timers;
  readonly #pings: TimerHandle;
  #patience: TimerHandle | null = null;
  #pingsUnheard = 0;
  #ended = false;
  #isSilent = false;
  #listener: FrameLinkListener | null = null;

  /** `socket` is open, and nothing has been read from it yet. */
  constructor(socket: WebSocket, timers: Timers) {
    this.#socket = socket;
    this.#timers = timers;
    socket.pause(); // keeps what comes until `start`
    socket.on("close", () => {
      this.#end();
    });
    socket.on("error", () => {
      socket.terminate(); // a broken frame, a reset connection; "close" follows
    });
    socket.on("pong", () => {
      this.#pingsUnheard = 0;
    });
    this.#pings = timers.every(limits.peerPingIntervalMs, () => {
      this.#ping();
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  start(listener: FrameLinkListener): void {
    assert(this.#listener === null, "a link is started once");
    this.#listener = listener;
    if (this.#ended) {
      this.#tellEnd(listener);
      return;
    }
    this.#socket.on("message", (data: RawData, isBinary: boolean) => {
      this.#pingsUnheard = 0;
      if (!isBinary || !(data instanceof Uint8Array)) this.close();
      else if (this.#patience === null) listener.onBatch(data);
    });
    this.#socket.resume();
  }

  send(batch: Uint8Array<ArrayBuffer>): void {
    if (this.#ended || this.#patience !== null) return;
    this.#socket.send(batch);
  }

  close(): void {
    if (this.#ended || this.#patience !== null) return;
    // Never started: the peer's part of the closing would stay unread.
    if (this.#listener === null) this.#socket.resume();
    this.#socket.close();
    this.#patience = this.#timers.after(limits.peerCloseMsMax, () => {
      this.#socket.terminate();
    });
  }

  #ping(): void {
    const silentMs = this.#pingsUnheard * limits.peerPingIntervalMs;
    if (silentMs >= limits.peerSilenceMsMax) {
      this.#isSilent = true;
      this.#socket.terminate();
      return;
    }
    this.#pingsUnheard++;
    this.#socket.ping();
  }

  #end(): void {
    this.#ended = true;
    this.#pings.cancel();
    this.#patience?.cancel();
    if (this.#listener !== null) this.#tellEnd(this.#listener);
  }

  #tellEnd(listener: FrameLinkListener): void {
    if (this.#isSilent) listener.onClose("silent");
    else listener.onClose();
  }
}
