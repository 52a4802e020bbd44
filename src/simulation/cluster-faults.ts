// Cluster faults: what goes wrong in one run, and when: a seed draws which kinds there are at all,
// how often they come, how long each lasts.
// Owns: the draw, the beginning and the end of each fault, healing all of them.
// Does not own: what a fault does (store, network, database, process do it themselves), lives that
// begin again (it asks the seats).
import { partitionOf } from "../base/murmur3.ts";
import type { Random } from "../base/random.ts";
import type { ClusterLane } from "./cluster-lane.ts";
import type { ClusterSeats } from "./cluster-seats.ts";
import type { ClusterWorld } from "./cluster-world.ts";
import type { DatabaseServer } from "./database-server.ts";
import { honest, type Lies } from "./lying-store.ts";
import { healthyDatabase, type DatabaseFaults } from "./virtual-database.ts";
import { healthyNetwork, type NetworkFaults } from "./virtual-network.ts";

const faultKinds = [
  "crash",
  "pause",
  "freeze",
  "deadly command",
  "deadly partition",
  "usurp",
  "leave",
  "cut",
  "isolate",
  "reset",
  "clock",
  "slow store",
  "full store",
  "store out of reach",
  "primary",
  "database crash",
  "database hang",
  "database restore",
  "constraint",
  "operator",
  "database out of reach",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** What a run is like all the time, and what may happen in it. */
export interface FaultPlan {
  readonly kinds: readonly FaultKind[];
  /** Between two faults, on average. */
  readonly everyMs: number;
  readonly lies: Lies;
  readonly network: NetworkFaults;
  readonly database: DatabaseFaults;
  /** A change that missed a backup is followed by the primary's death so often. */
  readonly deathAfterMiss: number;
  /** Lanes that are down or paused at once, at most. */
  readonly downMax: number;
}

export const noFaults: FaultPlan = {
  kinds: [],
  everyMs: 1000,
  lies: honest,
  network: healthyNetwork,
  database: healthyDatabase,
  deathAfterMiss: 0,
  downMax: 0,
};

function drawLies(random: Random): Lies {
  const upTo = (most: number): number => (random.chance(0.4) ? 0 : random.fraction() * most);
  return {
    lostRequest: upTo(0.03),
    lostAnswer: upTo(0.05),
    missedBackup: upTo(0.08),
    duplicate: upTo(0.15),
    duplicateMsMax: 50 + random.fraction() * 3000,
    lateRequest: upTo(0.03),
    quickError: 0.8,
    delayMsMax: random.pick([0.5, 2, 8]),
  };
}

function drawNetwork(random: Random): NetworkFaults {
  return {
    delayMsMax: random.pick([0.5, 2, 20]),
    lost: random.chance(0.5) ? 0 : random.fraction() * 0.05,
    lostMsMax: 300,
  };
}

function drawDatabase(random: Random): DatabaseFaults {
  const upTo = (most: number): number => (random.chance(0.5) ? 0 : random.fraction() * most);
  return {
    delayMsMax: random.pick([2, 10, 50]),
    lostRequest: upTo(0.1),
    lostAnswer: upTo(0.1),
    late: upTo(0.1),
    lateMsMax: 50 + random.fraction() * 3000,
    refused: upTo(0.1),
  };
}

/** What a seed makes of a run; one in sixteen is a healthy one. */
export function drawFaults(random: Random): FaultPlan {
  if (random.chance(1 / 16)) return noFaults;
  return {
    kinds: faultKinds.filter(() => random.chance(0.5)),
    everyMs: random.pick([400, 1000, 3000]),
    lies: random.chance(0.3) ? honest : drawLies(random),
    network: random.chance(0.3) ? healthyNetwork : drawNetwork(random),
    database: random.chance(0.3) ? healthyDatabase : drawDatabase(random),
    deathAfterMiss: random.pick([0, 0.15]),
    downMax: random.pick([1, 2, 5]),
  };
}

export class ClusterFaults {
  readonly #world: ClusterWorld;
  readonly #plan: FaultPlan;
  readonly #random: Random;
  readonly #seats: ClusterSeats;
  /** Ends of faults that are on. */
  readonly #ends = new Set<() => void>();
  #healed = false;

  constructor(world: ClusterWorld, plan: FaultPlan, seats: ClusterSeats, random: Random) {
    this.#world = world;
    this.#plan = plan;
    this.#seats = seats;
    this.#random = random;
  }

  start(): void {
    const { store, network, database } = this.#world;
    store.lies = this.#plan.lies;
    network.faults = this.#plan.network;
    database.faults = this.#plan.database;
    if (this.#plan.deathAfterMiss > 0) store.onMissedBackup = () => this.#missed();
    if (this.#plan.kinds.length > 0) this.#next();
  }

  /** Whoever ended by itself (taken for dead, or it could not join) is followed by somebody new. */
  over(lane: ClusterLane, seat: number): void {
    if (this.#healed) this.#restart(seat, null, 100);
    else if (this.#world.deadly.partition !== null) this.#restart(seat, lane, 100);
    else this.#restart(seat, this.#random.chance(0.5) ? lane : null, 2000);
  }

  /** Nothing is wrong any more, and nothing goes wrong again. */
  heal(): void {
    this.#healed = true;
    this.#world.deadly.armed = false;
    this.#world.deadly.command = null;
    const { store, network, database } = this.#world;
    for (const end of [...this.#ends]) end();
    store.lies = honest;
    store.onMissedBackup = () => undefined;
    network.faults = healthyNetwork;
    network.healAll();
    database.faults = healthyDatabase;
    for (const seat of this.#seats.empty) this.#seats.start(seat, null);
  }

  #note(text: string): void {
    this.#world.diary.note(null, () => `--- ${text}`);
    this.#world.trace.text(text);
  }

  #next(): void {
    this.#world.time.after(this.#random.fraction() * 2 * this.#plan.everyMs, () => {
      if (this.#healed) return;
      this.#begin(this.#random.pick(this.#plan.kinds));
      this.#next();
    });
  }

  /** Something is so for a while. */
  #for(durationMs: number, what: string, begin: () => void, end: () => void): void {
    this.#note(`${what} for ${durationMs.toFixed(0)} ms`);
    begin();
    const once = (): void => {
      if (!this.#ends.delete(once)) return;
      this.#note(`end: ${what}`);
      end();
    };
    this.#ends.add(once);
    this.#world.time.after(durationMs, once);
  }

  #begin(kind: FaultKind): void {
    const random = this.#random;
    const lane = this.#seats.living.length === 0 ? null : random.pick(this.#seats.living);
    switch (kind) {
      case "primary":
        this.#changeMembers();
        break;
      case "slow store":
      case "full store":
        this.#storeFault(kind);
        break;
      case "database crash":
      case "database hang":
        this.#databaseFault(kind);
        break;
      case "deadly partition":
        this.#killByPartition();
        break;
      case "constraint":
        this.#constrain();
        break;
      case "database restore":
        this.#restoreLater();
        break;
      case "operator":
        this.#operate();
        break;
      default:
        if (lane !== null) this.#laneFault(kind, lane);
    }
  }

  #laneFault(kind: FaultKind, lane: ClusterLane): void {
    const random = this.#random;
    const { store, database, time } = this.#world;
    switch (kind) {
      case "crash":
        if (this.#isRoomForOneMore()) this.#crash(lane);
        break;
      case "pause":
        this.#pause(lane, 20 + random.fraction() * 900);
        break;
      case "freeze":
        this.#pause(lane, 1000 + random.fraction() * 9000);
        break;
      case "deadly command":
        this.#note("the next command between lanes is deadly");
        this.#world.deadly.armed = true;
        break;
      case "usurp":
        this.#usurp(lane);
        break;
      case "leave":
        if (this.#isRoomForOneMore()) this.#leave(lane);
        break;
      case "cut":
      case "isolate":
      case "reset":
        this.#networkFault(kind, lane);
        break;
      case "clock": {
        const jumpMs = random.below(30_000) - 15_000;
        const { process } = lane;
        const set = (offsetMs: number) => () => (process.wallOffsetMs = offsetMs);
        const what = `${lane.title}: clock ${String(jumpMs)} ms off`;
        this.#for(random.fraction() * 10_000, what, set(jumpMs), set(0));
        break;
      }
      case "store out of reach": {
        const reach = (isReachable: boolean) => () => store.reach(lane.process, isReachable);
        const what = `${lane.title}: store out of reach`;
        this.#for(random.fraction() * 3000, what, reach(false), reach(true));
        break;
      }
      case "database out of reach": {
        const reach = (isReachable: boolean) => () => database.reach(lane.process, isReachable);
        const what = `${lane.title}: database out of reach`;
        this.#for(random.fraction() * 5000, what, reach(false), reach(true));
        break;
      }
      default:
        this.#note(`nothing at ${time.nowMs.toFixed(0)} ms`);
    }
  }

  #isRoomForOneMore(): boolean {
    const paused = this.#seats.living.filter(({ process }) => process.state === "paused").length;
    return this.#seats.empty.length + paused < this.#plan.downMax;
  }

  #crash(lane: ClusterLane): void {
    this.#note(`${lane.title} crashes`);
    lane.kill("it crashed");
  }

  #restart(seat: number, follows: ClusterLane | null, withinMs: number): void {
    // The thread of a unit is replaced at once; a unit that starts anew takes its time.
    const delayMs = this.#random.fraction() * withinMs;
    this.#world.time.after(delayMs, () => this.#seats.start(seat, follows));
  }

  #pause(lane: ClusterLane, durationMs: number): void {
    if (lane.process.state !== "running" || !this.#isRoomForOneMore()) return;
    if (durationMs > 6000) this.#world.probes.reached("lane paused beyond suspicion");
    const { process } = lane;
    const pause = (): void => process.pause();
    this.#for(durationMs, `${lane.title} is paused`, pause, () => process.resume());
  }

  /** A lane that is thought to be dead is replaced, and wakes up. */
  #usurp(lane: ClusterLane): void {
    const { process } = lane;
    if (process.state !== "running" || lane.state !== "member") return;
    const durationMs = this.#random.fraction() * 3000;
    const replace = (): void => {
      process.pause();
      this.#seats.replace(lane);
    };
    this.#for(durationMs, `${lane.title} is paused, and replaced`, replace, () => {
      process.resume();
    });
  }

  #leave(lane: ClusterLane): void {
    if (lane.process.state !== "running" || lane.state !== "member") return;
    this.#note(`${lane.title} leaves`);
    lane.leave().catch((error: unknown) => {
      this.#world.oracle.violate(null, `a lane failed to leave: ${String(error)}`);
    });
  }

  #networkFault(kind: FaultKind, lane: ClusterLane): void {
    const random = this.#random;
    const { network } = this.#world;
    const others = this.#seats.living.filter((other) => other !== lane);
    if (others.length === 0) return;
    const { address } = lane;
    const durationMs = random.fraction() * random.pick([1000, 8000]);
    if (kind === "isolate") {
      const ways = others.flatMap((other): [string, string][] => [
        [address, other.address],
        [other.address, address],
      ]);
      const each = (change: (from: string, to: string) => void) => () => {
        for (const [from, to] of ways) change(from, to);
      };
      const cut = each((from, to) => network.cut(from, to));
      const heal = each((from, to) => network.heal(from, to));
      this.#for(durationMs, `${address} is cut off from all`, cut, heal);
      return;
    }
    const other = random.pick(others).address;
    if (kind === "reset") {
      this.#note(`links between ${address} and ${other} are reset`);
      network.reset(address, other);
      return;
    }
    const isBoth = random.chance(0.4);
    const cut = (): void => {
      network.cut(address, other);
      if (isBoth) network.cut(other, address);
    };
    const heal = (): void => {
      network.heal(address, other);
      if (isBoth) network.heal(other, address);
    };
    const what = `the way from ${address} to ${other}${isBoth ? " and back" : ""} is cut`;
    this.#for(durationMs, what, cut, heal);
  }

  #storeFault(kind: "slow store" | "full store"): void {
    const random = this.#random;
    const { store } = this.#world;
    if (kind === "full store") {
      const set = (isFull: boolean) => () => (store.isFull = isFull);
      this.#for(random.fraction() * 3000, "the store is full", set(true), set(false));
      return;
    }
    const slow = { ...this.#plan.lies, delayMsMax: random.pick([60, 200, 600]) };
    const set = (lies: Lies) => () => (store.lies = lies);
    this.#for(random.fraction() * 3000, "the store is slow", set(slow), set(this.#plan.lies));
  }

  #databaseFault(kind: "database crash" | "database hang"): void {
    const { database, probes } = this.#world;
    const durationMs = this.#random.fraction() * 5000;
    if (kind === "database crash") probes.reached("database crashed");
    const begin = (): void => {
      if (kind === "database crash") database.crash();
      else database.hang();
    };
    this.#for(durationMs, kind, begin, () => database.start());
  }

  /** Seldom, as little else happens meanwhile: whoever serves a partition dies of it, at once. */
  #killByPartition(): void {
    if (!this.#random.chance(0.05)) return;
    const { deadly, identity } = this.#world;
    const partition = this.#random.below(identity.partitions);
    const set = (is: number | null) => () => (deadly.partition = is);
    const durationMs = this.#random.fraction() * 20_000;
    this.#for(durationMs, `partition ${String(partition)} is deadly`, set(partition), set(null));
  }

  /** Somebody adds a constraint by hand: some rows are refused for what they hold. */
  #constrain(): void {
    const { server } = this.#world.database;
    const { probes } = this.#world;
    const salt = String(this.#random.below(1000));
    const set = (refuses: DatabaseServer["refuses"]) => () => (server.refuses = refuses);
    const refuses: DatabaseServer["refuses"] = (table, key, value) => {
      const isRefused = partitionOf(`${salt} ${table} ${key} ${JSON.stringify(value)}`, 23) === 0;
      if (isRefused) probes.reached("row refused");
      return isRefused;
    };
    const durationMs = this.#random.fraction() * 8000;
    this.#for(
      durationMs,
      "a constraint",
      set(refuses),
      set(() => false),
    );
  }

  /** Seldom, as it may end the run: the database goes back to a backup that is made now. */
  #restoreLater(): void {
    if (!this.#random.chance(0.2)) return;
    const { database, oracle, probes, time } = this.#world;
    const restore = oracle.backupDatabase();
    this.#note("a backup of the database is made");
    time.after(this.#random.fraction() * this.#random.pick([100, 3000]), () => {
      if (this.#healed) return;
      this.#note("the database is restored");
      database.crash();
      restore();
      database.start();
      probes.reached("database restored");
    });
  }

  #operate(): void {
    const { oracle, probes } = this.#world;
    if (oracle.parked.length === 0) return;
    const key = this.#random.pick(oracle.parked);
    if (this.#random.chance(0.4)) {
      this.#note(`an operator drops the letters of ${key}`);
      oracle.dropLetters(key);
      probes.reached("dead letters dropped");
      return;
    }
    const isDone = oracle.retryLetters(key);
    this.#note(`an operator retries the letters of ${key}: ${isDone ? "written" : "refused"}`);
    if (isDone) probes.reached("dead letters retried");
  }

  /** What keeps a backup from its message is often what ends the primary a little later. */
  #missed(): void {
    if (!this.#random.chance(this.#plan.deathAfterMiss)) return;
    this.#world.time.after(this.#random.fraction() * 12, () => this.#losePrimary());
  }

  #changeMembers(): void {
    const { copies } = this.#world.store;
    const what = this.#random.below(4);
    if (what === 0) copies.catchUp();
    else if (copies.replicas.length === 1 || (what === 1 && copies.replicas.length < 3)) {
      this.#note("a member joins");
      copies.joinBackup();
      this.#tellLanes(300);
    } else this.#losePrimary();
  }

  #losePrimary(): void {
    const { store, probes, oracle, time } = this.#world;
    const { copies } = store;
    if (this.#healed || copies.replicas.length === 1) return;
    this.#note("the primary is lost");
    copies.losePrimary();
    probes.reached("primary lost");
    oracle.audit(`at ${time.nowMs.toFixed(1)} ms`);
    this.#tellLanes(300);
    // Mostly another member joins soon, so that this can happen again.
    if (!this.#random.chance(0.8)) return;
    time.after(this.#random.fraction() * 200, () => copies.joinBackup());
  }

  /** Each lane hears that members changed, at a time of its own. */
  #tellLanes(withinMs: number): void {
    for (const lane of this.#seats.living) {
      this.#world.time.after(this.#random.fraction() * withinMs, () => lane.membersChanged());
    }
  }
}
