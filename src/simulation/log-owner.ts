// Log owner: one lane of a simulated run, as far as the log of one partition goes: it takes over,
// folds, appends numbered entries, checkpoints, sleeps, dies, and comes back as somebody new.
// Owns: its processes, one after the other, and what it tells the oracle. Log, checkpoints and
// memory are the engine's own.
// Does not own: when it does what (log-run.ts).
import { failure, type Failure } from "../base/failure.ts";
import { delay } from "../base/timers.ts";
import { Checkpointer, type CheckpointSizes } from "../grid/checkpointer.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import { entriesOf, type Change, type CommandEntry } from "../grid/log-record.ts";
import type { LogRules } from "../grid/log-rules.ts";
import type { AppendFate } from "../grid/log-state.ts";
import { PartitionLog, type ChainedRecord } from "../grid/partition-log.ts";
import type { ByteMap, Store } from "../grid/store.ts";
import { PartitionMemory } from "../processing-units/partition-memory.ts";
import { space } from "../processing-units/space.ts";
import { FoldedState } from "./folded-state.ts";
import { LogFollower, numberedEntry } from "./log-follower.ts";
import { numberSpace, type LogOracle } from "./log-oracle.ts";
import type { LogProbes } from "./log-probes.ts";
import type { LyingStore } from "./lying-store.ts";
import { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface OwnerSetting {
  readonly time: VirtualTime;
  readonly store: LyingStore;
  readonly oracle: LogOracle;
  readonly probes: LogProbes;
  readonly rules: LogRules;
  readonly sizes: CheckpointSizes;
  readonly partition: number;
  readonly gridId: string;
  readonly generation: number;
  /** The number of the next entry of any owner. */
  nextNumber(): number;
}

const spaces = [space({ name: numberSpace }), space({ name: "last" })];
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

  /** The pump went on. */
  written(position: number): void {
    this.#process.deliver(() => this.#tenure?.written(position));
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
class Tenure extends LogFollower {
  readonly log: PartitionLog<CommandEntry>;
  readonly #setting: OwnerSetting;
  readonly #checkpointer: Checkpointer;
  #memory = new PartitionMemory(spaces);

  constructor(options: OwnerSetting & { token: string; map: ByteMap; process: VirtualProcess }) {
    super(options.oracle, options.token);
    const { partition, gridId, generation, rules, token, process, probes, map, sizes } = options;
    const { timers, clock } = process;
    this.#setting = options;
    this.log = new PartitionLog({
      map: probes.watched(map, () => this.log.state),
      timers,
      clock,
      config: { partition, gridId, generation, lane: token, token, rules },
      listener: this,
    });
    this.#checkpointer = new Checkpointer({
      log: this.log,
      map: probes.watched(map, () => this.#checkpointer.state),
      memory: () => this.#memory,
      timers,
      partition,
      rules,
      confirmWritten: () => this.#confirmWritten(process),
      gridBytesMax: Infinity,
      broken: (reason) => {
        options.oracle.checkpointBroken(reason);
        this.log.close(closedByRun);
      },
      sizes,
    });
  }

  append(): void {
    if (this.phase !== "serving") return;
    const entry = numberedEntry(this.#setting.nextNumber());
    this.#memory.apply(entry.changes); // ahead of the log, as a partition's memory is
    this.log.append(entry, 100);
  }

  checkpoint(): void {
    if (this.phase === "serving") this.#checkpointer.request(() => undefined);
  }

  /** The pump went on, or so this owner heard. */
  written(position: number): void {
    if (this.phase === "serving") this.#checkpointer.written(position);
  }

  check(): void {
    this.warned();
    this.log.check();
  }

  override reset(): void {
    super.reset();
    this.#memory = new PartitionMemory(spaces);
    this.#checkpointer.reset();
  }

  override segment(changes: readonly Change[]): void {
    super.segment(changes);
    this.#memory.loadSegment(changes);
  }

  override loaded(record: ChainedRecord, bytes = 0): void {
    const { body } = record.record;
    // A wrong engine bases its next checkpoint on head's record: what came later is marked.
    const isBase = this.isFirst || this.#setting.rules.baseFromLog;
    super.loaded(record);
    if (body.type === "checkpoint" && isBase) this.#memory.loadCheckpoint(body.delta);
    else if (body.type === "checkpoint") this.#memory.load(body.delta);
    this.#memory.fold(entriesOf(body));
    this.#checkpointer.loaded(record, bytes);
  }

  override serving(claim: ChainedRecord): void {
    super.serving(claim);
    this.#checkpointer.serving(claim);
    const loaded = new FoldedState();
    for (const { name } of spaces) {
      for (const [key, value] of this.#memory.entries(name)) {
        loaded.apply([{ space: name, key, value }]);
      }
    }
    if (loaded.digest === this.state.digest) return;
    this.#setting.oracle.violate("K1: the memory is not the fold of what was loaded");
  }

  override durable(record: ChainedRecord, entries: readonly CommandEntry[], bytes = 0): void {
    super.durable(record, entries);
    this.#checkpointer.durable(record, bytes);
    // After its release an owner never writes again in this epoch.
    if (record.record.body.type === "release") this.log.close(closedByRun);
  }

  override stopped(
    reason: Failure,
    inFlight: readonly CommandEntry[],
    fate: AppendFate,
    waiting: readonly CommandEntry[],
  ): void {
    this.#checkpointer.close();
    super.stopped(reason, inFlight, fate, waiting);
    this.#setting.probes.reached(`stopped ${reason.code} ${fate}`);
  }

  /** The row is read now; the answer arrives later, or says nothing. */
  async #confirmWritten({ timers }: VirtualProcess): Promise<number | null> {
    const { oracle } = this.#setting;
    const seq = oracle.written;
    await delay(timers, 0);
    return seq ?? Infinity;
  }
}
