// Partition: runs the commands of one partition in memory, and answers when they are journaled.
// Owns: one partition's life in one lane, from claim to hand-over; its log and its checkpoints.
// Does not own: which lane owns it (ownership.ts), the protocols of both (grid), SQL (data-pump);
// what becomes of each command (partition-commands.ts).
// Invariants (docs/invariants.md):
//   P2. Memory is the fold of the partition's changes in order.
//   P4. A partition that stops forgets its memory, and answers all that waited.
//   P9. Once it leaves nothing more is run; what ran is journaled before it is released, and
//       nothing is written under its epoch after that.
//   P10. What was loaded is served only if it can be all that was acknowledged, and if the lanes
//        before did not die of it (partition-doubt.ts).
//   P12. Behind a final release or a rebuild nothing is served before the database has its claim.
import { AssertionError } from "../base/assert.ts";
import { BoundedQueue } from "../base/bounded-queue.ts";
import { failed, failure, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle } from "../base/timers.ts";
import { Checkpointer, type CheckpointSizes } from "../grid/checkpointer.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { Value } from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import type { AppendFate } from "../grid/log-state.ts";
import {
  PartitionLog,
  type ChainedRecord,
  type PartitionLogListener,
} from "../grid/partition-log.ts";
import type { ByteMap } from "../grid/store.ts";
import { PartitionCommands, type PartitionCommandsOptions } from "./partition-commands.ts";
import { EmptyClaims, lessThanAcknowledged, silentStore, staysFinal } from "./partition-doubt.ts";
import type { PartitionMemory } from "./partition-memory.ts";
import type { PendingEntry } from "./partition-pending.ts";
import type { PartitionRequest } from "./partition-request.ts";
import { PartitionStops } from "./partition-stops.ts";
import type { DeadLetterNews } from "./partition-unwritten.ts";
import type { PartitionPhase, PartitionStatus } from "./unit-status.ts";

/** What the lane is told of a partition. */
export interface PartitionEvents {
  /** Everything up to and with the claim is folded; it is served now, or soon. */
  loaded(partition: Partition, claim: ChainedRecord): void;
  serving(partition: Partition, claim: ChainedRecord): void;
  journaled(partition: Partition, record: ChainedRecord, bytes: number): void;
  /** It was handed over: nothing is written under its epoch any more. */
  released(partition: Partition): void;
  /** It stopped. Its phase says what now: it opens again (starting), is gone, or halted. */
  stopped(partition: Partition, reason: Failure): void;
}

export interface PartitionOptions extends Omit<PartitionCommandsOptions, "isFull" | "journaled"> {
  readonly identity: GridIdentity;
  readonly lane: string;
  /** Unique among all lanes that ever lived. */
  readonly incarnation: string;
  readonly map: ByteMap;
  readonly events: PartitionEvents;
  /** The last position that the roster says was acknowledged; 0 where it says nothing. */
  acknowledged(): number;
  /** What it may take in the grid: log and checkpoints. */
  readonly gridBytesMax: number;
  /** When a checkpoint is worth it; left out: as limits.ts says. */
  readonly checkpointSizes?: CheckpointSizes | undefined;
}

/** An owner that lives so long proves it, once, where nothing of it is in the log. */
const provenMs = 5000;

export class Partition {
  readonly number: number;
  readonly #options: PartitionOptions;
  readonly #starting = new BoundedQueue<PartitionRequest>(limits.partitionCommandsWaitingMax);
  readonly #emptyClaims = new EmptyClaims();
  #log: PartitionLog<PendingEntry>;
  #commands: PartitionCommands;
  #checkpoints: Checkpointer;
  #phase: PartitionPhase = "starting";
  #reason: Failure | null = null;
  /** The log may hold too little; the next append tells whether this lane still owns it at all. */
  #doubt: Failure | null = null;
  /** Between two logs: the next is opened then. */
  #reopening: TimerHandle | null = null;
  /** It is to be handed over: a checkpoint comes first, so that the next owner has less to load. */
  #isAsked = false;
  #isReleasing = false;
  /** Nobody is there to take over: its release is the last record of its log. */
  #isLast = false;
  /** No change came to the log since a release that was final, or since it was rebuilt. */
  #endsFinal = false;
  /** Loaded, and not served before the database has the claim. */
  #awaitsDatabase = false;
  #proof: TimerHandle | null = null;
  #attempt = 0;
  readonly #stops = new PartitionStops();
  #servingSinceMs = 0;
  #timeMs = 0;
  #epoch = 0;
  #journaled = 0;
  #closed = false;

  constructor(options: PartitionOptions) {
    this.number = options.partition;
    this.#options = options;
    [this.#log, this.#commands, this.#checkpoints] = this.#newLog();
  }

  get phase(): PartitionPhase {
    return this.#phase;
  }

  /** Why it takes no commands; null while it does or starts for the first time. */
  get reason(): Failure | null {
    return this.#reason ?? this.#silence();
  }

  get epoch(): number {
    return this.#epoch;
  }

  get status(): Omit<PartitionStatus, "written"> {
    const { number: partition, phase, epoch, journaled, gridBytes } = this;
    return { partition, phase, reason: this.reason?.message ?? null, epoch, journaled, gridBytes };
  }

  /** Position of the last record that is journaled and known to be. */
  get journaled(): number {
    return this.#journaled;
  }

  /** True from when it is asked to leave. */
  get isLeaving(): boolean {
    return this.#isAsked || this.#phase === "leaving";
  }

  /** About how many bytes its log and its checkpoints take in the grid. */
  get gridBytes(): number {
    return this.#checkpoints.bytes;
  }

  /** Stored bytes of the records behind a position, about. */
  bytesAfter(position: number): number {
    return this.#checkpoints.bytesAfter(position);
  }

  /** Records before this position were trimmed. */
  get trimmedTo(): number {
    return this.#checkpoints.trimmedTo;
  }

  /** The log, for whoever reads journaled records again. */
  get log(): PartitionLog<PendingEntry> {
    return this.#log;
  }

  /** What it keeps, ahead of the log by what waits for the next record; new after each start. */
  get memory(): PartitionMemory {
    return this.#commands.state.memory;
  }

  /** Begins to take over; commands wait meanwhile. */
  open(): void {
    this.#log.open();
  }

  /** Entries of a space as they are in memory now. */
  entries(space: string): Iterable<[string, Value]> {
    return this.#phase === "serving" ? this.#commands.state.memory.entries(space) : [];
  }

  /** Runs a command, or lets it wait while the partition starts. Responds exactly once. */
  execute(request: PartitionRequest): void {
    if (this.#phase !== "serving" && this.#phase !== "starting") {
      request.respond(this.#refusal());
      return;
    }
    const silence = this.#silence();
    if (silence !== null) {
      request.respond({ ok: false, failure: silence });
    } else if (this.#phase === "serving") {
      this.#guard(() => {
        this.#commands.run(request);
      });
    } else if (!this.#starting.push(request)) {
      const where = `partition ${String(this.number)}`;
      request.respond(failed("OVERLOADED", `too many commands wait for ${where} to start`));
    }
  }

  /** It may have been claimed behind this lane's back: the next append tells. */
  prove(): void {
    if (this.#phase !== "serving") return;
    this.#guard(() => {
      this.#commands.prove();
    });
  }

  /** The database has the records up to `position`, as far as is known. */
  written(position: number): void {
    if (this.#phase === "serving") this.#checkpoints.written(position);
    this.#commands.written(position);
  }

  /** A change of its journaled records is a dead letter. */
  deadLettered(news: DeadLetterNews): void {
    this.#commands.deadLettered(news);
  }

  /**
   * Hands the partition over: makes a checkpoint where one is worth it, then runs nothing more,
   * journals what ran, releases. The end of it is `released`, or `stopped` where somebody else was
   * first. One that is halted stays so. `isLast`: there is nobody who takes over.
   */
  leave(isLast = false): void {
    this.#isLast ||= isLast;
    if (this.#phase === "serving") {
      if (this.#isAsked) return;
      this.#isAsked = true;
      this.#checkpoints.request(() => {
        this.#leaveNow();
      });
    } else if (this.#phase === "starting") {
      this.#phase = "leaving";
      this.#refuseStarting();
      if (this.#awaitsDatabase) this.#releaseWhenJournaled();
      if (this.#reopening === null) return; // a claim is out: it is released when it is decided
      this.#reopening.cancel();
      this.#phase = "gone";
      this.#options.events.released(this);
    }
  }

  #leaveNow(): void {
    if (this.#phase !== "serving") return;
    this.#phase = "leaving";
    this.#releaseWhenJournaled();
  }

  /** Forgets what was answered to senders that are gone for good, some of them at a time. */
  forgetSenders(isGone: (sender: string) => boolean): void {
    if (this.#phase !== "serving") return;
    this.#guard(() => {
      this.#commands.forgetSenders(isGone);
    });
  }

  /** Stops for good: what is in flight becomes unknown, what waits is refused. */
  close(reason: Failure): void {
    if (this.#phase === "halted" || this.#phase === "gone") return;
    this.#closed = true;
    this.#log.close(reason);
    if (this.#reopening === null) return;
    // Between two logs: none is open that could say that it stopped.
    this.#reopening.cancel();
    this.#reason = reason;
    this.#phase = this.#phaseAfter(reason);
    this.#refuseStarting();
  }

  #silence(): Failure | null {
    const { silence } = this.#log;
    return silence && silentStore(this.number, silence, this.#options.clock.monotonicMs());
  }

  #newLog(): [PartitionLog<PendingEntry>, PartitionCommands, Checkpointer] {
    const { partition, identity, lane, incarnation, map, timers, clock } = this.#options;
    const { checkpointSizes } = this.#options;
    this.#attempt++;
    const log = new PartitionLog<PendingEntry>({
      map,
      timers,
      // One time for handlers and records: no handler saw a later one than a new owner starts at.
      clock: {
        wallMs: () => this.#reach(clock.wallMs()),
        monotonicMs: () => clock.monotonicMs(),
      },
      config: {
        partition,
        gridId: identity.gridId,
        generation: identity.generation,
        lane,
        token: `${incarnation}:${String(this.#attempt)}`,
        rules: everyRule,
      },
      listener: this.#listener(),
    });
    const timeMs = () => this.#reach(clock.wallMs());
    const checkpoints = new Checkpointer({
      log,
      map,
      memory: () => this.#commands.state.memory,
      timers,
      partition,
      rules: everyRule,
      confirmWritten: () => this.#options.confirmWritten(),
      gridBytesMax: this.#options.gridBytesMax,
      ...(checkpointSizes === undefined ? {} : { sizes: checkpointSizes }),
      broken: (reason) => {
        log.close(reason);
      },
    });
    const journaled = () => this.#journaled;
    const options = { ...this.#options, journaled, isFull: () => checkpoints.isFull };
    return [log, new PartitionCommands(options, log, timeMs), checkpoints];
  }

  #listener(): PartitionLogListener<PendingEntry> {
    return {
      reset: () => {
        this.#commands.forget();
        this.#emptyClaims.reset();
        this.#endsFinal = false;
        this.#checkpoints.reset();
      },
      segment: (changes) => {
        this.#commands.state.memory.loadSegment(changes);
      },
      loaded: (chained, bytes) => {
        const { record } = chained;
        this.#checkpoints.loaded(chained, bytes);
        this.#reach(record.timeMs);
        this.#emptyClaims.add(record);
        this.#endsFinal = staysFinal(record, this.#endsFinal);
        this.#commands.state.fold(record.body);
      },
      serving: (claim) => {
        this.#guard(() => {
          this.#claimed(claim);
        });
      },
      durable: (record, entries, bytes) => {
        this.#guard(() => {
          this.#durable(record, entries, bytes);
        });
      },
      stopped: (reason, inFlight, fate) => {
        this.#stopped(reason, inFlight.length, fate);
      },
    };
  }

  #claimed(claim: ChainedRecord): void {
    const { position, epoch } = claim.record;
    this.#epoch = epoch;
    this.#journaled = position;
    this.#emptyClaims.add(claim.record);
    if (this.#phase === "leaving") {
      this.#releaseWhenJournaled();
      return;
    }
    const alarm = this.#emptyClaims.alarm(this.number); // P10
    if (alarm !== null) {
      this.#log.close(alarm);
      return;
    }
    this.#doubt = lessThanAcknowledged(this.number, position, this.#options.acknowledged());
    if (this.#doubt !== null) {
      this.#commands.barrier();
      return;
    }
    this.#options.events.loaded(this, claim);
    if (this.#endsFinal) this.#awaitDatabase(claim);
    else this.#serve(claim);
  }

  /** P12: the database calls the partition complete until it has this claim. */
  #awaitDatabase(claim: ChainedRecord): void {
    const log = this.#log;
    const where = `partition ${String(this.number)}`;
    const message = `${where} comes from a last stop or a rebuild; the database is told first`;
    this.#reason = failure("PARTITION_STARTING", message);
    this.#awaitsDatabase = true;
    void this.#options.confirmWritten().then((written) => {
      if (written === null || log !== this.#log || this.#phase !== "starting") return;
      this.#guard(() => {
        this.#serve(claim);
      });
    });
  }

  #serve(claim: ChainedRecord): void {
    this.#phase = "serving";
    this.#reason = null;
    this.#awaitsDatabase = false;
    this.#servingSinceMs = this.#options.clock.monotonicMs();
    this.#proveLater();
    this.#options.events.serving(this, claim);
    this.#checkpoints.serving(claim);
    while (this.phase === "serving") {
      const next = this.#starting.shift();
      if (next === undefined) return;
      this.#commands.run(next);
    }
  }

  /** P10: idle owners in a row do not mean that it kills them. And a rival's claim is found. */
  #proveLater(): void {
    this.#proof = this.#options.timers.after(provenMs, () => {
      if (this.#journaled === this.#epoch) this.prove();
    });
  }

  /** The partition's time: it never goes back, whatever the wall clock does. */
  #reach(timeMs: number): number {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    return this.#timeMs;
  }

  #durable(record: ChainedRecord, entries: readonly PendingEntry[], bytes: number): void {
    if (this.#doubt !== null) {
      this.#log.close(this.#doubt); // P10: the log's end is ours, and it is too short
      return;
    }
    this.#journaled = record.record.position;
    this.#commands.journaled(entries);
    this.#options.events.journaled(this, record, bytes);
    if (this.#phase !== "leaving") {
      this.#checkpoints.durable(record, bytes);
      return;
    }
    if (record.record.body.type === "release") this.#released();
    else this.#releaseWhenJournaled();
  }

  /** P9: what ran before is journaled first. */
  #releaseWhenJournaled(): void {
    if (this.#commands.isPending || this.#isReleasing) return;
    this.#isReleasing = true;
    this.#log.appendRecord(() => ({ type: "release", ...(this.#isLast ? { final: true } : {}) }));
  }

  #released(): void {
    this.#phase = "gone";
    this.#proof?.cancel();
    this.#checkpoints.close();
    const reason = failure("NOT_OWNER", `partition ${String(this.number)} was handed over`);
    this.#commands.released(reason);
    this.#log.close(reason);
    this.#options.events.released(this);
  }

  #stopped(reason: Failure, inFlight: number, fate: AppendFate): void {
    if (this.#phase === "gone") return; // released: nothing waits any more
    this.#phase = this.#phaseAfter(reason);
    this.#reason = reason;
    this.#doubt = null;
    this.#isAsked = false;
    this.#awaitsDatabase = false;
    this.#proof?.cancel();
    this.#checkpoints.close();
    if (this.phase === "starting") this.#openLater();
    this.#commands.stopped(reason, inFlight, fate); // P4
    this.#options.events.stopped(this, reason);
    if (this.phase !== "starting") this.#refuseStarting();
  }

  #phaseAfter(reason: Failure): PartitionPhase {
    const isServing = this.#phase === "serving";
    const nowMs = this.#options.clock.monotonicMs();
    return this.#stops.phaseAfter(reason.code, {
      phase: this.#phase,
      isClosed: this.#closed,
      servedMs: isServing ? nowMs - this.#servingSinceMs : 0,
    });
  }

  #openLater(): void {
    this.#reopening = this.#options.timers.after(this.#stops.reopenMs, () => {
      this.#reopening = null;
      [this.#log, this.#commands, this.#checkpoints] = this.#newLog();
      this.#log.open();
    });
  }

  #refuseStarting(): void {
    for (let next = this.#starting.shift(); next !== undefined; next = this.#starting.shift()) {
      next.respond(this.#refusal());
    }
  }

  #refusal(): Outcome<never> {
    if (this.#reason?.code === "SHUTTING_DOWN") return { ok: false, failure: this.#reason };
    const where = `partition ${String(this.number)}`;
    if (this.#phase === "halted") {
      const why = this.#reason?.message ?? "";
      return failed("PARTITION_HALTED", `${where} does not serve: ${why}`);
    }
    return failed("NOT_OWNER", `${where} moves to another lane; nothing was changed, try again`);
  }

  /** A broken assertion stops this partition, not the lane: its memory is not to be trusted. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      const message = `partition ${String(this.number)} stopped: ${error.message}`;
      this.#log.close(failure("PARTITION_STOPPED", message));
    }
  }
}
