// Ownership: what one lane decides, heartbeat by heartbeat, about who owns which partition: it
// says in the roster that it lives and what it owns, sees who else does, computes the assignment
// that everybody computes, claims what is free and its own, and hands over what is not.
// Owns: the heartbeats, the two decisions. Does not own: who lives (living-lanes.ts), the slots
// (grid/roster.ts), the arithmetic (messaging-grid/assignment.ts), what claiming and handing over
// are (lane.ts, partition.ts).
// Nothing here can make anything wrong: the log decides who is right. It decides how soon.
// Invariants (docs/invariants.md):
//   O1. A lane claims a partition only where nobody holds it who lives: released, or its lane's
//       heartbeat stood still and its connection is closed, refused, or silent for long.
//   O3. Lanes of one grid write to one database (lane-admission.ts).
import type { Clock } from "../base/clock.ts";
import { failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { LaneCard, OwnedPartition, RosterEntry } from "../grid/roster-card.ts";
import { readRoster, RosterSlot } from "../grid/roster.ts";
import type { ByteMap } from "../grid/store.ts";
import { assign, joinDelayMs } from "../messaging-grid/assignment.ts";
import type { OwnerTable } from "../messaging-grid/owner-table.ts";
import type { PeerLinks } from "../messaging-grid/peer-links.ts";
import { GivenPartitions } from "./given-partitions.ts";
import { databaseMisfit, joinsBefore } from "./lane-admission.ts";
import { LivingLanes } from "./living-lanes.ts";

/** Who this lane is, for the others. */
export interface LaneIdentity {
  /** Unique among all lanes that ever lived. */
  readonly incarnation: string;
  /** Id of its process. */
  readonly unit: string;
  /** For people: "lane 0 of 127.0.0.1:7070". */
  readonly name: string;
  /** Where lanes of other units connect to; null: they cannot. */
  readonly address: string | null;
  readonly release: string;
  /** Which database it writes to; null where that is not known. */
  readonly database: string | null;
}

/** The lane that this one takes the place of, which is known to be dead. */
export interface Predecessor {
  readonly slot: number;
  readonly incarnation: string;
}

/** What the lane does for its ownership. */
export interface OwnershipEvents {
  /** What it has at the moment; epoch 0: being claimed. */
  held(): readonly OwnedPartition[];
  claim(partition: number): void;
  /** `to`: the slot that it should go to; null: this lane is leaving, and there is nobody. */
  handOver(partition: number, to: number | null): void;
  /** The lane in that slot has a partition that was claimed behind its back, under `epoch`. */
  overtaken(slot: number, partition: number, epoch: number): void;
  /** Partitions on their way to somebody else. */
  leaving(): number;
  /** The heartbeat stood still: what this lane has may have been claimed meanwhile. */
  stoodStill(): void;
  /** Another lane has the slot: this one is taken for dead, and must end. */
  lost(reason: Failure): void;
}

export interface OwnershipOptions {
  readonly identity: GridIdentity;
  readonly lane: LaneIdentity;
  readonly predecessor: Predecessor | null;
  readonly map: ByteMap;
  readonly owners: OwnerTable;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: OwnershipEvents;
  /** Links to the other lanes, once the slot is known. */
  makeLinks(slot: number): PeerLinks;
}

/** Version of the formats that this release writes. */
const formatVersion = 1;

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #living: LivingLanes;
  readonly #slot: RosterSlot;
  #number = -1;
  #links: PeerLinks | null = null;
  #state: LaneCard["state"] = "joining";
  #joins = 1;
  #joinedAtMs = 0;
  #counter = 0;
  #witnessed: readonly OwnedPartition[] = [];
  /** When the last heartbeat that is known to be stored was begun. */
  #beatAtMs = Number.NEGATIVE_INFINITY;
  /** Cards of all slots, those that were left included. */
  #everybody: readonly RosterEntry[] = [];
  /** Until when each partition counts as somebody's who has not said so in the roster yet. */
  readonly #doubts = new Map<number, number>();
  /** The newest epoch under which each partition was released. */
  readonly #released = new Map<number, number>();
  readonly #given: GivenPartitions;
  #timer: TimerHandle | null = null;
  #decideSoon = false;
  /** A heartbeat is wanted before its time. */
  #isWanted = false;
  #closed = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { map, timers, clock } = options;
    this.#living = new LivingLanes(clock);
    this.#slot = new RosterSlot({ map, timers, clock });
    this.#given = new GivenPartitions(options.owners);
  }

  /** This lane's slot, once it has one: its number among all lanes of the grid. */
  get slot(): number {
    return this.#number;
  }

  /** True while nobody can have claimed what this lane owns: its heartbeat is young. */
  get isFresh(): boolean {
    return this.#options.clock.monotonicMs() - this.#beatAtMs <= limits.staleReadMsMax;
  }

  /**
   * Takes a slot, and begins to beat. Fails with ROSTER_FULL, DATABASE_FOREIGN where living lanes
   * write to another database, or as the store does.
   */
  async join(): Promise<Outcome<number>> {
    const { predecessor, clock } = this.#options;
    const known = await readRoster(this.#options.map);
    if (!known.ok) return known;
    const { lane } = this.#options;
    const nowMs = clock.wallMs();
    const misfit = databaseMisfit(known.value, lane.database, nowMs);
    if (misfit !== null) return misfit;
    this.#joins = joinsBefore(known.value, lane.name, nowMs) + 1;
    // A replacement is expected: its slot, its partitions and its neighbours are known.
    if (predecessor !== null && joinDelayMs(this.#joins) === 0) this.#state = "ready";
    // A card that old is a dead lane's, unless the clocks are wrong by as much; even then its lane
    // is only told to join again.
    const mayTake = ({ card }: RosterEntry) => nowMs - card.wallMs > limits.slotForgottenMs;
    const joined = await this.#slot.join(this.#card(), { mayTake, predecessor });
    if (!joined.ok) return joined;
    this.#number = joined.value;
    this.#witnessed = this.#slot.witnessed;
    this.#joinedAtMs = clock.monotonicMs();
    this.#links = this.#options.makeLinks(joined.value);
    this.#living.join(joined.value, this.#links);
    void this.#run();
    return ok(joined.value);
  }

  /** What the roster says was acknowledged in a partition, by anybody. */
  acknowledged(partition: number): number {
    let most = 0;
    for (const { card } of this.#everybody) {
      for (const list of [card.owned, card.witnessed]) {
        for (const one of list) {
          if (one.partition === partition) most = Math.max(most, one.acknowledged);
        }
      }
    }
    return most;
  }

  /** A lane says that it serves a partition: known before its card says so. */
  heardServing(slot: number, partition: number, epoch: number): void {
    if (this.#given.served(partition)) this.decideSoon();
    if (this.#options.owners.learn(partition, slot, epoch)) this.#doubt(partition);
  }

  /** A lane says that it released a partition: whose it is now may claim it at once. */
  heardReleased(partition: number, epoch: number): void {
    this.#released.set(partition, Math.max(epoch, this.#released.get(partition) ?? 0));
    this.#options.owners.released(partition, epoch);
    this.#doubts.delete(partition);
    this.decideSoon();
    this.#beatSoon(); // whoever released it may have said why in its card
  }

  /**
   * This lane released a partition, to an heir or to nobody: until somebody serves it, its card is
   * what vouches for it.
   */
  gaveAway(owned: OwnedPartition, toHeir: boolean): void {
    const { partition, epoch } = owned;
    this.#witnessed = [...this.#witnessed, owned];
    if (toHeir) this.#given.give(partition, epoch, this.#options.clock.monotonicMs());
    else this.#given.drop(partition);
    this.heardReleased(partition, epoch);
  }

  /** A partition was lost to somebody whose card does not say so yet. */
  doubt(partition: number): void {
    this.#doubt(partition);
  }

  /** Looks again at what is to be claimed and handed over, at the end of the tick. */
  decideSoon(): void {
    if (this.#decideSoon || this.#closed) return;
    this.#decideSoon = true;
    this.#options.timers.endOfTick(() => {
      this.#decideSoon = false;
      if (!this.#closed && this.isFresh) this.#decide();
    });
  }

  /** From here on it gives everything away, and claims only what it gave to lanes that leave. */
  leave(): void {
    this.#state = "leaving";
    this.#beatSoon(); // heirs must see that it leaves before anything is released
  }

  /** True once partitions are given to this lane. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** True while nobody serves something that this lane gave away (O4). */
  get isWaitedFor(): boolean {
    return this.#given.unserved.size > 0;
  }

  /** Partitions that no lane has that lives. */
  unheld(): number[] {
    const holders = this.#holders();
    const all = Array.from({ length: this.#options.identity.partitions }, (_, number) => number);
    return all.filter((partition) => !holders.has(partition));
  }

  /** Frees the slot. Partitions must have been given away or closed before. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#links?.close();
    if (this.#number >= 0) await this.#slot.leave();
  }

  /** Why commands to the lane in that slot cannot get there although it lives; null: they can. */
  unreachable(slot: number): Failure | null {
    return this.#living.unreachable(slot);
  }

  /** What is wrong with this lane's place among the others, in words; empty where nothing is. */
  alarms(): string[] {
    const alarms = this.entries.flatMap(({ slot }) => this.unreachable(slot)?.message ?? []);
    const offsetMs = this.#living.clockOffsetMs();
    if (Math.abs(offsetMs) > limits.clockOffsetMsMax) {
      const seconds = (offsetMs / 1000).toFixed(1);
      alarms.push(`this lane's clock is ${seconds} s off the others'; it claims nothing`);
    }
    return alarms;
  }

  /** The newest cards of the lanes that have not left, this one's included. */
  get entries(): readonly RosterEntry[] {
    return this.#living.entries;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const startedMs = this.#options.clock.monotonicMs();
      await this.#beat(startedMs);
      const spentMs = this.#options.clock.monotonicMs() - startedMs;
      const pauseMs = this.#isWanted ? 0 : this.#living.nextLookMs - spentMs;
      await this.#pause(Math.max(0, pauseMs));
    }
  }

  #wake: () => void = () => undefined;

  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.timers.after(pauseMs, resolve);
      this.#timer = timer;
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #beatSoon(): void {
    this.#isWanted = true;
    this.#wake();
  }

  async #beat(startedMs: number): Promise<void> {
    const { map, events } = this.#options;
    this.#isWanted = false;
    this.#settle(startedMs);
    const beaten = await this.#slot.beat(this.#card());
    if (beaten.ok && !beaten.value) {
      this.#closed = true;
      const message = `slot ${String(this.#number)} was given to another lane`;
      events.lost(failure("NOT_OWNER", `${message}: this one was taken for dead`));
      return;
    }
    if (beaten.ok) {
      if (!this.isFresh) events.stoodStill();
      this.#beatAtMs = startedMs;
    }
    const read = await readRoster(map);
    if (this.#closed || !read.ok) return;
    this.#observe(read.value);
    if (beaten.ok) this.#decide();
  }

  #settle(nowMs: number): void {
    if (nowMs - this.#joinedAtMs >= limits.slotForgottenMs) this.#joins = 1; // it came to stay
    if (this.#state !== "joining") return;
    // Where nobody else is ready there is nothing that it could move back and forth.
    const isNeeded = !this.entries.some((entry) => this.#isReadyBefore(entry));
    const delayMs = isNeeded ? 0 : joinDelayMs(this.#joins);
    if (nowMs - this.#joinedAtMs >= Math.max(limits.joinSettleMs, delayMs)) {
      this.#state = "ready";
    }
  }

  /** It has partitions that this lane would move; not where both begin in one unit. */
  #isReadyBefore(entry: RosterEntry): boolean {
    const { card, slot } = entry;
    if (slot === this.#number || card.state !== "ready" || this.#living.isDead(entry)) return false;
    return card.unit !== this.#options.lane.unit || this.#options.predecessor !== null;
  }

  #observe(entries: readonly RosterEntry[]): void {
    const { owners, lane } = this.#options;
    this.#everybody = entries;
    this.#living.observe(entries.filter(({ card }) => card.state !== "left"));
    for (const { slot, card } of entries) {
      if (slot === this.#number) continue;
      for (const { partition, epoch } of card.owned) {
        if (epoch > 0 && epoch > (this.#released.get(partition) ?? 0)) {
          owners.learn(partition, slot, epoch);
        }
      }
      // Who slept through a claim and its release heard of neither: here it is said again.
      for (const { partition, epoch } of card.witnessed) {
        if (epoch <= (this.#released.get(partition) ?? 0)) continue;
        this.#released.set(partition, epoch);
        owners.released(partition, epoch);
      }
    }
    const others = this.entries.filter(({ slot }) => slot !== this.#number);
    this.#links?.want(
      others.map(({ slot, card: { incarnation, unit, address } }) => ({
        slot,
        incarnation,
        address: unit === lane.unit ? null : address, // its links come with its thread
      })),
    );
    this.#witnessed = this.#witnessed.filter((witness) => !this.#isTakenUp(witness));
  }

  /** Somebody serves it and has acknowledged more: what was known of it says nothing new. */
  #isTakenUp({ partition, epoch, acknowledged }: OwnedPartition): boolean {
    const serves = (one: OwnedPartition): boolean =>
      one.partition === partition && one.epoch > epoch && one.acknowledged > acknowledged;
    return this.entries.some(({ card }) => card.owned.some(serves));
  }

  /** Those that partitions are given to. */
  #members(): RosterEntry[] {
    return this.entries.filter((entry) => {
      const { state, joins, unit } = entry.card;
      if (entry.slot === this.#number) return this.#state !== "leaving";
      if (this.#state === "leaving" && unit === this.#options.lane.unit) return false;
      // One that has only begun will be ready in a moment: nothing is given to others meanwhile.
      const counts = state === "ready" || (state === "joining" && joinDelayMs(joins) === 0);
      return counts && !this.#living.isDead(entry);
    });
  }

  /** Who holds each partition, and lives: a slot by partition. */
  #holders(): Map<number, number> {
    const holders = new Map<number, number>();
    const { owners } = this.#options;
    for (const entry of this.entries) {
      if (entry.slot === this.#number || this.#living.isDead(entry)) continue;
      for (const { partition, epoch } of entry.card.owned) {
        const releasedAt = this.#released.get(partition) ?? 0;
        if (epoch > 0 && epoch <= releasedAt) continue;
        const owner = owners.ownerOf(partition);
        if (epoch === 0 && owner !== null && owner.slot !== entry.slot) {
          if (!holders.has(partition)) holders.set(partition, entry.slot);
        } else if (epoch === 0 || owner?.slot === entry.slot) {
          holders.set(partition, entry.slot);
        }
      }
    }
    for (const { partition } of this.#options.events.held()) holders.set(partition, this.#number);
    return holders;
  }

  #decide(): void {
    const { identity, events } = this.#options;
    const members = this.#members();
    const holders = this.#holders();
    this.#tellOvertaken();
    const ownedBy = new Map<number, number[]>();
    for (const [partition, slot] of holders) {
      const list = ownedBy.get(slot);
      if (list === undefined) ownedBy.set(slot, [partition]);
      else list.push(partition);
    }
    // A replacement takes up what the lane before it in its slot had.
    for (const { slot, card } of members) {
      for (const { partition } of card.witnessed) {
        if (!holders.has(partition)) ownedBy.set(slot, [...(ownedBy.get(slot) ?? []), partition]);
      }
    }
    const assigned = assign(
      identity.partitions,
      members.map(({ slot, card }) => ({
        slot,
        name: card.name,
        owned: ownedBy.get(slot) ?? [],
      })),
    );
    this.#giveAway(assigned, members);
    if (this.#state === "joining" || !this.#living.clockIsRight) return;
    // Whom it was given to leaves as well, and has not claimed it: it comes back.
    const back = this.#state === "leaving" && members.length === 0 ? this.#given.unserved : null;
    for (const [partition, slot] of assigned.entries()) {
      const isOurs = slot === this.#number || back?.has(partition) === true;
      if (!isOurs || holders.has(partition) || this.#isDoubtful(partition)) continue;
      events.claim(partition);
    }
  }

  /**
   * Who claimed a partition may have died when only this lane had heard of it. The lane before it,
   * which has nothing to write, would keep it for ever: commands from here would wait for an owner,
   * and it would count as its own what the others count as somebody else's.
   */
  #tellOvertaken(): void {
    const { owners, events } = this.#options;
    for (const { slot, card } of this.entries) {
      for (const { partition, epoch } of card.owned) {
        if (slot === this.#number || this.#isDoubtful(partition)) continue;
        const known = owners.epochOf(partition);
        if (epoch > 0 && epoch < known) events.overtaken(slot, partition, known);
      }
    }
  }

  #giveAway(assigned: readonly (number | null)[], members: readonly RosterEntry[]): void {
    const { events, clock } = this.#options;
    // Few at a time: a partition stands still for as long as its next owner loads, and no longer.
    const moving = this.#given.movingCount(clock.monotonicMs());
    let room = limits.handOversMax - events.leaving() - moving;
    for (const { partition, epoch } of events.held()) {
      const to = assigned[partition] ?? null;
      if (epoch === 0 || to === this.#number) continue;
      if (to === null) {
        if (this.#state === "leaving") events.handOver(partition, null);
        continue; // nobody has to load it
      }
      const heir = members.find(({ slot }) => slot === to);
      const isThere = heir?.card.state === "ready" && this.#links?.state(to).open === true;
      if (!isThere || room <= 0) continue;
      room--;
      events.handOver(partition, to);
    }
  }

  #doubt(partition: number): void {
    const untilMs = this.#options.clock.monotonicMs() + limits.heartbeatStillMs;
    this.#doubts.set(partition, untilMs);
  }

  #isDoubtful(partition: number): boolean {
    const untilMs = this.#doubts.get(partition);
    if (untilMs === undefined) return false;
    if (this.#options.clock.monotonicMs() < untilMs) return true;
    this.#doubts.delete(partition);
    return false;
  }

  #card(): LaneCard {
    const { lane, events, clock } = this.#options;
    return {
      incarnation: lane.incarnation,
      unit: lane.unit,
      name: lane.name,
      address: lane.address,
      release: lane.release,
      database: lane.database,
      format: formatVersion,
      state: this.#state,
      joins: this.#joins,
      wallMs: clock.wallMs(),
      counter: ++this.#counter,
      owned: events.held(),
      witnessed: this.#witnessed,
    };
  }
}
