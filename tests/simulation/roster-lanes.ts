// Lanes that do nothing but hold a slot of the roster and watch the others, in virtual time, with
// what is known from outside: which lane was told what, and what the copies of the store hold.
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Random } from "../../src/base/random.ts";
import { delay } from "../../src/base/timers.ts";
import { slotKey } from "../../src/grid/grid-keys.ts";
import { decodeCard, type LaneCard, type RosterEntry } from "../../src/grid/roster-card.ts";
import { readRoster, RosterSlot, type JoinOptions } from "../../src/grid/roster.ts";
import { RosterWatch } from "../../src/messaging-grid/roster-watch.ts";
import { honest, LyingStore, type Lies } from "../../src/simulation/lying-store.ts";
import { storedKey } from "../../src/simulation/replica-store.ts";
import { TraceHash } from "../../src/simulation/trace-hash.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { laneCard } from "../grid/roster-cards.ts";

const mapName = "grid.1";
/** A restarted lane that knows of no predecessor looks so often before it takes a slot. */
const looksBeforeTaking = 8;

/** What a lane was told is of some moment between the two. */
interface Told {
  readonly begunMs: number;
  readonly toldMs: number;
}

type Predecessor = JoinOptions["predecessor"];

export class RosterLane {
  readonly #run: RosterRun;
  readonly process: VirtualProcess;
  readonly incarnation: string;
  readonly name: string;
  /** The one partition that it owns: nobody else ever does. */
  readonly partition: number;
  readonly #slot: RosterSlot;
  readonly #watch: RosterWatch;
  slot = -1;
  /** Each time it was told that the slot is its. */
  readonly told: Told[] = [];
  /** When its looks began, and when it had their answers. */
  readonly looks: Told[] = [];
  acknowledged = 0;
  state: "joining" | "holding" | "lost" | "gone" = "joining";
  diedMs: number | null = null;
  #counter = 0;

  constructor(run: RosterRun, name: string, index: number) {
    this.#run = run;
    this.name = name;
    this.incarnation = `${name}.${String(index)}`;
    this.partition = index;
    this.process = new VirtualProcess(run.time);
    const { clock, timers } = this.process;
    const map = run.store.connect(this.process).map(mapName);
    this.#slot = new RosterSlot({ map, timers, clock });
    this.#watch = new RosterWatch(clock);
  }

  get watch(): RosterWatch {
    return this.#watch;
  }

  get isAlive(): boolean {
    return this.process.state !== "dead" && (this.state === "holding" || this.state === "joining");
  }

  kill(): void {
    this.process.kill();
    this.diedMs = this.#run.time.nowMs;
  }

  /** Ends in order: its slot is free. */
  async leave(): Promise<void> {
    this.state = "gone";
    await this.#slot.leave();
    this.kill();
  }

  async live(predecessor: Predecessor, joins: boolean): Promise<void> {
    if (!joins) {
      for (let look = 0; look < looksBeforeTaking; look++) {
        await this.#look();
        await delay(this.process.timers, limits.heartbeatMs);
      }
    }
    const mayTake = ({ slot }: RosterEntry): boolean => !joins && this.#watch.isStill(slot);
    while (this.state === "joining") {
      const begunMs = this.#run.time.nowMs;
      const joined = await this.#slot.join(this.#card(), { mayTake, predecessor });
      if (joined.ok) this.#hold(joined.value, begunMs);
    }
    while (this.state === "holding") await this.#beat();
  }

  async #beat(): Promise<void> {
    const begunMs = this.#run.time.nowMs;
    this.acknowledged++;
    const { acknowledged } = this;
    const beaten = await this.#slot.beat(this.#card());
    if (beaten.ok && !beaten.value) {
      this.state = "lost";
      this.#run.onLost(this);
      return;
    }
    if (beaten.ok) {
      this.#run.onTold(this, begunMs);
      this.#run.witness.set(this.partition, acknowledged);
    }
    await this.#look();
    const restMs = begunMs + limits.heartbeatMs - this.#run.time.nowMs;
    await delay(this.process.timers, Math.max(0, restMs));
  }

  #hold(slot: number, begunMs: number): void {
    this.slot = slot;
    this.state = "holding";
    this.#run.onTold(this, begunMs);
  }

  async #look(): Promise<void> {
    const begunMs = this.#run.time.nowMs;
    const read = await readRoster(this.#run.store.connect(this.process).map(mapName));
    if (!read.ok) return;
    this.#watch.observe(read.value);
    this.looks.push({ begunMs, toldMs: this.#run.time.nowMs });
    this.#run.onLook(this, begunMs);
  }

  #card(): LaneCard {
    const { incarnation, name, partition, acknowledged } = this;
    const owned = acknowledged === 0 ? [] : [{ partition, epoch: 1, acknowledged }];
    const wallMs = this.process.clock.wallMs();
    const { witnessed } = this.#slot;
    const counter = this.#counter++;
    return laneCard({ incarnation, name, counter, wallMs, owned, witnessed });
  }
}

export class RosterRun {
  readonly time = new VirtualTime();
  readonly trace = new TraceHash();
  readonly store: LyingStore;
  readonly random: Random;
  readonly lanes: RosterLane[] = [];
  readonly byIncarnation = new Map<string, RosterLane>();
  /** The last position that each partition's lane knows to stand in the roster. */
  readonly witness = new Map<number, number>();
  /** What was found wrong; each with its moment. */
  readonly problems: string[] = [];
  /** How often each thing happened: a run in which nothing happens proves nothing. */
  readonly counts = { judgedStill: 0, taken: 0, lost: 0, left: 0, primariesLost: 0 };
  /** Those who ever held a slot, in the order in which they were told. */
  readonly #holders = new Map<number, RosterLane[]>();
  /** Whether the store and all lanes behave: from then on, since when. */
  healedMs: number | null = null;

  constructor(random: Random, lies: Lies) {
    this.random = random;
    this.store = new LyingStore({
      time: this.time,
      random: random.fork("store"),
      trace: this.trace,
      copies: 3,
      lies,
    });
  }

  start(name: string, predecessor: Predecessor, joins: boolean): RosterLane {
    const lane = new RosterLane(this, name, this.lanes.length);
    this.lanes.push(lane);
    this.byIncarnation.set(lane.incarnation, lane);
    lane.live(predecessor, joins).catch((error: unknown) => {
      this.problem(`${lane.incarnation}: ${String(error)}`);
    });
    return lane;
  }

  problem(what: string): void {
    this.problems.push(`${this.time.nowMs.toFixed(1)} ms: ${what}`);
  }

  /** Everything behaves from now on. */
  heal(): void {
    this.store.lies = honest;
    this.store.copies.catchUp();
    for (const lane of this.lanes) lane.process.resume();
    this.healedMs = this.time.nowMs;
  }

  onLost(lane: RosterLane): void {
    this.counts.lost++;
    // Its taker may not have been told yet; but its card is there, on every copy.
    if (this.#cards(lane.slot).some((card) => card?.incarnation === lane.incarnation)) {
      this.problem(
        `${lane.incarnation} was told that it lost slot ${String(lane.slot)}: it did not`,
      );
    }
  }

  /** R1, R2, R3: what must be true of a slot when a lane is told that it holds it. */
  onTold(lane: RosterLane, begunMs: number): void {
    const { slot, incarnation } = lane;
    lane.told.push({ begunMs, toldMs: this.time.nowMs });
    const holders = this.#holders.get(slot) ?? [];
    this.#holders.set(slot, holders);
    if (!holders.includes(lane)) {
      if (holders.length > 0) this.counts.taken++;
      holders.push(lane);
    }
    // Each was told of some moment between two: another's must not lie wholly between its own.
    const firstMs = must(lane.told[0], "it was told").toldMs;
    for (const other of holders) {
      const isBetween = other.told.some((one) => one.begunMs > firstMs && one.toldMs < begunMs);
      if (other !== lane && isBetween) {
        this.problem(`${incarnation} holds slot ${String(slot)} again after another did`);
      }
    }
    for (const card of this.#cards(slot)) {
      if (card === null) this.problem(`slot ${String(slot)} is not on every copy`);
    }
    for (let below = 0; below < slot; below++) {
      if (this.#cards(below).includes(null)) this.problem(`gap at slot ${String(below)}`);
    }
  }

  /** R5: what a lane thinks of the others against what is true of them. */
  onLook(observer: RosterLane, begunMs: number): void {
    const nowMs = this.time.nowMs;
    for (const { entry, stillMs } of observer.watch.members()) {
      const lane = must(this.byIncarnation.get(entry.card.incarnation), "a known lane");
      const isStill = observer.watch.isStill(entry.slot);
      if (isStill) this.counts.judgedStill++;
      // No heartbeat was stored from the beginning of its stillness to the look.
      const beat = lane.told.findLast(({ toldMs }) => toldMs < begunMs);
      const isTheSlots = lane.slot === entry.slot && lane.told.length > 0;
      if (stillMs > 0 && isTheSlots && beat !== undefined && beat.begunMs > nowMs - stillMs) {
        this.problem(`${observer.incarnation} blames ${lane.incarnation}, which beat`);
      }
      this.#expectDeadIsStill(observer, lane, isStill);
      const healthyMs = this.healedMs === null ? 0 : nowMs - this.healedMs;
      if (isStill && healthyMs > 2 * limits.heartbeatStillMs && this.#isHealthy(lane, entry.slot)) {
        this.problem(`${observer.incarnation} blames ${lane.incarnation}, which is well`);
      }
    }
  }

  /** The highest position of a partition that the roster knows, by its primary. */
  async acknowledged(partition: number): Promise<number> {
    const map = this.store.connect(new VirtualProcess(this.time)).map(mapName);
    const entries = unwrap(await readRoster(map));
    const known = entries.flatMap(({ card }) => [...card.owned, ...card.witnessed]);
    const positions = known.map((one) => (one.partition === partition ? one.acknowledged : 0));
    return Math.max(0, ...positions);
  }

  #isHealthy(lane: RosterLane, slot: number): boolean {
    return lane.state === "holding" && lane.process.state === "running" && lane.slot === slot;
  }

  /** Once it has looked for the stated time at a roster in which the dead cannot change. */
  #expectDeadIsStill(observer: RosterLane, lane: RosterLane, isStill: boolean): void {
    if (isStill || lane.diedMs === null) return;
    // A card that reached the primary alone is gone with it, and the dead one is seen anew.
    const quietMs = Math.max(lane.diedMs + this.lateMsMax, this.primaryLostMs);
    const looks = observer.looks.filter(({ begunMs }) => begunMs > quietMs);
    const lookedMs = looks.slice(1).reduce((sum, { toldMs }, index) => {
      return sum + Math.min(limits.heartbeatMs, toldMs - must(looks[index], "one before").toldMs);
    }, 0);
    if (lookedMs > limits.heartbeatStillMs) {
      this.problem(`${observer.incarnation} does not see that ${lane.incarnation} died`);
    }
  }

  /** How long something of a lane may arrive after its end. */
  lateMsMax = 0;
  /** When a primary died last. */
  primaryLostMs = 0;

  #cards(slot: number): (LaneCard | null)[] {
    return this.store.copies.replicas.map((replica) => {
      const stored = replica.get(storedKey(mapName, slotKey(slot)));
      return stored === undefined ? null : decodeCard(stored);
    });
  }
}
