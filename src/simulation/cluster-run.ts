// Cluster run: a whole cluster of lanes in virtual time, its clients, and what goes wrong; a seed
// decides everything. The first part of a run breaks things, the second heals them and demands
// that everything is served again within a virtual minute.
// Owns: the phases of a run. Does not own: what goes wrong (cluster-faults.ts), what is right
// (cluster-oracle.ts), what clients want (the workload).
import { unwrap } from "../base/failure.ts";
import { seededRandom, type Random } from "../base/random.ts";
import { openGrid, type GridIdentity } from "../grid/grid-directory.ts";
import { ClusterClients } from "./cluster-clients.ts";
import { ClusterDiary } from "./cluster-diary.ts";
import { ClusterFaults, drawFaults, type FaultPlan } from "./cluster-faults.ts";
import type { ClusterLane } from "./cluster-lane.ts";
import { ClusterOracle, type Violation } from "./cluster-oracle.ts";
import { ClusterProbes } from "./cluster-probes.ts";
import { ClusterSeats } from "./cluster-seats.ts";
import type { ClusterWorkload } from "./cluster-workload.ts";
import type { ClusterWorld } from "./cluster-world.ts";
import { DatabaseServer } from "./database-server.ts";
import { honest, LyingStore } from "./lying-store.ts";
import { TraceHash } from "./trace-hash.ts";
import { healthyDatabase, VirtualDatabase } from "./virtual-database.ts";
import { healthyNetwork, VirtualNetwork } from "./virtual-network.ts";
import { VirtualProcess } from "./virtual-process.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface ClusterRunOptions {
  readonly seed: number;
  readonly workload: ClusterWorkload;
  /** Keeps what happened, to be read. */
  readonly keepsDiary?: boolean;
  /** Instead of what the seed draws. */
  readonly faults?: FaultPlan;
}

export interface ClusterRunResult {
  readonly violations: readonly Violation[];
  readonly probes: ClusterProbes;
  readonly diary: ClusterDiary;
  readonly partitions: number;
  /** Equal for equal seeds. */
  readonly trace: string;
  readonly events: number;
  readonly operations: number;
  readonly answered: number;
  /** Not answered, though there was a second or more. */
  readonly unanswered: number;
  readonly virtualMs: number;
}

const lanes = 5;
const eventsMax = 5_000_000;
/** A healed cluster serves everything again within this time. */
const convergenceMs = 60_000;
const createMs = 10_000;

/** Runs one seed. Never rejects: what went wrong stands in `violations`. */
export async function runCluster(options: ClusterRunOptions): Promise<ClusterRunResult> {
  const time = new VirtualTime();
  const random = seededRandom(options.seed);
  const trace = new TraceHash();
  const store = new LyingStore({
    time,
    random: random.fork("store"),
    trace,
    copies: random.chance(0.7) ? 2 : 3,
    lies: honest,
  });
  const drawn = 4 + random.below(5);
  const partitions = options.workload.partitions ?? drawn;
  const run = new ClusterRun({ options, time, random, trace, store, partitions });
  // A promise that nobody waits for is a bug that must not end the program.
  const onRejection = (error: unknown): void => run.failed(error);
  process.on("unhandledRejection", onRejection);
  try {
    await run.whole();
  } catch (error) {
    run.failed(error);
  } finally {
    process.off("unhandledRejection", onRejection);
  }
  return run.result();
}

interface RunParts {
  readonly options: ClusterRunOptions;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly trace: TraceHash;
  readonly store: LyingStore;
  readonly partitions: number;
}

class ClusterRun {
  readonly #parts: RunParts;
  readonly #probes = new ClusterProbes();
  readonly #diary: ClusterDiary;
  readonly #early: Violation[] = [];
  #world: ClusterWorld | null = null;
  #clients: ClusterClients | null = null;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#diary = new ClusterDiary(parts.time, parts.options.keepsDiary ?? false);
  }

  failed(error: unknown): void {
    const what = `the run failed: ${error instanceof Error ? (error.stack ?? "") : String(error)}`;
    if (this.#world === null) this.#early.push({ partition: null, what });
    else this.#world.oracle.violate(null, what);
  }

  result(): ClusterRunResult {
    const { time, trace } = this.#parts;
    const violations = [...this.#early, ...(this.#world?.oracle.violations ?? [])];
    trace.text(violations.map(({ what }) => what).join());
    return {
      violations,
      probes: this.#probes,
      diary: this.#diary,
      partitions: this.#parts.partitions,
      trace: trace.digest,
      events: time.events,
      operations: this.#clients?.operations ?? 0,
      answered: this.#clients?.answered ?? 0,
      unanswered: this.#clients?.unanswered ?? 0,
      virtualMs: time.nowMs,
    };
  }

  async whole(): Promise<void> {
    const { time, random, options } = this.#parts;
    const world = this.#makeWorld(await this.#createGrid());
    this.#world = world;
    const seats = new ClusterSeats(world, lanes, random.fork("seats"));
    const plan = options.faults ?? drawFaults(random.fork("plan"));
    this.#diary.note(null, () => `plan: ${JSON.stringify(plan)}`);
    const faults = new ClusterFaults(world, plan, seats, random.fork("faults"));
    const clients = new ClusterClients({
      world,
      random: random.fork("clients"),
      lanes: () => seats.there,
    });
    this.#clients = clients;
    seats.onOver = (lane, seat) => {
      clients.lost(lane);
      if (seat !== null) faults.over(lane, seat);
    };
    for (const seat of seats.empty) {
      time.after(random.fraction() * 300, () => seats.start(seat, null));
    }
    const durationMs = random.pick([5000, 15_000, 30_000]);
    time.after(500, () => {
      faults.start();
      clients.start();
    });
    await this.#until(durationMs, () => false);
    faults.heal();
    clients.stop();
    await this.#converge(world, seats, clients);
    if (world.oracle.isBroken) return;
    if (world.oracle.isHalted) {
      clients.abandon();
      world.oracle.audit("at the end");
    } else {
      world.oracle.auditEnd();
      await this.#stopAll(world, seats, random.fork("stop"));
    }
  }

  async #createGrid(): Promise<GridIdentity> {
    const { time, random, store, partitions } = this.#parts;
    const { timers, clock } = new VirtualProcess(time);
    const made: GridIdentity[] = [];
    const opening = openGrid({
      store: store.connect(new VirtualProcess(time)),
      timers,
      clock,
      random: random.fork("grid"),
      partitions,
      partitionsDefault: partitions,
      mayCreate: () => Promise.resolve({ ok: true, value: null } as const),
    }).then((opened) => made.push(unwrap(opened)));
    await time.run({ untilMs: createMs, eventsMax, isDone: () => made.length > 0 });
    await opening;
    const [identity] = made;
    if (identity === undefined) throw new Error("the grid was not made");
    return identity;
  }

  #makeWorld(identity: GridIdentity): ClusterWorld {
    const { time, random, trace, store, options } = this.#parts;
    const { workload } = options;
    const server = new DatabaseServer(identity.partitions, identity.generation);
    return {
      time,
      trace,
      random,
      store,
      network: new VirtualNetwork({
        time,
        random: random.fork("network"),
        trace,
        faults: healthyNetwork,
      }),
      database: new VirtualDatabase({
        server,
        time,
        random: random.fork("database"),
        trace,
        faults: healthyDatabase,
      }),
      identity,
      workload,
      oracle: new ClusterOracle({ identity, workload, copies: store.copies, server }),
      probes: this.#probes,
      diary: this.#diary,
      deadly: { armed: false, command: null, partition: null },
    };
  }

  /** Something is broken, or halted as it should: what comes after it says nothing more. */
  get #isOver(): boolean {
    return this.#world?.oracle.isBroken === true || this.#world?.oracle.isHalted === true;
  }

  /** Runs for so long at most; ends early when it is done, or something is broken. */
  async #until(durationMs: number, isDone: () => boolean): Promise<void> {
    const { time } = this.#parts;
    const untilMs = time.nowMs + durationMs;
    await time.run({
      untilMs,
      eventsMax,
      isDone: () => this.#isOver || isDone(),
    });
  }

  /** Everything is healthy: all is served, agreed upon, and written. */
  async #converge(
    world: ClusterWorld,
    seats: ClusterSeats,
    clients: ClusterClients,
  ): Promise<void> {
    const { time } = this.#parts;
    const startedMs = time.nowMs;
    const left = (): number => Math.max(0, startedMs + convergenceMs - time.nowMs);
    const waitFor = async (what: string, isSo: () => boolean): Promise<boolean> => {
      while (!isSo() && left() > 0 && !this.#isOver) await this.#until(50, () => false);
      if (isSo() || this.#isOver) return isSo();
      world.oracle.violate(null, `a minute after all was healed: ${what}`);
      return false;
    };
    const complain = (what: readonly string[]): void => {
      if (!world.oracle.isHalted) world.oracle.violate(null, what.join("; "));
    };
    const all = (): ClusterLane[] => seats.living;
    if (!(await waitFor("clients wait", () => clients.isIdle))) return;
    const isServed = (): boolean => unserved(world, all()).length === 0;
    if (!(await waitFor("partitions are served by nobody, or by two", isServed))) {
      complain(unserved(world, all()));
      return;
    }
    const isAgreed = (): boolean => uneasy(all()).length === 0;
    if (!(await waitFor("lanes do not agree, or have alarms", isAgreed))) {
      complain(uneasy(all()));
      return;
    }
    const open = new Map<string, ClusterLane>();
    for (const lane of seats.there) {
      for (const operation of world.workload.last(clients.newClient())) {
        const what = `${lane.title} ${operation.key}`;
        open.set(what, lane);
        void clients.ask(operation, lane).then(({ kind }) => {
          if (kind === "answered") open.delete(what);
        });
      }
    }
    // One that was replaced may still find that out, and end.
    const isOpen = ([, lane]: [string, ClusterLane]): boolean => lane.state !== "over";
    if (!(await waitFor("not every lane can serve every key", () => ![...open].some(isOpen)))) {
      complain([...open.keys()].slice(0, 5));
      return;
    }
    const isWritten = (): boolean =>
      world.oracle.logs.every((log, partition) => {
        return world.database.server.row(partition)?.seq === log.tail;
      });
    await waitFor("the database is behind", isWritten);
  }

  /** O4: all lanes stop at about the same moment, and what they leave is complete. */
  async #stopAll(world: ClusterWorld, seats: ClusterSeats, random: Random): Promise<void> {
    if (world.oracle.isBroken) return;
    seats.close();
    this.#diary.note(null, () => "--- all lanes leave");
    const withinMs = random.pick([0, 10, 300, 2000]);
    for (const lane of seats.living) {
      this.#parts.time.after(random.fraction() * withinMs, () => {
        lane.leave().catch((error: unknown) => {
          world.oracle.violate(null, `a lane failed to leave: ${String(error)}`);
        });
      });
    }
    await this.#until(convergenceMs, () => seats.living.length === 0);
    if (this.#isOver) return;
    if (seats.living.length > 0) world.oracle.violate(null, "a minute later not all have left");
    world.oracle.auditStopped();
    this.#probes.reached("all lanes left");
  }
}

/** Lanes that do not see everything held, or cannot reach everybody, in words. */
function uneasy(lanes: readonly ClusterLane[]): string[] {
  return lanes.flatMap(({ lane, title, state }) => {
    const { unheld, alarms } = lane.gridStatus();
    const problems = [...alarms];
    if (unheld.length > 0) problems.push(`unheld: ${unheld.join()}`);
    if (state !== "member") problems.push(state);
    return problems.length === 0 ? [] : `${title}: ${problems.join(", ")}`;
  });
}

/** Partitions that are not served by exactly one lane, in words. */
function unserved(world: ClusterWorld, lanes: readonly ClusterLane[]): string[] {
  const served = new Map<number, string[]>();
  for (const { lane, title } of lanes) {
    for (const { partition, phase, reason } of lane.partitionStatus()) {
      if (phase === "gone") continue;
      const list = served.get(partition) ?? [];
      list.push(phase === "serving" ? title : `${title} ${phase} ${reason ?? ""}`);
      served.set(partition, list);
    }
  }
  const problems: string[] = [];
  for (let partition = 0; partition < world.identity.partitions; partition++) {
    const list = served.get(partition) ?? [];
    const isOne = list.length === 1 && list[0]?.endsWith(")") === true;
    if (!isOne) problems.push(`partition ${String(partition)}: ${list.join(", ") || "nobody"}`);
  }
  return problems;
}
