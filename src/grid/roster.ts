// Roster: the numbered slots of the grid's lanes, in the store of the generation.
// Owns: reading all slots, taking one, the heartbeat that keeps it, leaving it.
// Does not own: who is dead (messaging-grid/roster-watch.ts), what a lane does about it.
// A lane that holds a slot may find it lost at any time: it is told at its next heartbeat. Nothing
// that is right depends on it: the log decides.
// Invariants (docs/invariants.md):
//   R1. A slot passes from one card to the next by compare-and-set only, and no card is written
//       twice: after another lane's card, none of a lane's own ever counts again.
//   R2. A lane is told that it holds a slot only where its card is on every copy, and that it lost
//       it only where another's is.
//   R3. Slots are taken from 0 on without a gap: the one below is confirmed first, and none is
//       ever deleted. So reading ends at the first empty one.
//   R4. What was acknowledged by whoever held a slot before stays in it, until its lane says
//       otherwise: a card carries it on.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import { slotKey } from "./grid-keys.ts";
import {
  decodeCard,
  encodeCard,
  mergeOwned,
  unreadCard,
  type LaneCard,
  type OwnedPartition,
  type RosterEntry,
} from "./roster-card.ts";
import {
  askUntil,
  confirmCard,
  replaceCard,
  writeCard,
  type CardFate,
  type RosterPorts,
} from "./roster-write.ts";
import type { ByteMap } from "./store.ts";

/** A slot as it lies in the store; the card is null where a newer version wrote it. */
interface StoredSlot {
  readonly slot: number;
  readonly stored: Buffer;
  readonly card: LaneCard | null;
}

/** How a lane finds its slot. */
export interface JoinOptions {
  /** Whether a slot whose lane has not left may be taken from it: it is known to be dead. */
  mayTake(entry: RosterEntry): boolean;
  /** The dead lane that this one takes the place of: its very slot, if it still is its. */
  readonly predecessor: { readonly slot: number; readonly incarnation: string } | null;
}

async function readSlots(map: ByteMap, deadlineMs: number): Promise<Outcome<StoredSlot[]>> {
  const slots: StoredSlot[] = [];
  let from = 0;
  for (let count: number = limits.rosterReadSlots; from < limits.rosterSlotsMax; count *= 2) {
    const until = Math.min(from + count, limits.rosterSlotsMax);
    const keys = Array.from({ length: until - from }, (_, index) => slotKey(from + index));
    const read = await map.getMany(keys, deadlineMs);
    if (!read.ok) return read;
    for (const [index, stored] of read.value.entries()) {
      if (stored === null) continue;
      slots.push({ slot: from + index, stored, card: decodeCard(stored) });
    }
    if (slots.length < until) break; // R3
    from = until;
  }
  return ok(slots);
}

function entryOf({ slot, stored, card }: StoredSlot): RosterEntry {
  return { slot, card: card ?? unreadCard(slot, stored) };
}

/**
 * The cards of all slots that ever were somebody's, ascending; those of lanes that left (state
 * `left`) included: they say what was acknowledged. Not atomic: each card is read as it is at its
 * own moment. Fails as the store does.
 *
 * It reads slots 0…31, and only where none of them is empty the 64 behind them, and so on: a few
 * lanes cost one read of 32 keys, 64 lanes two of 96, a full roster four of 256. An empty slot
 * ends it, as slots are taken from 0 on without a gap (R3). A gap can only come from a store that
 * lost what was on all its copies: cards behind it are seen as far as the read goes, and the next
 * lane that joins takes the gap.
 */
export async function readRoster(map: ByteMap): Promise<Outcome<readonly RosterEntry[]>> {
  const slots = await readSlots(map, limits.heartbeatStillMs);
  return slots.ok ? ok(slots.value.map(entryOf)) : slots;
}

/** One lane's place in the roster. One call at a time; `leave` waits for the one under way. */
export class RosterSlot {
  readonly #map: ByteMap;
  readonly #timers: Timers;
  readonly #clock: Clock;
  #slot = -1;
  /** The newest card that is known to be stored. */
  #stored: Buffer = Buffer.alloc(0);
  /** The newest card that was given, whatever became of it. */
  #card: LaneCard | null = null;
  #underWay: Promise<unknown> | null = null;

  constructor(options: { map: ByteMap; timers: Timers; clock: Clock }) {
    this.#map = options.map;
    this.#timers = options.timers;
    this.#clock = options.clock;
  }

  /**
   * What the slot knows of partitions that its lanes before this one had. The lane says it in each
   * of its cards, until it sees the partition served by somebody.
   */
  get witnessed(): readonly OwnedPartition[] {
    return this.#card?.witnessed ?? [];
  }

  /**
   * Takes a slot and returns its number. In this order: one that has this incarnation's card (from
   * a join that gave up), the predecessor's, the lowest whose lane left, the lowest that `mayTake`
   * gives away, the first empty one. What their lanes owned or witnessed joins `card.witnessed`.
   * Fails with ROSTER_FULL, or as the store does once limits.rosterJoinMsMax are over: it may be
   * called again then.
   */
  join(card: LaneCard, options: JoinOptions): Promise<Outcome<number>> {
    assert(this.#slot < 0, "a lane joins once");
    return this.#alone(() => this.#join(card, options));
  }

  /**
   * Writes the lane's card anew, `witnessed` as it is given; its counter is higher than before.
   * False: the slot is another's now, for good. After limits.heartbeatStillMs it fails as the store
   * does; the card may be stored then, or later, and the next heartbeat goes on from there.
   */
  beat(card: LaneCard): Promise<Outcome<boolean>> {
    assert(this.#slot >= 0, "a lane that joined beats");
    return this.#alone(async () => {
      const fate = await this.#replace(card, this.#ports(limits.heartbeatStillMs));
      return fate.ok ? ok(fate.value.stored) : fate;
    });
  }

  /** Frees the slot, if the store answers in time: else its heartbeat stands still. */
  async leave(): Promise<void> {
    await this.#underWay;
    const card = this.#card;
    if (card === null || this.#slot < 0) return;
    const witnessed = mergeOwned(card.witnessed, card.owned);
    const counter = card.counter + 1;
    const left = { ...card, state: "left", address: null, counter, owned: [], witnessed } as const;
    await this.#replace(left, this.#ports(limits.heartbeatStillMs));
    this.#slot = -1;
  }

  #ports(patienceMs: number): RosterPorts {
    const untilMs = this.#clock.monotonicMs() + patienceMs;
    return { map: this.#map, timers: this.#timers, clock: this.#clock, untilMs };
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    assert(this.#underWay === null, "one call to a slot at a time");
    const underWay = work();
    this.#underWay = underWay;
    try {
      return await underWay;
    } finally {
      this.#underWay = null;
    }
  }

  /** R1 */
  async #replace(card: LaneCard, ports: RosterPorts): Promise<Outcome<CardFate>> {
    const { incarnation, counter } = this.#card ?? card;
    assert(card.incarnation === incarnation, "a slot is one incarnation's");
    assert(this.#card === null || card.counter > counter, "no card is written twice");
    this.#card = card;
    const value = encodeCard(card);
    const fate = await replaceCard(ports, slotKey(this.#slot), {
      read: this.#stored,
      value,
      isOwn: (found) => isOf(found, incarnation),
    });
    if (fate.ok && fate.value.stored) this.#stored = value;
    return fate;
  }

  async #join(card: LaneCard, options: JoinOptions): Promise<Outcome<number>> {
    const ports = this.#ports(limits.rosterJoinMsMax);
    for (;;) {
      const read = await askUntil(ports, (deadlineMs) => readSlots(this.#map, deadlineMs));
      if (!read.ok) return read;
      for (const candidate of candidates(read.value, card.incarnation, options)) {
        const taken = await this.#takeOver(card, candidate, ports);
        if (!taken.ok) return taken;
        if (taken.value) return ok(this.#slot);
      }
      const taken = await this.#takeEmpty(card, read.value, ports);
      if (!taken.ok) return taken;
      if (taken.value) return ok(this.#slot);
    }
  }

  /** R4 */
  async #takeOver(
    given: LaneCard,
    { slot, stored, card: before }: StoredSlot,
    ports: RosterPorts,
  ): Promise<Outcome<boolean>> {
    const known = mergeOwned(before?.witnessed ?? [], before?.owned ?? []);
    const card = { ...given, witnessed: mergeOwned(given.witnessed, known) };
    const value = encodeCard(card);
    const fate = await replaceCard(ports, slotKey(slot), {
      read: stored,
      value,
      isOwn: (found) => isOf(found, given.incarnation),
    });
    if (!fate.ok) return fate;
    if (fate.value.stored) this.#hold(slot, card, value);
    return ok(fate.value.stored);
  }

  /** The first slot that is empty, or the next one if it was taken meanwhile; false: read again. */
  async #takeEmpty(
    card: LaneCard,
    slots: readonly StoredSlot[],
    ports: RosterPorts,
  ): Promise<Outcome<boolean>> {
    let slot = slots.findIndex((entry, index) => entry.slot !== index);
    if (slot < 0) slot = slots.length;
    const below = slots[slot - 1];
    if (below !== undefined && slot < limits.rosterSlotsMax) {
      const confirmed = await confirmCard(ports, slotKey(below.slot), below.stored); // R3
      if (!confirmed.ok || !confirmed.value) return confirmed; // it beat meanwhile
    }
    const value = encodeCard(card);
    for (; slot < limits.rosterSlotsMax; slot++) {
      const fate = await writeCard(ports, slotKey(slot), value);
      if (!fate.ok) return fate;
      if (fate.value.stored) {
        this.#hold(slot, card, value);
        return ok(true);
      }
      if (fate.value.found !== null && isOf(fate.value.found, card.incarnation)) return ok(false);
    }
    const most = String(limits.rosterSlotsMax);
    return failed("ROSTER_FULL", `the grid has ${most} lanes, and none of them has left`);
  }

  #hold(slot: number, card: LaneCard, stored: Buffer): void {
    this.#slot = slot;
    this.#card = card;
    this.#stored = stored;
  }
}

function isOf(stored: Buffer, incarnation: string): boolean {
  return decodeCard(stored)?.incarnation === incarnation;
}

/** Slots that a lane may take from others, the best first. */
function candidates(
  slots: readonly StoredSlot[],
  incarnation: string,
  options: JoinOptions,
): StoredSlot[] {
  const { predecessor } = options;
  const rank = ({ slot, card }: StoredSlot): number => {
    if (card === null) return -1;
    if (card.incarnation === incarnation) return card.state === "left" ? -1 : 0;
    if (slot === predecessor?.slot && card.incarnation === predecessor.incarnation) return 1;
    if (card.state === "left") return 2;
    return options.mayTake({ slot, card }) ? 3 : -1;
  };
  return slots
    .map((entry) => ({ entry, rank: rank(entry) }))
    .filter((ranked) => ranked.rank >= 0)
    .sort((a, b) => a.rank - b.rank || a.entry.slot - b.entry.slot)
    .map(({ entry }) => entry);
}
