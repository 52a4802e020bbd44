// Virtual network: links between virtual processes in virtual time, as sockets between processes
// are: a dial is answered, refused or not answered; a way takes its time, may be cut in one
// direction, and what is sent into a cut waits until it is healed or its link ends.
// Owns: who listens where, which ways are cut, how long each way takes.
// Does not own: one link (virtual-link.ts), what is sent, connecting again after an end.
import { assert } from "../base/assert.ts";
import { failed, ok, type FailureCode, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle } from "../base/timers.ts";
import type { FrameLink } from "../messaging-grid/frame-link.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import type { TraceHash } from "./trace-hash.ts";
import { VirtualLink, type LinkWay } from "./virtual-link.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How often (0–1) and how long the network is bad; cuts and resets are made by whoever runs it. */
export interface NetworkFaults {
  /** One way, at most. */
  readonly delayMsMax: number;
  /** A packet is lost and sent again: all behind it on its link wait up to `lostMsMax` more. */
  readonly lost: number;
  readonly lostMsMax: number;
}

export const healthyNetwork: NetworkFaults = { delayMsMax: 1, lost: 0, lostMsMax: 0 };

type OnLink = (hello: Hello, link: FrameLink) => void;

/** The network as one process sees it. */
export interface NetworkEndpoint {
  /**
   * Takes links from now on, as the lane of that incarnation; returns the address that others
   * dial. Called once.
   */
  listen(incarnation: string, onLink: OnLink): string;
  /**
   * A link that waits for its start. Fails with PEER_GONE where nobody listens or another
   * incarnation does, with PEER_UNREACHABLE after `limits.peerConnectMs` without an answer.
   */
  connect(address: string, hello: Hello, wanted: string): Promise<Outcome<FrameLink>>;
}

interface Listener {
  readonly process: VirtualProcess;
  readonly incarnation: string;
  readonly onLink: OnLink;
}

interface Dialling {
  readonly process: VirtualProcess;
  readonly from: string;
  readonly to: string;
  readonly hello: Hello;
  readonly wanted: string;
}

interface Line {
  readonly from: string;
  readonly to: string;
  readonly end: VirtualLink;
}

export class VirtualNetwork {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #trace: TraceHash;
  readonly #listeners = new Map<string, Listener>();
  readonly #cuts = new Set<string>();
  #lines: Line[] = [];
  /** What it does from now on; what is under way keeps what was decided for it. */
  faults: NetworkFaults;

  constructor(options: {
    time: VirtualTime;
    random: Random;
    trace: TraceHash;
    faults: NetworkFaults;
  }) {
    this.#time = options.time;
    this.#random = options.random;
    this.#trace = options.trace;
    this.faults = options.faults;
  }

  /** A process at an address; another may have it once the one before is dead. */
  endpoint(process: VirtualProcess, address: string): NetworkEndpoint {
    return {
      listen: (incarnation, onLink) => {
        const before = this.#listeners.get(address);
        assert((before?.process.state ?? "dead") === "dead", () => `${address} is in use`);
        this.#listeners.set(address, { process, incarnation, onLink });
        return address;
      },
      connect: (to, hello, wanted) => {
        const dial = new Dial(process, to);
        this.#dial(dial, { process, from: address, to, hello, wanted });
        return dial.outcome;
      },
    };
  }

  /** Nothing arrives any more that one address sends to the other; the way back stays open. */
  cut(from: string, to: string): void {
    this.#cuts.add(wayName(from, to));
  }

  /** The way is open again, and what waited on it goes on. */
  heal(from: string, to: string): void {
    if (!this.#cuts.delete(wayName(from, to))) return;
    for (const line of this.#lines) {
      if (line.from === from && line.to === to) line.end.healed();
    }
  }

  healAll(): void {
    for (const { from, to } of this.#live()) this.heal(from, to);
    this.#cuts.clear();
  }

  /** Ends all links between two addresses, with what is under way on them. */
  reset(one: string, other: string): void {
    for (const { from, to, end } of this.#live()) {
      if (from === one && to === other) end.reset();
    }
  }

  #live(): Line[] {
    this.#lines = this.#lines.filter(({ end }) => !end.settled);
    return [...this.#lines];
  }

  #dial(dial: Dial, { process, from, to, hello, wanted }: Dialling): void {
    /** Something goes back to the one that dials, unless that way is cut. */
    const answer = (callback: () => void): void => {
      this.#travel(0, () => {
        if (!this.#isCut(to, from)) process.deliver(callback);
      });
    };
    this.#travel(0, () => {
      if (this.#isCut(from, to)) return;
      this.#trace.text(`dial ${from} ${to}`);
      const listener = this.#listeners.get(to);
      if (listener === undefined || listener.process.state === "dead") {
        answer(() => dial.fail("PEER_GONE", "nobody listens there"));
        return;
      }
      listener.process.deliver(() => {
        if (listener.incarnation !== wanted) {
          answer(() => dial.fail("PEER_GONE", "another lane answers there"));
          return;
        }
        const ends = this.#link(process, from, listener.process, to);
        answer(() => {
          if (!dial.succeed(ends.one)) ends.one.terminate();
        });
        listener.onLink(hello, ends.other);
      });
    });
  }

  #link(
    process: VirtualProcess,
    from: string,
    other: VirtualProcess,
    to: string,
  ): { one: VirtualLink; other: VirtualLink } {
    const ends = {
      one: new VirtualLink(process, this.#way(from, to)),
      other: new VirtualLink(other, this.#way(to, from)),
    };
    VirtualLink.join(ends.one, ends.other);
    this.#lines = this.#live();
    this.#lines.push({ from, to, end: ends.one }, { from: to, to: from, end: ends.other });
    return ends;
  }

  #way(from: string, to: string): LinkWay {
    const isCut = (): boolean => this.#isCut(from, to);
    return {
      travel: (notBeforeMs, arrived) => this.#travel(notBeforeMs, arrived),
      get isCut() {
        return isCut();
      },
      losesRest: () => this.#random.chance(0.5),
      passed: (what, bytes) => {
        this.#trace.number(this.#time.nowMs);
        this.#trace.text(`${from} ${to} ${what}`);
        this.#trace.number(bytes);
      },
    };
  }

  /** Calls back on arrival, after others that were sent before; returns when that is. */
  #travel(notBeforeMs: number, arrived: () => void): number {
    const { delayMsMax, lost, lostMsMax } = this.faults;
    let delayMs = this.#random.fraction() * delayMsMax;
    if (this.#random.chance(lost)) delayMs += this.#random.fraction() * lostMsMax;
    const atMs = Math.max(this.#time.nowMs + delayMs, notBeforeMs);
    this.#time.after(atMs - this.#time.nowMs, arrived);
    return atMs;
  }

  #isCut(from: string, to: string): boolean {
    return this.#cuts.has(wayName(from, to));
  }
}

/** One attempt, until it has an outcome. */
class Dial {
  readonly outcome: Promise<Outcome<FrameLink>>;
  readonly #to: string;
  readonly #patience: TimerHandle;
  #settle: ((outcome: Outcome<FrameLink>) => void) | null = null;

  constructor(process: VirtualProcess, to: string) {
    this.#to = to;
    this.outcome = new Promise((resolve) => (this.#settle = resolve));
    this.#patience = process.timers.after(limits.peerConnectMs, () => {
      this.fail("PEER_UNREACHABLE", `no answer within ${String(limits.peerConnectMs)} ms`);
    });
  }

  fail(code: FailureCode, why: string): void {
    this.#end(failed(code, `cannot reach the lane at ${this.#to}: ${why}`));
  }

  /** False where it was given up before. */
  succeed(link: FrameLink): boolean {
    return this.#end(ok(link));
  }

  #end(outcome: Outcome<FrameLink>): boolean {
    const settle = this.#settle;
    this.#settle = null;
    this.#patience.cancel();
    settle?.(outcome);
    return settle !== null;
  }
}

function wayName(from: string, to: string): string {
  return `${from}\n${to}`;
}
