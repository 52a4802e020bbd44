// Roster watch: what one lane thinks of the others, from the cards that it sees.
// Owns: how long each heartbeat has stood still, the median of the live lanes' wall clocks.
// Does not own: whether a lane is dead (its connection has a say too), reading the roster.
// Invariants (docs/invariants.md):
//   R5. A heartbeat stands still only while this lane looks: each look adds no more than one
//       heartbeat's length, so that neither its own pause nor a store that was away blames anybody.
import type { Clock } from "../base/clock.ts";
import { limits } from "../base/limits.ts";
import type { RosterEntry } from "../grid/roster-card.ts";

interface Watched {
  readonly entry: RosterEntry;
  /** How long it was seen without a new card. */
  readonly stillMs: number;
  /** When its card was first seen, on this lane's monotonic clock. */
  readonly seenMs: number;
  /** This lane has seen it write a card, not only found one. */
  readonly moved: boolean;
}

export class RosterWatch {
  readonly #clock: Clock;
  #slots = new Map<number, Watched>();
  #observedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in what was just read. Cards are compared with those of the look before. */
  observe(entries: readonly RosterEntry[]): void {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = Math.min(nowMs - this.#observedMs, limits.heartbeatMs); // R5
    this.#observedMs = nowMs;
    const slots = new Map<number, Watched>();
    for (const entry of entries) {
      const before = this.#slots.get(entry.slot);
      const { card } = entry;
      const isSame =
        before?.entry.card.counter === card.counter &&
        before.entry.card.incarnation === card.incarnation;
      slots.set(entry.slot, {
        entry,
        stillMs: isSame ? before.stillMs + elapsedMs : 0,
        seenMs: isSame ? before.seenMs : nowMs,
        moved: isSame ? before.moved : before?.entry.card.incarnation === card.incarnation,
      });
    }
    this.#slots = slots;
  }

  /** The lanes of the newest look that have not left, by slot, and how long each stood still. */
  members(): { readonly entry: RosterEntry; readonly stillMs: number }[] {
    return [...this.#slots.values()]
      .filter(({ entry }) => entry.card.state !== "left")
      .map(({ entry, stillMs }) => ({ entry, stillMs }));
  }

  /** True where a heartbeat stood still for limits.heartbeatStillMs, and where nobody is. */
  isStill(slot: number): boolean {
    const watched = this.#slots.get(slot);
    if (watched === undefined || watched.entry.card.state === "left") return true;
    return watched.stillMs >= limits.heartbeatStillMs;
  }

  /**
   * How long after this look the next one should be. A look adds no more than a heartbeat's length,
   * however late it is: while somebody seems to be dead they come twice as often, and in time.
   */
  get nextLookMs(): number {
    let nextMs: number = limits.heartbeatMs;
    for (const { entry, stillMs } of this.#slots.values()) {
      const leftMs = limits.heartbeatStillMs - stillMs;
      if (entry.card.state === "left" || stillMs <= limits.heartbeatMs || leftMs <= 0) continue;
      nextMs = Math.min(nextMs, limits.heartbeatMs / 2, leftMs);
    }
    return nextMs;
  }

  /** True where this lane saw a heartbeat within the last limits.heartbeatStillMs: it lives. */
  isMoving(slot: number): boolean {
    const watched = this.#slots.get(slot);
    if (watched === undefined || watched.entry.card.state === "left" || !watched.moved)
      return false;
    return this.#clock.monotonicMs() - watched.seenMs < limits.heartbeatStillMs;
  }

  /**
   * By how many milliseconds a wall clock that reads `ownWallMs` now is ahead of the median of the
   * live lanes' clocks; null where none is known. This lane's own card, once it is in the roster,
   * counts as one: half of the lanes and less cannot say that it is wrong. About as exact as a
   * heartbeat is long, as a card is seen that much after it was written.
   */
  clockOffsetMs(ownWallMs: number): number | null {
    const nowMs = this.#clock.monotonicMs();
    const offsets: number[] = [];
    for (const { entry, seenMs } of this.#slots.values()) {
      const { incarnation, wallMs } = entry.card;
      if (incarnation === "" || this.isStill(entry.slot)) continue;
      offsets.push(ownWallMs - (wallMs + nowMs - seenMs));
    }
    offsets.sort((a, b) => a - b);
    const low = offsets[(offsets.length - 1) >> 1];
    const high = offsets[offsets.length >> 1];
    if (low === undefined || high === undefined) return null;
    return Math.abs(low) <= Math.abs(high) ? low : high;
  }
}
