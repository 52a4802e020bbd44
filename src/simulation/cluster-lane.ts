// Cluster lane: the engine's own lane in a virtual process, with the adapters of a simulation.
// Owns: putting it together as lane-worker.ts does in a thread, its one life, what the oracle
// hears of it. Does not own: when it starts, pauses and dies (cluster-faults.ts), who follows it
// in its place (cluster-seats.ts).
import { unwrap, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Database } from "../data-pump/database.ts";
import { Pump, type PumpOptions, type PumpSource } from "../data-pump/pump.ts";
import type { CheckpointSizes } from "../grid/checkpointer.ts";
import type { Value } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { CommandRequest } from "../messaging-grid/frames.ts";
import { space, type Entry } from "../processing-units/application.ts";
import type { SubmitOptions } from "../processing-units/edge-context.ts";
import type { LaneListener } from "../processing-units/lane-options.ts";
import { Lane } from "../processing-units/lane.ts";
import { tablesOf } from "../processing-units/load-application.ts";
import type { Predecessor } from "../processing-units/ownership.ts";
import type { Respond } from "../processing-units/partition-request.ts";
import type { ClusterOracle } from "./cluster-oracle.ts";
import { ClusterTap } from "./cluster-tap.ts";
import type { ClusterWorld } from "./cluster-world.ts";
import { VirtualProcess } from "./virtual-process.ts";

export interface ClusterLaneOptions {
  readonly world: ClusterWorld;
  /** The same for all lives in one place. */
  readonly name: string;
  readonly unit: string;
  readonly address: string;
  readonly incarnation: string;
  readonly predecessor: Predecessor | null;
  readonly random: Random;
  readonly checkpointing: Map<number, string>;
  /** Its life is over: killed, taken for dead, or left. */
  readonly onOver: (lane: ClusterLane) => void;
}

/** Small ones, so that a run of some seconds makes and trims many. */
const checkpointSizes: CheckpointSizes = {
  logBytesMin: 4000,
  handOverBytesMin: 1000,
  segmentBytes: 500,
  deltaBytesMax: 1500,
  sharedTimesMax: 2,
};

/** The engine's pump, which tells the oracle what the lane serves and acknowledges. */
class WatchedPump extends Pump {
  readonly #oracle: ClusterOracle;

  constructor(options: PumpOptions, oracle: ClusterOracle) {
    super(options);
    this.#oracle = oracle;
  }

  override attach(source: PumpSource): void {
    this.#oracle.serving(source.partition, source.epoch);
    super.attach(source);
  }

  override durable(partition: number, record: ChainedRecord, bytes: number): void {
    this.#oracle.acknowledged(partition, record);
    super.durable(partition, record, bytes);
  }
}

export class ClusterLane {
  readonly process: VirtualProcess;
  readonly lane: Lane;
  readonly #options: ClusterLaneOptions;
  readonly #tap: ClusterTap;
  readonly #pump: WatchedPump;
  #state: "joining" | "member" | "leaving" | "over" = "joining";
  #joining: Promise<void> = Promise.resolve();
  #slot = -1;

  constructor(options: ClusterLaneOptions) {
    this.#options = options;
    const { world, name, unit, address, incarnation, predecessor, random } = options;
    const { time, network, identity, workload, store, probes, diary, database } = world;
    this.process = new VirtualProcess(time);
    const { clock, timers } = this.process;
    this.#tap = new ClusterTap({
      store: store.connect(this.process),
      probes,
      diary,
      name: `${name} (${incarnation})`,
      checkpointing: options.checkpointing,
      nowMs: () => time.nowMs,
      isDead: () => this.process.state === "dead",
    });
    const pump: PumpOptions = {
      database: this.#watchedDatabase(database.connect(this.process)),
      identity,
      spaces: tablesOf(workload.application),
      clock,
      timers,
      random: random.fork("pump"),
      listener: {
        written: (partition, position) => {
          this.lane.written(partition, position);
        },
        deadLettered: (letter) => {
          probes.reached("change became a dead letter");
          this.lane.deadLettered(letter);
        },
        halted: (partition, reason) => {
          this.lane.halt(partition, reason);
        },
      },
    };
    this.#pump = new WatchedPump(pump, world.oracle);
    const endpoint = network.endpoint(this.process, address);
    this.lane = new Lane({
      lane: { incarnation, unit, name, address, release: "simulated", database: null },
      predecessor,
      identity,
      store: this.#tap,
      application: workload.application,
      pump: this.#pump,
      gridBytesMax: 2 ** 32,
      checkpointSizes,
      clock,
      timers,
      random: random.fork("lane"),
      listener: this.#listener(),
      connect: (to, hello, wanted) => endpoint.connect(to, hello, wanted),
    });
    endpoint.listen(incarnation, (hello, link) => {
      this.lane.accept(hello, link);
    });
  }

  get incarnation(): string {
    return this.#options.incarnation;
  }

  get address(): string {
    return this.#options.address;
  }

  get slot(): number {
    return this.#slot;
  }

  get state(): "joining" | "member" | "leaving" | "over" {
    return this.#state;
  }

  /** True where a client would try it: it has joined, and is not known to be dead. */
  get isThere(): boolean {
    return this.#state === "member" || this.#state === "leaving";
  }

  /** Records that it has not yet written to the database. */
  get backlogRecords(): number {
    return this.#pump.backlogRecords;
  }

  /** For people. */
  get title(): string {
    return `${this.#options.name} (${this.incarnation})`;
  }

  start(): Promise<void> {
    this.#joining = this.#join();
    return this.#joining;
  }

  async #join(): Promise<void> {
    const joined = await this.lane.join();
    if (this.#state !== "joining") return;
    if (!joined.ok) {
      this.kill(`could not join: ${joined.failure.message}`);
      return;
    }
    this.#slot = unwrap(joined);
    this.#state = "member";
    this.#note(() => `joined in slot ${String(this.#slot)}`);
  }

  /** As a socket would: what comes while it is paused waits, what it never answers is lost. */
  submit(command: string, input: Value, options: SubmitOptions, respond: Respond): void {
    this.process.deliver(() => {
      this.lane.submit(command, input, options, respond);
    });
  }

  /** kill -9 */
  kill(why: string): void {
    if (this.#state === "over") return;
    this.#note(() => `ends: ${why}`);
    this.#state = "over";
    this.#options.world.oracle.died(this.#options.world.time.nowMs);
    this.process.kill();
    this.#options.onOver(this);
  }

  /** The clean end: everything is answered and handed over; of one that joins, once it has. */
  async leave(): Promise<void> {
    if (this.#state === "joining") await this.#joining;
    if (this.#state !== "member") return;
    this.#state = "leaving";
    this.#note(() => "leaves");
    await this.lane.drain();
    await this.lane.close();
    if (this.process.state === "dead") return;
    this.#options.world.probes.reached("lane left");
    this.kill("it has left");
  }

  /** The news that the grid's members changed, once it is awake. */
  membersChanged(): void {
    this.process.deliver(() => {
      this.lane.checkLogs();
    });
  }

  #note(text: () => string): void {
    this.#options.world.diary.note(null, () => `${this.title} ${text()}`);
  }

  #listener(): LaneListener {
    const { oracle, probes, diary } = this.#options.world;
    return {
      serving: (partition, epoch) => {
        diary.note(partition, () => `${this.title} serves under ${String(epoch)}`);
        if (oracle.logs[partition]?.isTakenOver(epoch) === true) {
          probes.reached("take-over without a release");
        }
        oracle.loaded(partition, epoch, (name) => this.#entries(name));
        if (this.#options.world.deadly.partition === partition) this.kill("of a partition");
      },
      stopped: (partition, reason, halted) => {
        const how = halted ? "halts" : "stops";
        diary.note(partition, () => `${this.title} ${how}: ${reason.message} [${reason.code}]`);
        if (this.process.state !== "dead") {
          const { nowMs } = this.#options.world.time;
          const path = oracle.stopped(partition, this.title, reason, nowMs);
          if (path !== null) probes.reached(path);
        }
      },
      released: (partition, epoch) => {
        probes.reached("hand-over");
        diary.note(partition, () => `${this.title} released ${String(epoch)}`);
      },
      lost: (reason) => {
        probes.reached("slot lost");
        this.#die(reason);
      },
      received: (_peer, request, respond) => this.#received(request, respond),
    };
  }

  #isDeadly({ origin, partition }: CommandRequest): boolean {
    const { deadly } = this.#options.world;
    // Whoever has seen it too often refuses it, and lives.
    if (origin === null || origin.attempt >= limits.poisonAttempts) return false;
    const command = `${String(partition)} ${origin.sender} ${String(origin.number)}`;
    if (deadly.armed) {
      deadly.armed = false;
      deadly.command = command;
    }
    return deadly.command === command;
  }

  #watchedDatabase(database: Database): Database {
    return {
      claim: (generation, claims) => database.claim(generation, claims),
      read: (partitions) => database.read(partitions),
      write: async (transaction) => {
        const outcome = await database.write(transaction);
        const isUnknown = !outcome.ok && outcome.failure.kind === "unknown";
        if (isUnknown) this.#options.world.probes.reached("commit of unknown outcome");
        return outcome;
      },
      rehearse: (transaction) => database.rehearse(transaction),
      close: () => database.close(),
    };
  }

  /** As lane-worker.ts does: the thread ends with what it threw. */
  #die(reason: Failure): void {
    this.process.timers.endOfTick(() => {
      this.kill(reason.message);
    });
  }

  #entries(name: string): Iterable<readonly [string, Value]> {
    return this.lane.entries<Entry>(space({ name }));
  }

  /** A command from another lane: which of the rare paths it takes. */
  #received(request: CommandRequest, respond: Respond): Respond {
    const { oracle, probes, time } = this.#options.world;
    const { origin, partition } = request;
    if (this.#isDeadly(request)) this.kill("of a command");
    const isOld = time.nowMs - this.#tap.beatAtMs > limits.staleReadMsMax;
    const isUpgraded = request.read === "local" && isOld;
    const before = origin === null ? null : oracle.asked(partition, origin, this.incarnation);
    return (outcome: Outcome<Value>, computed) => {
      if (outcome.ok) {
        if (isUpgraded) probes.reached("local read made linearizable");
        if (before !== null) probes.reached(before);
      }
      respond(outcome, computed);
    };
  }
}
