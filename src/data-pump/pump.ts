// Pump: writes the journaled records of one lane's partitions to the database, in order.
// Owns: the lane's one loop (claim rows, look at rows, form transactions, write them, back off),
// steps 9 and 10 of docs/log-protocol.md.
// Does not own: what a row means (progress-rules.ts), SQL (postgres-database.ts), the log, and
// what a halted partition's owner does (it is told).
// Invariants (docs/invariants.md):
//   D1. For every partition, at every moment, the tables are the fold of records 1 to seq: rows
//       and progress change in one transaction, whose condition names generation, epoch and seq.
//   D2. Nothing of an owner is written before its epoch stands in the partition's row.
//   D4. What became of a transaction is never guessed: anything but "written" leads to reading
//       the rows of all partitions in it.
//   D6. The pump's memory is bounded; the backlog is in the log, and nothing is left out.
//   D7. A row that cannot be right halts its partition with a code, and no other partition.
import type { Clock } from "../base/clock.ts";
import type { Failure, Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { Backlog } from "./backlog.ts";
import { Breaker } from "./breaker.ts";
import type { Database, DeadLetter, ProgressRow, ProgressStep, WriteResult } from "./database.ts";
import { formBatch, type Batch } from "./pump-batch.ts";
import {
  chainWitness,
  judgeChain,
  judgeOvertaken,
  judgeRow,
  recordsMissing,
} from "./progress-rules.ts";
import { approximateBytes, PumpedPartition, type PumpSource } from "./pumped-partition.ts";
import { PumpCounters, type PumpStatus } from "./pump-status.ts";
import { countRows, type TablesBySpace } from "./rows.ts";

export type { PumpSource } from "./pumped-partition.ts";

export interface PumpListener {
  /**
   * A change is a dead letter, and in the database as such; told before `written` of its record's
   * position. (Which change of the record: others of it may be written, and somebody waits.)
   */
  deadLettered(letter: DeadLetter): void;
  /** The records up to `position` are in the database. Lower than before: it was restored. */
  written(partition: number, position: number): void;
  /** The partition's row can never be written again by this owner; the reason says why. */
  halted(partition: number, reason: Failure): void;
}

export interface PumpOptions {
  readonly database: Database;
  readonly identity: GridIdentity;
  /** Tables by the name of their space; changes of other spaces stay in the grid. */
  readonly spaces: TablesBySpace;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly listener: PumpListener;
}

/** Why the loop rests: what may end it early depends on that. */
type RestKind = "idle" | "gather" | "backoff";

interface Rest {
  readonly kind: RestKind;
  end(): void;
}

interface Drain {
  readonly timer: TimerHandle;
  readonly resolve: (done: boolean) => void;
}

export class Pump {
  readonly #options: PumpOptions;
  readonly #partitions = new Map<number, PumpedPartition>();
  readonly #drains = new Set<Drain>();
  #rest: Rest | null = null;
  #isRunning = false;
  /** Formed while the transaction before it was under way. */
  #next: Batch | null = null;
  readonly #backlog = new Backlog();
  readonly #breaker: Breaker;
  readonly #counters = new PumpCounters();
  #turns = 0;
  #problem: Failure | null = null;
  /** A log that could not be read in this turn. */
  #logProblem: Failure | null = null;
  #writeStartedMs = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#breaker = new Breaker(options.random);
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
    return (this.#partitions.get(partition)?.deadLetters ?? 0) > 0;
  }

  /** True where no change may be journaled: too much of the partition, or the lane, waits. */
  isFull(partition: number): boolean {
    return this.#backlog.isFull(partition);
  }

  /** How it is now. Asked about once a second: the room's time is measured from call to call. */
  status(): PumpStatus {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#backlog.sample(nowMs);
    let [oldestMs, deadLetters] = [nowMs, 0];
    for (const partition of this.#partitions.values()) {
      deadLetters += partition.deadLetters;
      oldestMs = Math.min(oldestMs, partition.oldestMs(nowMs));
    }
    return {
      backlogRecords: this.#backlog.records,
      backlogBytes: this.#backlog.bytes,
      oldestUnwrittenMs: nowMs - oldestMs,
      room: this.#backlog.room,
      problem: this.#problem,
      breaker: this.#breaker.state,
      ...this.#counters.all,
      deadLetters,
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
      this.#wake("idle", "gather");
    });
  }

  /**
   * Begins to pump a partition that was loaded under a claim: first its epoch goes to the row,
   * then everything after the row's seq. Takes the place of an earlier ownership.
   */
  attach(source: PumpSource): void {
    const partition = new PumpedPartition(source, this.#options.identity.generation);
    this.#partitions.get(source.partition)?.leaveUnconfirmed();
    partition.sinceMs = this.#options.clock.monotonicMs();
    this.#partitions.set(source.partition, partition);
    this.#backlog.set(source.partition, partition.backlog);
    if (!this.#isRunning) {
      this.#isRunning = true;
      void this.#run();
    }
    this.#wake("idle");
  }

  /** A record became durable; in order. `bytes` is its stored size. */
  durable(partition: number, record: ChainedRecord, bytes: number): void {
    const pumped = this.#partitions.get(partition);
    if (pumped === undefined || pumped.phase === "halted") return;
    this.#backlog.add(partition, bytes);
    if (this.#heldBytes() + bytes <= limits.pumpMemoryBytesMax) {
      const problem = pumped.hold(record, bytes, this.#options.clock.monotonicMs());
      if (problem !== null) this.#halt(pumped, problem);
    }
    this.#wake("idle");
  }

  /** The partition is ours no longer. What is under way for it may still be written. */
  detach(partition: number): void {
    this.#partitions.get(partition)?.leaveUnconfirmed();
    this.#partitions.delete(partition);
    this.#backlog.remove(partition);
    this.#settleDrains();
    if (this.#partitions.size === 0) this.#wake("idle", "gather", "backoff");
  }

  /**
   * Resolves with true when everything durable is in the database, with false when that did not
   * happen within `deadlineMs`, or cannot happen because a partition halted.
   */
  drain(deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#options.timers.after(deadlineMs, () => {
        this.#drains.delete(drain);
        resolve(false);
      });
      const drain = { timer, resolve };
      this.#drains.add(drain);
      this.#settleDrains();
      this.#wake("idle", "gather", "backoff");
    });
  }

  /** The lane's one loop; without partitions it waits, and holds no timer. */
  async #run(): Promise<never> {
    for (;;) {
      this.#logProblem = null;
      const problem = (await this.#turn()) ?? this.#logProblem;
      this.#settleDrains();
      this.#problem = problem;
      if (problem !== null) await this.#restFor("backoff", this.#breaker.failed());
      this.#breaker.resume();
      if (problem !== null) continue;
      this.#breaker.succeeded();
      if (!this.#hasWork()) await this.#restFor("idle", limits.pumpIdleCheckMs);
      else await this.#gather();
    }
  }

  /** One round of all there is to do. Returns why the database could not be reached, or null. */
  async #turn(): Promise<Failure | null> {
    this.#lookAtRows();
    const problem = (await this.#claimRows()) ?? (await this.#checkRows());
    if (problem !== null) return problem;
    const batch = this.#next ?? (await this.#form());
    this.#next = null;
    return batch === null ? null : this.#write(batch);
  }

  #inPhase(phase: PumpedPartition["phase"]): PumpedPartition[] {
    return [...this.#partitions.values()].filter((partition) => partition.phase === phase);
  }

  /**
   * A restored database is noticed by nobody but an owner that looks at its row now and then, and
   * before it trims.
   */
  #lookAtRows(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const partition of this.#partitions.values()) {
      if (partition.isAsked && partition.phase === "pump") {
        this.#discardNext(); // it builds on what the row was believed to be
        partition.phase = "check";
      }
      const unseenMs = nowMs - partition.lookedAtMs;
      if (partition.isDone && unseenMs >= limits.pumpIdleCheckMs) partition.phase = "check";
    }
  }

  /** Step 9: our epoch goes to the rows (D2). Repeated as it is where the outcome is unknown. */
  async #claimRows(): Promise<Failure | null> {
    const claiming = this.#inPhase("claim");
    if (claiming.length === 0) return null;
    const claims = claiming.map(({ source }) => ({
      partition: source.partition,
      epoch: source.epoch,
    }));
    const { generation } = this.#options.identity;
    const rows = await this.#options.database.claim(generation, claims);
    return this.#judgeAll(claiming, rows);
  }

  async #checkRows(): Promise<Failure | null> {
    const checking = this.#inPhase("check");
    if (checking.length === 0) return null;
    for (const partition of checking) partition.beginReading();
    this.#counters.databaseReads++;
    const rows = await this.#options.database.read(checking.map(({ number }) => number));
    return this.#judgeAll(checking, rows);
  }

  async #judgeAll(
    partitions: readonly PumpedPartition[],
    rows: Outcome<ProgressRow[]>,
  ): Promise<Failure | null> {
    if (!rows.ok) return rows.failure;
    const byPartition = new Map(rows.value.map((row) => [row.partition, row]));
    const judging = partitions.map((one) => this.#judge(one, byPartition.get(one.number)));
    await Promise.all(judging);
    return null;
  }

  /** Steps 9 and 10: what a partition's row says, in the order generation, epoch, seq, chain. */
  async #judge(partition: PumpedPartition, row: ProgressRow | undefined): Promise<void> {
    const verdict = judgeRow(row, partition.facts);
    switch (verdict.kind) {
      case "halt":
        this.#halt(partition, verdict.failure);
        break;
      case "claim":
        partition.phase = "claim";
        break;
      case "overtaken": {
        const { claimAt } = verdict;
        const read = await partition.source.read(claimAt, claimAt);
        const reason = judgeOvertaken(partition.facts, claimAt, read);
        if (reason !== null) this.#halt(partition, reason);
        else if (!read.ok) this.#logProblem = read.failure;
        break;
      }
      case "fits":
        if (this.#isMissing(partition, verdict.row)) break;
        if (await this.#chainFits(partition, verdict.row)) this.#resume(partition, verdict.row);
        break;
    }
  }

  /** False where the chain differs (the partition halts) or could not be compared yet. */
  async #chainFits(partition: PumpedPartition, row: ProgressRow): Promise<boolean> {
    if (row.seq === partition.written && row.chain !== null) {
      if (partition.writtenChain?.equals(row.chain) === true) return true; // as we left it
    }
    const { tail } = partition.facts;
    const position = chainWitness(row, tail);
    if (position === null) return true;
    const read = await this.#readLog(partition, position, position, row.seq + 1);
    const witness = read?.[0];
    if (witness === undefined) return false;
    const problem = judgeChain(row, witness);
    if (problem !== null) this.#halt(partition, problem);
    return problem === null;
  }

  /** Null where the log could not be read: asked again later, or the partition halts. */
  async #readLog(
    partition: PumpedPartition,
    from: number,
    to: number,
    neededFrom: number,
  ): Promise<ChainedRecord[] | null> {
    const read = await partition.source.read(from, to);
    if (read.ok) return read.value;
    const { failure } = read;
    if (failure.kind !== "terminal") this.#logProblem = failure;
    else if (failure.code !== "GRID_LOST") this.#halt(partition, failure);
    else {
      // Another owner may have written them, and trimmed: the row, read after this, tells.
      this.#discardNext();
      partition.missedFrom = neededFrom;
      partition.phase = "check";
    }
    return null;
  }

  /** True where records were missing, and the row, still ours, says that they are needed. */
  #isMissing(partition: PumpedPartition, { seq }: ProgressRow): boolean {
    const from = partition.missedFrom;
    partition.missedFrom = null;
    if (from === null || seq >= from) return false;
    this.#halt(partition, recordsMissing(partition.number, from, partition.facts.tail));
    return true;
  }

  /** The row is ours and right: on from its seq, whatever we believed before. */
  #resume(partition: PumpedPartition, row: ProgressRow): void {
    if (partition.phase === "halted") return;
    partition.unform();
    partition.phase = "pump";
    partition.deadLetters = row.deadLetters;
    this.#moveTo(partition, row.seq, row.chain);
    partition.confirm(row.seq);
  }

  #moveTo(partition: PumpedPartition, seq: number, chain: Buffer | null): void {
    partition.lookedAtMs = this.#options.clock.monotonicMs();
    const { syncTime } = this.#counters;
    const moved = partition.moveTo(seq, chain, (heldMs) => {
      syncTime.recordMs(partition.lookedAtMs - heldMs);
    });
    if (moved && this.#partitions.get(partition.number) === partition) {
      this.#backlog.set(partition.number, partition.backlog);
      this.#options.listener.written(partition.number, seq);
    }
  }

  /** The next transaction, or null where there is nothing to write. */
  async #form(): Promise<Batch | null> {
    await this.#refill();
    const partitions = [...this.#partitions.values()];
    const first = this.#turns++ % Math.max(1, partitions.length);
    const rotated = [...partitions.slice(first), ...partitions.slice(0, first)];
    return formBatch(rotated, this.#options.spaces, this.#options.timers);
  }

  /** Reads what memory does not hold: after a take-over, and after the database was away (D6). */
  async #refill(): Promise<void> {
    const starved = [...this.#partitions.values()].filter(({ isStarved }) => isStarved);
    const share = Math.ceil(limits.pumpTransactionRecordsMax / Math.max(1, starved.length));
    await Promise.all(starved.map((partition) => this.#refillOne(partition, share)));
  }

  /** Reads up to `count` records in slices; ends early where memory is full or the log fails. */
  async #refillOne(partition: PumpedPartition, count: number): Promise<void> {
    const end = Math.min(partition.source.tail(), partition.heldTo + count);
    while (partition.heldTo < end && this.#heldBytes() < limits.pumpMemoryBytesMax) {
      const from = partition.heldTo + 1;
      const to = Math.min(end, partition.heldTo + limits.pumpReadRecords);
      const records = await this.#readLog(partition, from, to, from);
      for (const record of records ?? []) {
        const problem = partition.hold(record, approximateBytes(record), this.#journaledMs(record));
        if (problem !== null) this.#halt(partition, problem);
      }
      if (records === null || partition.phase !== "pump") return;
    }
  }

  /** When a record that was read back was journaled, by this lane's monotonic clock: about. */
  #journaledMs({ record }: ChainedRecord): number {
    const { clock } = this.#options;
    return clock.monotonicMs() - Math.max(0, clock.wallMs() - record.timeMs);
  }

  /** Step 10. The batch after this one is formed meanwhile. */
  async #write(batch: Batch): Promise<Failure | null> {
    this.#writeStartedMs = this.#options.clock.monotonicMs();
    const { generation } = this.#options.identity;
    const steps: ProgressStep[] = batch.parts.map(({ partition, before, seq, chain }) => {
      const { epoch } = partition.source;
      const fixed = { letters: 0, complete: false };
      return { partition: partition.number, epoch, before, seq, chain, ...fixed };
    });
    const transaction = { generation, steps, rows: batch.rows.toTables(), letters: [] };
    const writing = this.#options.database.write(transaction);
    const rows = countRows(transaction.rows);
    const forming = this.#form();
    const outcome = await writing;
    if (outcome.ok && outcome.value === "written") {
      this.#counters.transactions++;
      this.#counters.rows += rows;
      for (const { partition, seq, chain } of batch.parts) {
        partition.alone = false;
        if (partition.phase !== "halted") this.#moveTo(partition, seq, chain);
      }
      this.#next = await forming;
      return null;
    }
    // The next batch builds on this one.
    this.#next = await forming;
    this.#discardNext();
    return this.#notWritten(batch, outcome);
  }

  #notWritten(batch: Batch, outcome: Outcome<WriteResult>): Failure | null {
    this.#counters.retries++;
    for (const { partition } of batch.parts) {
      if (partition.phase === "pump") partition.phase = "check"; // D4
    }
    if (outcome.ok) return null;
    if (outcome.failure.code !== "ROW_REFUSED") return outcome.failure;
    const [only] = batch.parts;
    if (batch.parts.length === 1 && only !== undefined) {
      this.#halt(only.partition, outcome.failure); // D7
    } else {
      for (const { partition } of batch.parts) partition.alone = true;
    }
    return null;
  }

  #discardNext(): void {
    for (const { partition } of this.#next?.parts ?? []) partition.unform();
    this.#next = null;
  }

  #halt(partition: PumpedPartition, reason: Failure): void {
    if (partition.phase === "halted") return;
    partition.phase = "halted";
    partition.release();
    partition.leaveUnconfirmed();
    if (this.#partitions.get(partition.number) !== partition) return;
    this.#options.listener.halted(partition.number, reason);
  }

  #heldBytes(): number {
    let bytes = 0;
    for (const { heldBytes } of this.#partitions.values()) bytes += heldBytes;
    return bytes;
  }

  #hasWork(): boolean {
    if (this.#next !== null) return true;
    for (const partition of this.#partitions.values()) {
      if (partition.phase === "halted") continue;
      if (!partition.isDone || partition.isAsked) return true;
    }
    return false;
  }

  #settleDrains(): void {
    if (this.#hasWork()) return;
    const done = this.#inPhase("halted").length === 0;
    for (const { timer, resolve } of this.#drains) {
      timer.cancel();
      resolve(done);
    }
    this.#drains.clear();
  }

  /** A transaction has a price: a small one waits for company, unless somebody waits for it. */
  async #gather(): Promise<void> {
    const isBehind = [...this.#partitions.values()].some(({ isStarved }) => isStarved);
    if (this.#next?.isLarge === true || isBehind || this.#drains.size > 0) {
      // A turn may end without any I/O: the lane's event loop has its turn in any case.
      await new Promise<void>((resolve) => this.#options.timers.endOfTick(resolve));
      return;
    }
    const sinceMs = this.#options.clock.monotonicMs() - this.#writeStartedMs;
    await this.#restFor("gather", Math.max(0, limits.pumpGatherMs - sinceMs));
  }

  #restFor(kind: RestKind, restMs: number): Promise<void> {
    return new Promise((resolve) => {
      // Without partitions no timer is held: the thread may be about to end.
      const isEmpty = this.#partitions.size === 0;
      const timer = isEmpty ? null : this.#options.timers.after(restMs, () => rest.end());
      const rest: Rest = {
        kind: isEmpty ? "idle" : kind,
        end: () => {
          if (this.#rest !== rest) return;
          this.#rest = null;
          timer?.cancel();
          resolve();
        },
      };
      this.#rest = rest;
    });
  }

  #wake(...kinds: RestKind[]): void {
    if (this.#rest !== null && kinds.includes(this.#rest.kind)) this.#rest.end();
  }
}
