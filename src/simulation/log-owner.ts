// Log owner: one lane of a simulated run, as far as the log of one partition goes: it takes over,
// folds, appends numbered entries, checkpoints, sleeps, dies, and comes back as somebody new.
// Owns: its processes, one after the other, and what it tells the oracle.
// Does not own: when it does what (log-run.ts).
import { failure, type Failure } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import type { CommandEntry } from "../grid/log-record.ts";
import type { LogRules } from "../grid/log-rules.ts";
import type { AppendFate } from "../grid/log-state.ts";
import { PartitionLog, type ChainedRecord } from "../grid/partition-log.ts";
import type { ByteMap, Store } from "../grid/store.ts";
import { LogFollower, numberedEntry } from "./log-follower.ts";
import type { LogOracle } from "./log-oracle.ts";
import type { LogProbes } from "./log-probes.ts";
import { LogTrimmer, type OwnedLog, type TrimmerBugs } from "./log-trimmer.ts";
import type { LyingStore } from "./lying-store.ts";
import { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface OwnerSetting {
  readonly time: VirtualTime;
  readonly store: LyingStore;
  readonly oracle: LogOracle;
  readonly probes: LogProbes;
  readonly rules: LogRules;
  readonly bugs: TrimmerBugs;
  readonly partition: number;
  readonly gridId: string;
  readonly generation: number;
  /** The number of the next entry of any owner. */
  nextNumber(): number;
}

const closedByRun = failure("SHUTTING_DOWN", "the run closed it");

export class LogOwner {
  readonly name: string;
  readonly #setting: OwnerSetting;
  #process: VirtualProcess;
  #incarnation = 0;
  #attempt = 0;
  #tenure: Tenure | null = null;

  constructor(name: string, setting: OwnerSetting) {
    this.name = name;
    this.#setting = setting;
    this.#process = new VirtualProcess(setting.time);
  }

  get process(): VirtualProcess {
    return this.#process;
  }

  /** What it does with the log: nothing, taking over, or serving. */
  get phase(): "idle" | "opening" | "serving" {
    return this.#tenure?.phase ?? "idle";
  }

  /** Entries that it took and that are not settled yet. */
  get unsettled(): number {
    return this.#tenure?.log.unsettled ?? 0;
  }

  /** Records that it made durable in its present tenure. */
  get durableRecords(): number {
    return this.#tenure?.durableRecords ?? 0;
  }

  connect(): Store {
    return this.#setting.store.connect(this.#process);
  }

  takeOver(): void {
    const token = `${this.name}.${String(this.#incarnation)}.${String(++this.#attempt)}`;
    const map = this.connect().map(generationMapName(this.#setting.generation));
    const tenure = new Tenure({ ...this.#setting, token, map, process: this.#process });
    this.#tenure = tenure;
    tenure.log.open();
  }

  append(count: number): void {
    for (let each = 0; each < count; each++) this.#tenure?.append();
  }

  checkpoint(): void {
    this.#tenure?.checkpoint();
  }

  /** Stops serving of its own will, with or without a release in the log. */
  handOver(release: boolean): void {
    const { log } = this.#tenure ?? {};
    if (log === undefined) return;
    if (release) log.appendRecord(() => ({ type: "release" }));
    else log.close(closedByRun);
  }

  /** The news that the grid's members changed arrives, once it is awake. */
  membersChanged(): void {
    this.#process.deliver(() => this.#tenure?.check());
  }

  pause(forMs: number): void {
    const process = this.#process;
    process.pause();
    this.#setting.time.after(forMs, () => process.resume());
  }

  /** Dies with all it knew; what it sent goes on without it. */
  kill(): void {
    this.#process.kill();
    this.#process = new VirtualProcess(this.#setting.time);
    this.#incarnation++;
    this.#attempt = 0;
    this.#tenure = null;
  }
}

/** One time of owning, or of trying to. */
class Tenure extends LogFollower implements OwnedLog {
  readonly log: PartitionLog<CommandEntry>;
  readonly map: ByteMap;
  readonly timers: Timers;
  readonly partition: number;
  readonly #setting: OwnerSetting;
  #trimmer: LogTrimmer | null = null;

  constructor(options: OwnerSetting & { token: string; map: ByteMap; process: VirtualProcess }) {
    super(options.oracle, options.token);
    const { partition, gridId, generation, rules, token, process } = options;
    this.#setting = options;
    this.partition = partition;
    this.timers = process.timers;
    this.map = options.map;
    this.log = new PartitionLog({
      map: options.probes.watched(options.map, () => this.log.state),
      timers: process.timers,
      clock: process.clock,
      config: { partition, gridId, generation, lane: token, token, rules },
      listener: this,
    });
  }

  append(): void {
    if (this.phase === "serving") this.log.append(numberedEntry(this.#setting.nextNumber()), 100);
  }

  checkpoint(): void {
    if (this.phase !== "serving" || this.#trimmer?.busy !== false) return;
    this.#trimmer.begin(() => this.phase === "serving");
  }

  check(): void {
    this.warned();
    this.log.check();
  }

  broken(error: unknown): void {
    this.#setting.oracle.checkpointBroken(error);
  }

  override serving(claim: ChainedRecord): void {
    super.serving(claim);
    this.#trimmer = new LogTrimmer(this, this.#setting.bugs);
  }

  override durable(record: ChainedRecord, entries: readonly CommandEntry[]): void {
    super.durable(record, entries);
    this.#trimmer?.durable(record.record.position);
    // After its release an owner never writes again in this epoch.
    if (record.record.body.type === "release") this.log.close(closedByRun);
  }

  override stopped(
    reason: Failure,
    inFlight: readonly CommandEntry[],
    fate: AppendFate,
    waiting: readonly CommandEntry[],
  ): void {
    super.stopped(reason, inFlight, fate, waiting);
    this.#setting.probes.reached(`stopped ${reason.code} ${fate}`);
  }
}
