// Pump: writes the journaled records of one lane's partitions to the database, in order.
// Owns: the lane's one loop: rows first (progress-keeper.ts), then refusals (refusal-search.ts),
// then transactions, up to two of them under way on the lane's one connection; when it rests.
// Does not own: SQL (postgres-database.ts), the log, and what a halted partition's owner does (it
// is told).
// Invariants (docs/invariants.md):
//   D1. For every partition, at every moment, the tables are the fold of records 1 to seq: rows
//       and progress change in one transaction, whose condition names generation, epoch and seq.
//   D2. Nothing of an owner is written before its epoch stands in the partition's row.
//   D11. A database that is away is left alone for longer and longer, then asked one small thing.
//   D4. What became of a transaction is never guessed: anything but "written" leads to reading
//       the rows of all partitions in it.
//   D6. The pump's memory is bounded; the backlog is in the log, and nothing is left out.
//   D7. A row that cannot be right halts its partition with a code, and no other partition.
import type { Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { Backlog } from "./backlog.ts";
import { BatchSize } from "./batch-size.ts";
import { Breaker } from "./breaker.ts";
import type { DeadLetter, ProgressRow } from "./database.ts";
import { LogRefill } from "./log-refill.ts";
import { ProgressKeeper } from "./progress-keeper.ts";
import { formBatch, stepOf, type Batch, type BatchOptions } from "./pump-batch.ts";
import type { PumpOptions } from "./pump-options.ts";
import { PumpDrains } from "./pump-drains.ts";
import { PumpFlights, type Landing } from "./pump-flights.ts";
import { PumpRest } from "./pump-rest.ts";
import { PumpCounters, type PumpStatus } from "./pump-status.ts";
import { PumpedPartition, type PumpSource } from "./pumped-partition.ts";
import { PumpedPartitions } from "./pumped-partitions.ts";
import { RefusalSearch, Trial } from "./refusal-search.ts";

export type { PumpListener, PumpOptions } from "./pump-options.ts";
export type { PumpSource } from "./pumped-partition.ts";

export class Pump {
  readonly #options: PumpOptions;
  readonly #partitions = new PumpedPartitions();
  readonly #drains: PumpDrains;
  readonly #backlog = new Backlog();
  readonly #breaker: Breaker;
  readonly #counters = new PumpCounters();
  readonly #keeper: ProgressKeeper;
  readonly #rest: PumpRest;
  readonly #size = new BatchSize();
  readonly #batchOptions: BatchOptions;
  readonly #flights: PumpFlights;
  readonly #refill: LogRefill;
  #isRunning = false;
  #turns = 0;
  #problem: Failure | null = null;

  constructor(options: PumpOptions) {
    this.#options = options;
    const { database, identity, spaces: tables, clock, timers, random } = options;
    const { generation } = identity;
    const halt = (partition: PumpedPartition, reason: Failure) => this.#halt(partition, reason);
    this.#breaker = new Breaker(random);
    this.#rest = new PumpRest(timers);
    this.#drains = new PumpDrains(timers);
    this.#batchOptions = { tables, timers, size: this.#size };
    this.#keeper = new ProgressKeeper({
      database,
      generation,
      counters: this.#counters,
      halt,
      resume: (partition, row) => this.#resume(partition, row),
    });
    this.#flights = new PumpFlights({
      database,
      generation,
      clock,
      answered: () => this.#rest.end("flight"),
      landed: (landing) => this.#landed(landing),
    });
    this.#refill = new LogRefill({
      clock,
      heldBytes: () => this.#partitions.heldBytes,
      read: (...call) => this.#keeper.readLog(...call),
      halt,
    });
  }

  /** Why the database cannot be written at the moment; null while it can. */
  get problem(): Failure | null {
    return this.#problem;
  }

  /** Records journaled and not known to be in the database, over all partitions. */
  get backlogRecords(): number {
    return this.#backlog.records;
  }

  /** True where the partition has dead letters, as far as is known. */
  hasDeadLetters(partition: number): boolean {
    return (this.#partitions.get(partition)?.parked.count ?? 0) > 0;
  }

  /** True where no change may be journaled: too much of the partition, or the lane, waits. */
  isFull(partition: number): boolean {
    return this.#backlog.isFull(partition);
  }

  /** How it is now. Asked about once a second: the room's time is measured from call to call. */
  status(): PumpStatus {
    const nowMs = this.#nowMs;
    this.#backlog.sample(nowMs);
    return {
      backlogRecords: this.#backlog.records,
      backlogBytes: this.#backlog.bytes,
      oldestUnwrittenMs: nowMs - this.#partitions.oldestMs(nowMs),
      room: this.#backlog.room,
      problem: this.#problem,
      breaker: this.#breaker.state,
      ...this.#counters.all,
      deadLetters: this.#partitions.deadLetters,
      newestLetters: this.#partitions.newestLetters,
    };
  }

  /** Position of the last record known to be in the database; 0 where nothing is known. */
  written(partition: number): number {
    return this.#partitions.get(partition)?.written ?? 0;
  }

  /**
   * Reads the partition's row once more: the records up to that position are in the database now.
   * Before a trim nothing else will do, as the database may have been restored. Null where this
   * owner may not say; it waits while the database is away.
   */
  confirmWritten(number: number): Promise<number | null> {
    const partition = this.#partitions.get(number);
    if (partition === undefined || partition.phase === "halted") return Promise.resolve(null);
    return new Promise((resolve) => {
      partition.ask(resolve);
      this.#rest.end("idle", "gather");
    });
  }

  /**
   * Begins to pump a partition that was loaded under a claim: first its epoch goes to the row,
   * then everything after the row's seq. Takes the place of an earlier ownership.
   */
  attach(source: PumpSource): void {
    const partition = new PumpedPartition(source, this.#options.identity.generation);
    this.#partitions.get(source.partition)?.leaveUnconfirmed();
    partition.unheldMs = this.#nowMs;
    this.#partitions.set(partition);
    this.#backlog.set(source.partition, partition.backlog);
    if (!this.#isRunning) {
      this.#isRunning = true;
      void this.#run();
    }
    this.#rest.end("idle");
  }

  /** A record became durable; in order. `bytes` is its stored size. */
  durable(partition: number, record: ChainedRecord, bytes: number): void {
    const pumped = this.#partitions.get(partition);
    if (pumped === undefined || pumped.phase === "halted") return;
    this.#backlog.add(partition, bytes);
    if (this.#partitions.heldBytes + bytes <= limits.pumpMemoryBytesMax) {
      const problem = pumped.hold(record, bytes, this.#nowMs);
      if (problem !== null) this.#halt(pumped, problem);
    } else pumped.pass(record.record.position, this.#nowMs);
    this.#rest.end("idle");
    if (
      this.#rest.kind === "flight" &&
      this.#mayLaunch &&
      this.#partitions.isLargeReady(this.#size)
    ) {
      this.#rest.end("flight");
    }
  }

  /** The partition is ours no longer. What is under way for it may still be written. */
  detach(partition: number): void {
    this.#partitions.get(partition)?.leaveUnconfirmed();
    this.#partitions.delete(partition);
    this.#backlog.remove(partition);
    this.#settleDrains();
    if (this.#partitions.size === 0) this.#rest.end("idle", "gather", "backoff");
  }

  /**
   * Resolves with true when everything durable is in the database, with false when that did not
   * happen within `deadlineMs`, or cannot happen because a partition halted.
   */
  drain(deadlineMs: number): Promise<boolean> {
    const drained = this.#drains.add(deadlineMs);
    this.#settleDrains();
    this.#rest.end("idle", "gather", "backoff");
    return drained;
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** The lane's one loop; without partitions it waits, and holds no timer. */
  async #run(): Promise<never> {
    for (;;) {
      this.#keeper.logProblem = null;
      const problem = (await this.#turn()) ?? this.#keeper.logProblem;
      this.#settleDrains();
      this.#problem = problem ?? this.#partitions.blocked;
      if (problem !== null) {
        await this.#restFor("backoff", this.#breaker.failed());
        this.#breaker.resume();
      } else if (this.#flights.count > 0) await this.#rest.tick();
      else if (this.#partitions.hasWork) await this.#gather();
      else {
        this.#breaker.succeeded();
        await this.#restFor("idle", limits.pumpIdleCheckMs);
      }
    }
  }

  /** One round of all there is to do. Returns why the database could not be reached, or null. */
  async #turn(): Promise<Failure | null> {
    this.#lookAtRows();
    if (this.#partitions.needsRows) {
      const problem =
        (await this.#flights.landAll()) ??
        (await this.#keeper.keep(this.#partitions.all)) ??
        (await this.#search());
      if (problem !== null) return problem;
    }
    await this.#fill();
    if (this.#flights.isWaiting) await this.#rest.for("flight", null);
    return this.#flights.land();
  }

  /**
   * A restored database is noticed by nobody but an owner that looks at its row now and then, and
   * before it trims.
   */
  #lookAtRows(): void {
    for (const partition of this.#partitions.all) {
      if (partition.phase !== "pump") continue;
      const isOld = this.#nowMs - partition.lookedAtMs >= limits.pumpIdleCheckMs;
      const isResting = partition.isDone || partition.isBlocked;
      const isProbe =
        this.#breaker.state === "half-open" && partition.lookedAtMs < this.#flights.landedMs;
      if (partition.isAsked || (isResting && isOld) || isProbe) partition.phase = "check";
    }
  }

  /** The row is ours and right: on from its seq, whatever we believed before. */
  #resume(partition: PumpedPartition, row: ProgressRow): void {
    if (partition.phase === "halted") return;
    this.#tellLetters(partition, partition.parked.read(row));
    partition.unform();
    partition.phase = "pump";
    partition.isBlocked = false;
    this.#moveTo(partition, row.seq, row.chain);
    partition.confirm(row.seq);
  }

  #moveTo(partition: PumpedPartition, seq: number, chain: Buffer | null): void {
    const { syncTime } = this.#counters;
    partition.lookedAtMs = this.#nowMs;
    const moved = partition.moveTo(seq, chain, (journaledMs) => {
      syncTime.recordMs(partition.lookedAtMs - journaledMs);
    });
    if (!moved || !this.#partitions.has(partition)) return;
    this.#backlog.set(partition.number, partition.backlog);
    this.#options.listener.written(partition.number, seq);
  }

  #tellLetters(partition: PumpedPartition, letters: readonly DeadLetter[]): void {
    if (!this.#partitions.has(partition)) return;
    for (const letter of letters) this.#options.listener.deadLettered(letter);
  }

  /** Changes of records that are refused by themselves are tried: one rehearsal for each record. */
  async #search(): Promise<Failure | null> {
    const { database, identity, spaces: tables } = this.#options;
    const { generation } = identity;
    for (const partition of this.#partitions.all) {
      const held = partition.peek();
      const { search, parked, written: before } = partition;
      if (!partition.isSuspect || held === null || search === null) continue;
      const { position: seq, checksum: chain, changes } = held;
      const step = stepOf({ partition, before, seq, chain, complete: false });
      if (search.trial?.isOf(step) !== true) {
        search.trial = new Trial(database, { step, generation, changes, parked, tables });
      }
      const verdict = await search.trial.next();
      if (!verdict.ok || verdict.value === "misfit") this.#counters.retries++;
      if (!verdict.ok) return verdict.failure;
      if (verdict.value === null) continue;
      search.trial = null;
      if (verdict.value !== "misfit") search.verdict = verdict.value;
      else if (partition.phase === "pump") partition.phase = "check";
    }
    return null;
  }

  get #mayLaunch(): boolean {
    const most = this.#breaker.state === "closed" ? limits.pumpTransactionsInFlight : 1;
    return this.#flights.count < most;
  }

  /** Step 10: gives the database what is ready; behind another one only what is large. */
  async #fill(): Promise<void> {
    while (this.#mayLaunch) {
      const partitions = this.#partitions.all;
      await this.#refill.refill(partitions);
      if (this.#flights.count > 0 && !this.#partitions.isLargeReady(this.#size)) return;
      const turn = this.#turns++;
      const first = turn % Math.max(1, partitions.length);
      const rotated = [...partitions.slice(first), ...partitions.slice(0, first)];
      const batch = await formBatch(rotated, turn % 2 === 0, this.#batchOptions);
      if (batch === null) return;
      this.#flights.launch(batch);
    }
  }

  #landed({ batch, rows, busyMs, outcome }: Landing): Failure | null {
    if (outcome.ok) this.#breaker.succeeded();
    if (outcome.ok && outcome.value === "written") {
      this.#counters.transactions++;
      this.#counters.rows += rows;
      this.#size.took(busyMs, batch.records, batch.bytes);
      for (const { partition, seq, chain } of batch.parts) {
        if (partition.search?.accepted() === true) partition.search = null;
        if (partition.phase === "halted") continue;
        this.#tellLetters(partition, partition.parked.written(seq, this.#options.clock.wallMs()));
        this.#moveTo(partition, seq, chain);
      }
      return null;
    }
    this.#counters.retries++;
    for (const { partition } of batch.parts) {
      if (partition.phase === "pump") partition.phase = "check"; // D4
    }
    if (outcome.ok) return null;
    this.#size.failed(busyMs, batch.records, batch.bytes);
    return outcome.failure.code === "ROW_REFUSED"
      ? this.#refused(batch, outcome.failure)
      : outcome.failure;
  }

  /** Once more as it was, then in search of what is refused. Returns what no search explains. */
  #refused({ parts }: Batch, reason: Failure): Failure | null {
    let isExplained = true;
    for (const { partition, before, seq } of parts) {
      if (partition.search === null) partition.search = new RefusalSearch();
      else if (!partition.search.refused(seq - before, parts.length === 1)) isExplained = false;
    }
    return isExplained ? null : reason;
  }

  #halt(partition: PumpedPartition, reason: Failure): void {
    if (partition.phase === "halted") return;
    partition.phase = "halted";
    partition.release();
    partition.leaveUnconfirmed();
    if (!this.#partitions.has(partition)) return;
    this.#options.listener.halted(partition.number, reason);
  }

  #settleDrains(): void {
    if (this.#partitions.isAtRest) this.#drains.settle(!this.#partitions.isAnyHalted);
  }

  /** A transaction has a price: a small one waits for company, unless somebody waits for it. */
  async #gather(): Promise<void> {
    const isBehind = this.#partitions.isAnyStarved || this.#partitions.isAnySuspect;
    if (isBehind || this.#drains.isAny || this.#partitions.isLargeReady(this.#size)) {
      // A turn may end without any I/O: the lane's event loop has its turn in any case.
      await this.#rest.tick();
      return;
    }
    const sinceMs = this.#nowMs - this.#flights.launchedMs;
    await this.#restFor("gather", Math.max(0, limits.pumpGatherMs - sinceMs));
  }

  #restFor(kind: "idle" | "gather" | "backoff", restMs: number): Promise<void> {
    // Without partitions no timer is held: the thread may be about to end.
    if (this.#partitions.size === 0) return this.#rest.for("idle", null);
    return this.#rest.for(kind, restMs);
  }
}
