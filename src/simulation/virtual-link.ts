// Virtual link: one end of a link between two virtual processes. It behaves as a WebSocket over
// TCP does: in order whatever happens, held back while the way is cut, ended by silence.
// Owns: what is on its way to the other end, pings, the end of the link.
// Does not own: how long a way takes and which ways are cut (virtual-network.ts).
// What a process sent before it died may still arrive or may not; that it died, the other side is
// told, if the way is open. A process that is paused takes nothing and answers no ping: only the
// silence ends its links.
import { assert, must } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle } from "../base/timers.ts";
import type { FrameLink, FrameLinkListener } from "../messaging-grid/frame-link.ts";
import type { VirtualProcess } from "./virtual-process.ts";

type Frame =
  | { readonly kind: "batch"; readonly bytes: Uint8Array; lost: boolean }
  | { readonly kind: "ping" | "pong" | "close" | "end"; lost: boolean };

/** What a link needs of the network that it lies in. */
export interface LinkWay {
  /** Calls back once something sent now arrives; the way may be cut by then. */
  travel(notBeforeMs: number, arrived: () => void): number;
  readonly isCut: boolean;
  /** Whether what is on its way when a link ends is lost with it. */
  losesRest(): boolean;
  /** Something reached the other process. */
  passed(what: string, bytes: number): void;
}

export class VirtualLink implements FrameLink {
  readonly #process: VirtualProcess;
  readonly #way: LinkWay;
  readonly #pings: TimerHandle;
  #peer: VirtualLink | null = null;
  /** Sent, and not yet at the other process. */
  readonly #underway: Frame[] = [];
  #lastArrivalMs = 0;
  /** Arrivals that a cut held up. */
  #heldUp = 0;
  /** At this process, and not yet looked at: it may be paused, or the link not started. */
  readonly #arrived: Frame[] = [];
  #bufferedBytes = 0;
  #listener: FrameLinkListener | null = null;
  #state: "open" | "closing" | "ended" = "open";
  #patience: TimerHandle | null = null;
  #pingsUnheard = 0;
  #isSilent = false;

  constructor(process: VirtualProcess, way: LinkWay) {
    this.#process = process;
    this.#way = way;
    this.#pings = process.timers.every(limits.peerPingIntervalMs, () => {
      this.#ping();
    });
    process.whenKilled(() => {
      this.#leave();
    });
  }

  /** Makes two ends one link. */
  static join(one: VirtualLink, other: VirtualLink): void {
    one.#peer = other;
    other.#peer = one;
    for (const end of [one, other]) if (end.#process.state === "dead") end.#leave();
  }

  /** True once nothing comes of it any more. */
  get settled(): boolean {
    const isOver = this.#state === "ended" || this.#process.state === "dead";
    return isOver && this.#underway.length === 0;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  start(listener: FrameLinkListener): void {
    assert(this.#listener === null, "a link is started once");
    this.#listener = listener;
    if (this.#state === "ended") this.#tellEnd(listener);
    else this.#process.timers.after(0, () => this.#takeAll());
  }

  send(batch: Uint8Array<ArrayBuffer>): void {
    assert(batch.byteLength === batch.buffer.byteLength, "a batch owns its memory");
    if (this.#state !== "open") return;
    this.#bufferedBytes += batch.byteLength;
    // As between threads: the sender has it no longer, and a mistake about that shows at once.
    this.#push({ kind: "batch", bytes: new Uint8Array(batch.buffer.transfer()), lost: false });
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#push({ kind: "close", lost: false });
    this.#patience = this.#process.timers.after(limits.peerCloseMsMax, () => this.terminate());
    this.#process.timers.after(0, () => this.#takeAll()); // also where it was never started
  }

  /** Ends it here at once, and tells the other side. */
  terminate(): void {
    if (this.#state === "ended") return;
    this.#leave();
    this.#end();
  }

  /** The network drops it: what is under way is lost, and both sides are told. */
  reset(): void {
    for (const end of [this, must(this.#peer, "a link has two ends")]) {
      if (end.#state === "ended") continue;
      for (const frame of end.#underway) frame.lost = true;
      end.#push({ kind: "end", lost: false });
    }
  }

  /** The way to the other end is open again. */
  healed(): void {
    const heldUp = this.#heldUp;
    this.#heldUp = 0;
    for (let each = 0; each < heldUp; each++) this.#travel();
  }

  #push(frame: Frame): void {
    this.#underway.push(frame);
    this.#travel();
  }

  #travel(): void {
    this.#lastArrivalMs = this.#way.travel(this.#lastArrivalMs, () => {
      if (this.#way.isCut) this.#heldUp++;
      else this.#deliver();
    });
  }

  /** The first of what is under way reaches the other process. */
  #deliver(): void {
    const frame = must(this.#underway.shift(), "each arrival is of something that was sent");
    if (frame.lost) return;
    const peer = must(this.#peer, "a link has two ends");
    const bytes = frame.kind === "batch" ? frame.bytes.byteLength : 0;
    this.#way.passed(frame.kind, bytes);
    peer.#arrived.push(frame);
    peer.#process.deliver(() => {
      if (peer.#listener !== null || peer.#state !== "open") peer.#takeAll();
    });
  }

  #takeAll(): void {
    for (let next = this.#arrived.shift(); next !== undefined; next = this.#arrived.shift()) {
      this.#take(next);
    }
  }

  #take(frame: Frame): void {
    if (this.#state === "ended") return;
    switch (frame.kind) {
      case "batch":
        this.#pingsUnheard = 0;
        must(this.#peer, "a link has two ends").#bufferedBytes -= frame.bytes.byteLength;
        if (this.#state === "open") this.#listener?.onBatch(frame.bytes);
        break;
      case "ping":
        this.#push({ kind: "pong", lost: false });
        break;
      case "pong":
        this.#pingsUnheard = 0;
        break;
      case "close": // what was sent before is still read there, and then that it ended
        this.#push({ kind: "end", lost: false });
        this.#end();
        break;
      case "end":
        this.#end();
        break;
    }
  }

  // As WsLink counts: pings without a sign of life, not time.
  #ping(): void {
    if (this.#pingsUnheard * limits.peerPingIntervalMs >= limits.peerSilenceMsMax) {
      this.#isSilent = true;
      this.terminate();
      return;
    }
    this.#pingsUnheard++;
    this.#push({ kind: "ping", lost: false });
  }

  /** The operating system's part of an end: it needs no live process. */
  #leave(): void {
    if (this.#state === "ended") return;
    if (this.#way.losesRest()) for (const frame of this.#underway) frame.lost = true;
    this.#push({ kind: "end", lost: false });
    this.#pings.cancel();
  }

  #end(): void {
    this.#state = "ended";
    this.#pings.cancel();
    this.#patience?.cancel();
    if (this.#listener !== null) this.#tellEnd(this.#listener);
  }

  #tellEnd(listener: FrameLinkListener): void {
    if (this.#isSilent) listener.onClose("silent");
    else listener.onClose();
  }
}
