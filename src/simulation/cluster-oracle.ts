// Cluster oracle: what must be true of a whole cluster, judged from outside: from what lanes serve
// and acknowledge, what clients are told, what members hold and what the database holds.
// Owns: the effects of commands (each at most once, exactly once where it was promised, never
// where it was denied), and the list of what was broken.
// Does not own: one log (cluster-log-oracle.ts), the tables (cluster-tables.ts).
// Invariants (docs/invariants.md):
//   W1. Whatever fails within the failure bound, a cluster keeps its promises.
import { isDeepStrictEqual } from "node:util";
import { must } from "../base/assert.ts";
import type { Failure, FailureCode } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { partitionOf } from "../base/murmur3.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { entriesOf, type Value } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { CommandOrigin } from "../messaging-grid/frames.ts";
import { tablesOf } from "../processing-units/load-application.ts";
import { unfoldedSpaces } from "./cluster-fold.ts";
import { ClusterLogOracle } from "./cluster-log-oracle.ts";
import type { RarePath } from "./cluster-probes.ts";
import { ClusterTables } from "./cluster-tables.ts";
import type { ClusterWorkload, FinalView } from "./cluster-workload.ts";
import type { DatabaseServer } from "./database-server.ts";
import type { ReplicaStore } from "./replica-store.ts";

export interface Violation {
  readonly partition: number | null;
  readonly what: string;
}

/** Reasons for which a partition may stop while everything stays within the failure bound. */
const lawfulStops: ReadonlySet<FailureCode> = new Set([
  "NOT_OWNER",
  "CLAIM_BEATEN",
  "DATABASE_FENCED",
  "SHUTTING_DOWN",
]);
const violationsMax = 20;
/** Owners that end one after the other within this time are counted against their partition. */
const suspicionMs = 60_000;

export interface ClusterOracleOptions {
  readonly identity: GridIdentity;
  readonly workload: ClusterWorkload;
  readonly copies: ReplicaStore;
  readonly server: DatabaseServer;
}

interface Place {
  readonly partition: number;
  readonly position: number;
}

export class ClusterOracle {
  readonly logs: readonly ClusterLogOracle[];
  readonly violations: Violation[] = [];
  readonly #workload: ClusterWorkload;
  readonly #server: DatabaseServer;
  readonly #tables: ClusterTables;
  /** Where each effect is journaled. */
  readonly #effects = new Map<string, Place>();
  readonly #denied = new Set<string>();
  /** Which owner a command was last sent to by another lane. */
  readonly #asked = new Map<string, string>();
  readonly #deathsMs: number[] = [];
  #isHalted = false;
  /** The database went back to a backup: what follows from that is nobody's fault. */
  #isRestored = false;
  /** By partition: how far it was ever written. */
  readonly #writtenMost = new Map<number, number>();
  #promises = 0;

  constructor({ identity, workload, copies, server }: ClusterOracleOptions) {
    this.#workload = workload;
    this.#server = server;
    const unfolded = unfoldedSpaces(workload.application);
    this.logs = Array.from(
      { length: identity.partitions },
      (_, partition) =>
        new ClusterLogOracle({
          partition,
          generation: identity.generation,
          copies,
          unfolded,
          effectIn: (change) => workload.effectIn(change),
          onEffect: (effect, position) => {
            this.#journaled(effect, partition, position);
          },
          violate: (what) => {
            this.violate(partition, what);
          },
        }),
    );
    this.#tables = new ClusterTables({
      server,
      tables: tablesOf(workload.application),
      logs: this.logs,
      violate: (partition, what) => {
        this.violate(partition, what);
      },
    });
  }

  get isBroken(): boolean {
    return this.violations.length > 0;
  }

  /** Answers that promised an effect, and were found to keep it. */
  get promises(): number {
    return this.#promises;
  }

  violate(partition: number | null, what: string): void {
    if (this.violations.length < violationsMax) this.violations.push({ partition, what });
  }

  serving(partition: number, epoch: number): void {
    this.#log(partition).serving(epoch);
  }

  acknowledged(partition: number, record: ChainedRecord): void {
    this.#log(partition).acknowledged(record);
    const row = this.#server.row(partition);
    const { position, body } = record.record;
    if (row?.complete !== true || position <= row.seq || entriesOf(body).length === 0) return;
    if (this.#isRestored) return; // a backup may be of a moment in which it was complete
    const what = `record ${String(position)} is acknowledged, and the database says`;
    this.violate(partition, `${what} that nothing follows ${String(row.seq)}`); // P12
  }

  /** What a lane has in memory as it begins to serve: what the log folds to, and nothing else. */
  loaded(
    partition: number,
    epoch: number,
    entriesOf: (space: string) => Iterable<readonly [string, Value]>,
  ): void {
    const log = this.#log(partition);
    if (!log.isNewest(epoch)) return; // it was overtaken while it loaded
    for (const { name, table, writeOnly } of this.#workload.application.spaces) {
      // Where there is no table, keys are unique in their partition only.
      if (writeOnly || table === null) continue;
      const found = new Map(entriesOf(name));
      for (const [key, value] of log.fold.entries(name)) {
        if (isDeepStrictEqual(found.get(key), value)) continue;
        const values = `${JSON.stringify(found.get(key))}, not as ${JSON.stringify(value)}`;
        this.violate(partition, `${name}/${key} is served as ${values}`);
      }
    }
  }

  /** A command reaches an owner from another lane: the rare path that it takes, if any. */
  asked(partition: number, { sender, number }: CommandOrigin, owner: string): RarePath | null {
    const command = `${String(partition)} ${sender} ${String(number)}`;
    const before = this.#asked.get(command);
    this.#asked.set(command, owner);
    if (before === undefined) return null;
    if (this.#log(partition).hasCommand(sender, number)) return "repeated command found its reply";
    if (before !== owner) return "command asked again of another owner";
    return "repeated command waited for its own append";
  }

  /** True where an effect is journaled already. */
  hasEffect(effect: string): boolean {
    return this.#effects.has(effect);
  }

  /** A lane ended before it could say so in any log. */
  died(atMs: number): void {
    this.#deathsMs.push(atMs);
  }

  /** True where a partition halted as it should: its owners died, or the database is too old. */
  get isHalted(): boolean {
    return this.#isHalted;
  }

  /** A partition stopped: the rare path that it took, if any. */
  stopped(
    partition: number,
    lane: string,
    { code, message }: Failure,
    atMs: number,
  ): RarePath | null {
    if (lawfulStops.has(code)) return null;
    const deaths = this.#deathsMs.filter((each) => atMs - each <= suspicionMs).length;
    if (code === "PARTITION_HALTED" && deaths >= limits.emptyClaimsMax) {
      this.#isHalted = true;
      return "partition halted: its owners died";
    }
    if (code === "DATABASE_LOST" && this.#isLostByRestore(partition)) {
      this.#isHalted = true;
      return "partition halted: the database is too old";
    }
    this.violate(partition, `${lane} stopped it: ${message} [${code}]`);
    return null;
  }

  /** The log does not hold what the database lacks since it was restored. */
  #isLostByRestore(partition: number): boolean {
    const seq = this.#server.row(partition)?.seq ?? 0;
    return this.#isRestored && !this.#log(partition).holdsFrom(seq + 1);
  }

  /** A backup of the database; calling what is returned goes back to it, here as well. */
  backupDatabase(): () => void {
    const [restoreServer, restoreTables] = [this.#server.backup(), this.#tables.backup()];
    return () => {
      for (const [partition] of this.logs.entries()) {
        const seq = this.#server.row(partition)?.seq ?? 0;
        this.#writtenMost.set(partition, Math.max(seq, this.#writtenMost.get(partition) ?? 0));
      }
      restoreServer();
      restoreTables();
      this.#isRestored = true;
    };
  }

  /** A client was told that this happened: it is journaled now, and written where it asked so. */
  promised(key: string, effect: string, written: boolean): void {
    this.#promises++;
    const place = this.#effects.get(effect);
    if (place === undefined) {
      this.violate(this.partitionOf(key), `${effect} was answered, and is in no log`);
    } else if (written && !this.#isWritten(effect, place)) {
      this.violate(place.partition, `${effect} was answered as written, and is not`);
    }
  }

  /** A client was shown this: it is journaled now. */
  shown(key: string, effect: string): void {
    if (this.#effects.has(effect)) return;
    this.violate(this.partitionOf(key), `${effect} was read, and is in no log`);
  }

  /** A client was told that this did not happen, and never will. */
  denied(key: string, effect: string): void {
    this.#denied.add(effect);
    const place = this.#effects.get(effect);
    if (place === undefined) return;
    const where = textOf(place);
    this.violate(this.partitionOf(key), `${effect} was denied, and is ${where}`);
  }

  partitionOf(key: string): number {
    return partitionOf(key, this.logs.length);
  }

  audit(when: string): void {
    for (const log of this.logs) log.audit(when);
  }

  /** All is at rest: the database has everything, and the workload looks at the whole. */
  auditEnd(): void {
    this.audit("at the end");
    this.#tables.audit();
    for (const key of this.#tables.parked) {
      if (!this.retryLetters(key)) this.violate(null, `letters of ${key} cannot be retried`);
    }
    this.#tables.audit();
    const view: FinalView = {
      entries: (space) => this.logs.flatMap(({ fold }) => [...fold.entries(space)]),
      rows: (table) => this.#tables.rows(table),
    };
    for (const problem of this.#workload.problems(view)) this.violate(null, problem);
  }

  /** O4: all lanes left, and nothing failed meanwhile: the database says that it has everything. */
  auditStopped(): void {
    this.#tables.audit();
    for (const [partition] of this.logs.entries()) {
      const isComplete = this.#server.row(partition)?.complete === true;
      if (!isComplete) this.violate(partition, "was stopped in order, and is not complete");
    }
  }

  /** Keys with dead letters in the database. */
  get parked(): string[] {
    return this.#tables.parked;
  }

  /** An operator has a key's dead letters written. False where they are refused again. */
  retryLetters(key: string): boolean {
    return this.#tables.retry(key);
  }

  /** An operator forgets a key's dead letters. */
  dropLetters(key: string): void {
    this.#tables.drop(key);
  }

  #isWritten(effect: string, { partition, position }: Place): boolean {
    const writtenMost = this.#writtenMost.get(partition) ?? 0; // answered before it was restored
    const seq = Math.max(this.#server.row(partition)?.seq ?? 0, writtenMost);
    const letters = this.#server.letters(partition).filter((one) => one.position === position);
    const isLetter = letters.some((one) => this.#workload.effectIn(one) === effect);
    return seq >= position && !isLetter;
  }

  #log(partition: number): ClusterLogOracle {
    return must(this.logs[partition], "a partition of the grid");
  }

  #journaled(effect: string, partition: number, position: number): void {
    const where = textOf({ partition, position });
    const before = this.#effects.get(effect);
    if (before !== undefined) {
      this.violate(partition, `${effect} is ${textOf(before)}, and again ${where}`);
    }
    if (this.#denied.has(effect)) this.violate(partition, `${effect} was denied, and is ${where}`);
    this.#effects.set(effect, { partition, position });
  }
}

function textOf({ partition, position }: Place): string {
  return `in partition ${String(partition)} at ${String(position)}`;
}
