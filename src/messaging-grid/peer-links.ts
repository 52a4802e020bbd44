// Peer links: the links from this lane to all lanes that it should reach. Of two lanes the one in
// the higher slot dials, and goes on dialling; the other does so only to find out whether somebody
// who seems dead is (`probe`). A link that another part made, as between the lanes of one unit, is
// handed in as one that the other side dialled (`accept`).
// Owns: dialling, its repeats, which link of a pair is used, for how long a peer is out of reach.
// Does not own: what goes over a link (messenger.ts), who is wanted and who is dead (ownership).
// Invariants (docs/invariants.md):
//   M7. A link belongs to two incarnations: another one under the same slot is another peer, whose
//       link is used only once the roster names it, or the one before is gone.
//   M8. Two lanes use one link: of two links, the one that the higher slot dialled, and of two
//       that the same lane dialled, the later one. Both sides decide alike.
//   M9. A peer counts as gone only where that is certain: its link was closed from there, nobody
//       listens at its address, or another incarnation does. Silence is only silence.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { FrameLink } from "./frame-link.ts";
import type { Hello } from "./hello.ts";
import type { Messenger } from "./messenger.ts";
import { WatchedLink, type LinkEnd } from "./watched-link.ts";

export type { Hello } from "./hello.ts";

/** A lane that should be reached, as its card in the roster says. */
export interface WantedPeer extends Hello {
  /** Where it listens; null: it is never dialled, its link comes through `accept`. */
  readonly address: string | null;
}

export interface PeerState {
  readonly open: boolean;
  /** For how long nothing connects it: since it was last heard of, or first wanted. 0: open. */
  readonly closedMs: number;
  /** It is gone for certain (M9), not only silent. */
  readonly refused: boolean;
}

export interface PeerLinksOptions {
  /** This lane. */
  readonly hello: Hello;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly messenger: Pick<Messenger, "connect">;
  /**
   * One attempt to reach the incarnation `wanted` at an address, within a deadline of its own;
   * `hello` is this lane's. Fails with PEER_GONE where it is certain that it is not there, or
   * with another code.
   */
  connect(address: string, hello: Hello, wanted: string): Promise<Outcome<FrameLink>>;
}

interface OpenLink {
  readonly link: FrameLink;
  /** Slot of the lane that dialled it. */
  readonly dialler: number;
  readonly sinceMs: number;
}

interface Peer extends Hello {
  address: string | null;
  /** The roster has named this incarnation. */
  named: boolean;
  /** The roster named another one, in what may have been read before this one came. */
  doubted: boolean;
  link: OpenLink | null;
  /** While there is no link: since when. */
  closedAtMs: number;
  refused: boolean;
  dialling: boolean;
  /** The next attempt, and how long the last wait for one was. */
  redial: TimerHandle | null;
  backoffMs: number;
}

/** A link of an incarnation that may not be used yet (M7); it keeps what comes. */
interface HeldLink {
  readonly hello: Hello;
  readonly link: FrameLink;
}

export class PeerLinks {
  readonly #options: PeerLinksOptions;
  readonly #peers = new Map<number, Peer>();
  readonly #held = new Map<number, HeldLink>();
  #closed = false;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
  }

  /**
   * The lanes that should be reached from now on, this one left out; said with each reading of the
   * roster. Links to lanes that were named before and are not any more are closed.
   */
  want(wanted: readonly WantedPeer[]): void {
    if (this.#closed) return;
    const slots = new Set<number>();
    for (const each of wanted) {
      assert(each.slot !== this.#options.hello.slot, "a lane does not want itself");
      slots.add(each.slot);
      this.#wantOne(each);
    }
    for (const peer of [...this.#peers.values()]) {
      if (slots.has(peer.slot)) continue;
      if (peer.named) this.#forget(peer);
      else peer.doubted = false;
    }
  }

  /** A link that a peer dialled, or that was made for both; it waits for its start. */
  accept(hello: Hello, link: FrameLink): void {
    if (this.#closed || hello.slot === this.#options.hello.slot) {
      link.close();
      return;
    }
    const peer = this.#peers.get(hello.slot);
    if (peer?.incarnation === hello.incarnation) this.#use(peer, link, hello.slot);
    else if (peer === undefined || (peer.link === null && (peer.refused || !peer.named))) {
      this.#replace(peer, hello, link);
    } else {
      this.#held.get(hello.slot)?.link.close();
      this.#held.set(hello.slot, { hello, link });
    }
  }

  /** How a peer can be reached at the moment. */
  state(slot: number): PeerState {
    const peer = this.#peers.get(slot);
    if (peer === undefined) return { open: false, closedMs: 0, refused: false };
    if (peer.link !== null) return { open: true, closedMs: 0, refused: false };
    const closedMs = this.#options.clock.monotonicMs() - peer.closedAtMs;
    return { open: false, closedMs, refused: peer.refused };
  }

  /** Dials a peer now, whoever's turn it is, unless it is open or being dialled. */
  probe(slot: number): void {
    const peer = this.#peers.get(slot);
    if (peer !== undefined) this.#dial(peer);
  }

  /** Closes all links, and lets nobody in any more. */
  close(): void {
    this.#closed = true;
    for (const peer of [...this.#peers.values()]) this.#forget(peer);
    for (const { link } of this.#held.values()) link.close();
    this.#held.clear();
  }

  #wantOne({ slot, incarnation, address }: WantedPeer): void {
    const before = this.#peers.get(slot);
    if (before?.incarnation === incarnation) {
      before.address = address;
      before.named = true;
      before.doubted = false;
      this.#dialInTurn(before);
      return;
    }
    if (before?.named === false && before.link !== null && !before.doubted) {
      before.doubted = true; // the next reading began after its link came
      return;
    }
    if (before !== undefined) this.#drop(before);
    const peer = this.#add({ slot, incarnation });
    peer.address = address;
    peer.named = true;
    this.#useHeld(peer);
    this.#dialInTurn(peer);
  }

  #add({ slot, incarnation }: Hello): Peer {
    const peer: Peer = {
      slot,
      incarnation,
      address: null,
      named: false,
      doubted: false,
      link: null,
      closedAtMs: this.#options.clock.monotonicMs(),
      refused: false,
      dialling: false,
      redial: null,
      backoffMs: 0,
    };
    this.#peers.set(slot, peer);
    return peer;
  }

  #replace(before: Peer | undefined, hello: Hello, link: FrameLink): void {
    if (before !== undefined) this.#drop(before);
    this.#use(this.#add(hello), link, hello.slot);
  }

  /** No link to it any more, and no attempt; what is under way comes to nothing. */
  #drop(peer: Peer): void {
    this.#peers.delete(peer.slot);
    peer.redial?.cancel();
    peer.link?.link.close();
  }

  #forget(peer: Peer): void {
    this.#drop(peer);
    const held = this.#held.get(peer.slot);
    if (held === undefined || this.#closed) return;
    this.#held.delete(peer.slot);
    this.#replace(undefined, held.hello, held.link);
  }

  #useHeld(peer: Peer): void {
    const held = this.#held.get(peer.slot);
    if (held?.hello.incarnation !== peer.incarnation) return;
    this.#held.delete(peer.slot);
    this.#use(peer, held.link, peer.slot);
  }

  #use(peer: Peer, link: FrameLink, dialler: number): void {
    const before = peer.link;
    if (before !== null && before.dialler > dialler) {
      link.close(); // M8
      return;
    }
    const watched = new WatchedLink(link, (end) => {
      if (peer.link === open) this.#ended(peer, end);
    });
    const open: OpenLink = { link: watched, dialler, sinceMs: this.#options.clock.monotonicMs() };
    peer.link = open;
    peer.redial?.cancel();
    peer.redial = null;
    this.#options.messenger.connect(peer.slot, watched); // which closes the one before
  }

  #ended(peer: Peer, end: LinkEnd): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (peer.link !== null && nowMs - peer.link.sinceMs >= limits.reconnectMsMax) {
      peer.backoffMs = 0; // it was a good one, not one that is always closed at once
    }
    peer.link = null;
    peer.refused = end === "closed"; // M9
    peer.closedAtMs = end === "silent" ? nowMs - limits.peerSilenceMsMax : nowMs;
    if (this.#peers.get(peer.slot) !== peer) return;
    const held = this.#held.get(peer.slot);
    if (held !== undefined && (peer.refused || !peer.named)) this.#forget(peer);
    else this.#redialInTurn(peer);
  }

  /** True where it is for this lane to dial. */
  #isTurn({ slot, address }: Peer): boolean {
    return address !== null && slot < this.#options.hello.slot;
  }

  #dialInTurn(peer: Peer): void {
    if (this.#isTurn(peer) && peer.redial === null) this.#dial(peer);
  }

  #redialInTurn(peer: Peer): void {
    if (!this.#isTurn(peer) || peer.redial !== null) return;
    const { timers, random } = this.#options;
    const { reconnectMsMin, reconnectMsMax } = limits;
    peer.backoffMs = Math.min(reconnectMsMax, Math.max(reconnectMsMin, peer.backoffMs * 2));
    const delayMs = peer.backoffMs * (0.5 + random.fraction() / 2);
    peer.redial = timers.after(delayMs, () => {
      peer.redial = null;
      this.#dial(peer);
    });
  }

  #dial(peer: Peer): void {
    if (peer.address === null || peer.link !== null || peer.dialling) return;
    const { hello } = this.#options;
    peer.dialling = true;
    void this.#options.connect(peer.address, hello, peer.incarnation).then((outcome) => {
      peer.dialling = false;
      if (this.#peers.get(peer.slot) !== peer) {
        if (outcome.ok) outcome.value.close();
      } else if (outcome.ok) this.#use(peer, outcome.value, hello.slot);
      else if (peer.link === null) {
        if (outcome.failure.code === "PEER_GONE") peer.refused = true; // M9
        this.#redialInTurn(peer);
      }
    });
  }
}
