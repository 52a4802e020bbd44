// Progress keeper: brings what the pump believes of its partitions' rows in line with the rows.
// Owns: claiming and reading rows, judging them against the log (steps 9 and 10 of
// docs/log-protocol.md). Does not own: what a row means (progress-rules.ts), when it is asked, and
// what is written (pump.ts).
// Invariants (docs/invariants.md):
//   D2. A partition's epoch goes to its row before anything else does.
//   D5. The row is judged by the rules, the log is asked where they need it.
import type { Failure, Outcome } from "../base/failure.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { Database, ProgressRow } from "./database.ts";
import {
  chainWitness,
  judgeChain,
  judgeOvertaken,
  judgeRow,
  recordsMissing,
} from "./progress-rules.ts";
import type { PumpCounters } from "./pump-status.ts";
import type { PumpedPartition } from "./pumped-partition.ts";

export interface ProgressKeeperOptions {
  readonly database: Database;
  readonly generation: number;
  readonly counters: PumpCounters;
  /** The row can never be written again by this owner. */
  readonly halt: (partition: PumpedPartition, reason: Failure) => void;
  /** The row is the owner's and right: on from its seq. */
  readonly resume: (partition: PumpedPartition, row: ProgressRow) => void;
}

export class ProgressKeeper {
  readonly #options: ProgressKeeperOptions;
  /** Why a log could not be read lately. */
  logProblem: Failure | null = null;

  constructor(options: ProgressKeeperOptions) {
    this.#options = options;
  }

  /** Claims or reads the rows of those that are in that phase. Why it could not be; or null. */
  async keep(partitions: readonly PumpedPartition[]): Promise<Failure | null> {
    const claiming = partitions.filter(({ phase }) => phase === "claim");
    const problem = claiming.length === 0 ? null : await this.#claim(claiming);
    if (problem !== null) return problem;
    const checking = partitions.filter(({ phase }) => phase === "check");
    return checking.length === 0 ? null : this.#check(checking);
  }

  /** Null where the log could not be read: asked again later, or the partition halts. */
  async readLog(
    partition: PumpedPartition,
    from: number,
    to: number,
    neededFrom: number,
  ): Promise<ChainedRecord[] | null> {
    const read = await partition.source.read(from, to);
    if (read.ok) return read.value;
    const { failure } = read;
    if (failure.kind !== "terminal") this.logProblem = failure;
    else if (failure.code !== "GRID_LOST") this.#options.halt(partition, failure);
    else if (partition.phase !== "halted") {
      // Another owner may have written them, and trimmed: the row, read after this, tells.
      partition.missedFrom = neededFrom;
      partition.phase = "check";
    }
    return null;
  }

  /** Step 9: our epoch goes to the rows (D2). Repeated as it is where the outcome is unknown. */
  async #claim(claiming: readonly PumpedPartition[]): Promise<Failure | null> {
    const { database, generation, counters } = this.#options;
    counters.databaseReads++; // its answer is the rows
    const claims = claiming.map(({ number, source }) => ({
      partition: number,
      epoch: source.epoch,
    }));
    return this.#judgeAll(claiming, await database.claim(generation, claims));
  }

  async #check(checking: readonly PumpedPartition[]): Promise<Failure | null> {
    for (const partition of checking) partition.beginReading();
    this.#options.counters.databaseReads++;
    const rows = await this.#options.database.read(checking.map(({ number }) => number));
    return this.#judgeAll(checking, rows);
  }

  async #judgeAll(
    partitions: readonly PumpedPartition[],
    rows: Outcome<ProgressRow[]>,
  ): Promise<Failure | null> {
    if (!rows.ok) {
      this.#options.counters.retries++;
      return rows.failure;
    }
    const byPartition = new Map(rows.value.map((row) => [row.partition, row]));
    const judging = partitions.map((one) => this.#judge(one, byPartition.get(one.number)));
    await Promise.all(judging);
    return null;
  }

  /** Steps 9 and 10: what a partition's row says, in the order generation, epoch, seq, chain. */
  async #judge(partition: PumpedPartition, row: ProgressRow | undefined): Promise<void> {
    if (partition.phase === "halted") return;
    const { halt, resume } = this.#options;
    const verdict = judgeRow(row, partition.facts);
    switch (verdict.kind) {
      case "halt":
        halt(partition, verdict.failure);
        break;
      case "claim":
        partition.phase = "claim";
        break;
      case "overtaken": {
        const { claimAt } = verdict;
        const read = await partition.source.read(claimAt, claimAt);
        const reason = judgeOvertaken(partition.facts, claimAt, read);
        if (reason !== null) halt(partition, reason);
        else if (!read.ok) this.logProblem = read.failure;
        break;
      }
      case "fits":
        if (this.#isMissing(partition, verdict.row)) break;
        if (await this.#chainFits(partition, verdict.row)) resume(partition, verdict.row);
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
    const read = await this.readLog(partition, position, position, row.seq + 1);
    const witness = read?.[0];
    if (witness === undefined) return false;
    const problem = judgeChain(row, witness);
    if (problem !== null) this.#options.halt(partition, problem);
    return problem === null;
  }

  /** True where records were missing, and the row, still ours, says that they are needed. */
  #isMissing(partition: PumpedPartition, { seq }: ProgressRow): boolean {
    const from = partition.missedFrom;
    partition.missedFrom = null;
    if (from === null || seq >= from) return false;
    this.#options.halt(partition, recordsMissing(partition.number, from, partition.facts.tail));
    return true;
  }
}
