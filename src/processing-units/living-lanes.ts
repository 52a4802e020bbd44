// Living lanes: what one lane thinks of the others: who lives, who is dead, who cannot be reached.
// Owns: the judgement. Does not own: the heartbeats it is made of (roster-watch.ts), the links
// (peer-links.ts), and what follows from it (ownership.ts).
// Invariants (docs/invariants.md):
//   O1. A lane is dead for another only where its heartbeat stood still and its connection is
//       closed, refused, or silent for long.
//   O2. A lane whose wall clock is seconds off the others' claims nothing.
import type { Clock } from "../base/clock.ts";
import { failure, type Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { RosterEntry } from "../grid/roster-card.ts";
import type { PeerLinks } from "../messaging-grid/peer-links.ts";
import { RosterWatch } from "../messaging-grid/roster-watch.ts";

export class LivingLanes {
  readonly #clock: Clock;
  readonly #watch: RosterWatch;
  #own = -1;
  #links: PeerLinks | null = null;
  #entries: readonly RosterEntry[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#watch = new RosterWatch(clock);
  }

  /** The newest cards of the lanes that have not left, this one's included. */
  get entries(): readonly RosterEntry[] {
    return this.#entries;
  }

  /** This lane has its slot. */
  join(slot: number, links: PeerLinks): void {
    this.#own = slot;
    this.#links = links;
  }

  /** What the roster says now, of those that have not left. */
  observe(entries: readonly RosterEntry[]): void {
    this.#entries = entries;
    this.#watch.observe(entries);
  }

  /** How long after the newest look at the roster the next one should be. */
  get nextLookMs(): number {
    return this.#watch.nextLookMs;
  }

  /** O1: its heartbeat stood still, and nothing connects us. */
  isDead({ slot }: RosterEntry): boolean {
    if (slot === this.#own || this.#links === null || !this.#watch.isStill(slot)) return false;
    const { open, closedMs, refused } = this.#links.state(slot);
    if (open) return false; // a frozen one's connection ends after the suspicion time
    if (refused || closedMs >= limits.peerSilenceMsMax) return true;
    this.#links.probe(slot);
    return false;
  }

  /** Why commands to the lane in that slot cannot get there although it lives; null: they can. */
  unreachable(slot: number): Failure | null {
    if (slot === this.#own || this.#links === null) return null;
    const { open, closedMs } = this.#links.state(slot);
    if (open || closedMs < limits.peerUnreachableMs || !this.#watch.isMoving(slot)) return null;
    const name = this.#entries.find((entry) => entry.slot === slot)?.card.name ?? "the owner";
    const message = `${name} lives, but cannot be reached from this lane; nothing was changed`;
    return failure("PEER_UNREACHABLE", message);
  }

  /** How far this lane's wall clock is ahead of the others'. */
  clockOffsetMs(): number {
    return this.#watch.clockOffsetMs(this.#clock.wallMs()) ?? 0;
  }

  /** O2 */
  get clockIsRight(): boolean {
    return Math.abs(this.clockOffsetMs()) <= limits.clockOffsetMsMax;
  }
}
