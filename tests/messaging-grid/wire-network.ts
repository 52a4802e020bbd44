// Wire network: addresses and links between lanes of one thread, in virtual time.
// Owns: who listens where, delays, links that break or fall silent. Keeps the contract of
// frame-link.ts and of a dial (peer-links.ts): what is not there is PEER_GONE.
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Random } from "../../src/base/random.ts";
import type { FrameLink, FrameLinkListener } from "../../src/messaging-grid/frame-link.ts";
import type { Hello } from "../../src/messaging-grid/hello.ts";
import type { VirtualTime } from "../../src/simulation/virtual-time.ts";

type Arrival = { readonly batch: Uint8Array } | { readonly end: "closed" | "silent" };

export class WireEnd implements FrameLink {
  readonly bufferedBytes = 0;
  readonly hello: Hello;
  other: WireEnd = this;
  isOpen = true;
  /** Nothing passes any more, and nobody is told. */
  silent = false;
  readonly #wires: WireNetwork;
  readonly #kept: Arrival[] = [];
  #listener: FrameLinkListener | null = null;
  #arrivesAtMs = 0;

  /** `hello`: the lane that has this end. */
  constructor(wires: WireNetwork, hello: Hello) {
    this.#wires = wires;
    this.hello = hello;
  }

  start(listener: FrameLinkListener): void {
    this.#listener = listener;
    for (const arrival of this.#kept.splice(0)) this.arrive(arrival);
  }

  send(batch: Uint8Array): void {
    if (this.isOpen) this.#travel({ batch });
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#travel({ end: "closed" });
  }

  arrive(arrival: Arrival): void {
    if ("end" in arrival) this.isOpen = false;
    if (this.#listener === null) this.#kept.push(arrival);
    else if ("batch" in arrival) {
      if (this.isOpen) this.#listener.onBatch(arrival.batch);
    } else if (arrival.end === "silent") this.#listener.onClose("silent");
    else this.#listener.onClose();
  }

  #travel(arrival: Arrival): void {
    if (this.silent) return;
    const { time } = this.#wires;
    this.#arrivesAtMs = Math.max(this.#arrivesAtMs, time.nowMs + this.#wires.delayMs());
    const { other } = this;
    time.after(this.#arrivesAtMs - time.nowMs, () => {
      if (!this.silent && other.isOpen) other.arrive(arrival);
    });
  }
}

interface Listener {
  readonly hello: Hello;
  accept(hello: Hello, link: FrameLink): void;
}

export class WireNetwork {
  readonly time: VirtualTime;
  /** One way; decided by the test or by chance. */
  delayMs: () => number;
  readonly listeners = new Map<string, Listener>();
  /** Addresses that answer nothing. */
  readonly unanswered = new Set<string>();
  readonly dials: { readonly atMs: number; readonly from: number; readonly address: string }[] = [];
  wires: [WireEnd, WireEnd][] = [];

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.delayMs = () => random.fraction() * 5;
  }

  dial(address: string, hello: Hello, wanted: string): Promise<Outcome<FrameLink>> {
    const { time } = this;
    this.dials.push({ atMs: time.nowMs, from: hello.slot, address });
    return new Promise((resolve) => {
      const patience = time.after(limits.peerConnectMs, () => {
        resolve(failed("PEER_UNREACHABLE", `no answer from ${address}`));
      });
      const answer = (outcome: Outcome<FrameLink>) => {
        time.after(this.delayMs(), () => {
          patience.cancel();
          resolve(outcome);
        });
      };
      time.after(this.delayMs(), () => {
        if (this.unanswered.has(address)) return;
        const listener = this.listeners.get(address);
        if (listener?.hello.incarnation !== wanted) {
          answer(failed("PEER_GONE", `${wanted} is not at ${address}`));
          return;
        }
        const [ours, theirs] = this.#wire(hello, listener.hello);
        answer(ok(ours));
        listener.accept(hello, theirs);
      });
    });
  }

  /** Ends all links of an incarnation, as when its process is killed. */
  kill(incarnation: string): void {
    for (const wire of this.openWires()) {
      if (wire.some(({ hello }) => hello.incarnation === incarnation)) this.break(wire);
    }
  }

  /** Both ends are told; what is under way is lost. */
  break(wire: [WireEnd, WireEnd]): void {
    for (const end of wire) end.silent = true;
    for (const end of wire) this.#end(end, this.delayMs(), "closed");
  }

  /** Nothing passes any more; each end finds out by itself. */
  silence(wire: [WireEnd, WireEnd]): void {
    for (const end of wire) {
      end.silent = true;
      this.#end(end, limits.peerSilenceMsMax + this.delayMs(), "silent");
    }
  }

  openWires(): [WireEnd, WireEnd][] {
    this.wires = this.wires.filter((wire) => wire.some(({ isOpen }) => isOpen));
    return [...this.wires];
  }

  #end(end: WireEnd, afterMs: number, why: "closed" | "silent"): void {
    this.time.after(afterMs, () => {
      if (end.isOpen) end.arrive({ end: why });
    });
  }

  #wire(one: Hello, other: Hello): [WireEnd, WireEnd] {
    const ends: [WireEnd, WireEnd] = [new WireEnd(this, one), new WireEnd(this, other)];
    ends[0].other = ends[1];
    ends[1].other = ends[0];
    this.wires.push(ends);
    return ends;
  }
}
