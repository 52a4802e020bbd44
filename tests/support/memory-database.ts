// A database in memory behind the pump's port: what a server holds, and connections that lie.
// Owns: transactions as the port promises them, snapshots, faults chosen by the test.
// Each transaction that takes effect is shown to `onWritten`, which may compare it with the log.
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import { delay, type Timers } from "../../src/base/timers.ts";
import type {
  Database,
  EpochClaim,
  ProgressRow,
  PumpTransaction,
  WriteResult,
} from "../../src/data-pump/database.ts";
import type { Value } from "../../src/grid/log-record.ts";

interface ServerState {
  readonly progress: Map<number, ProgressRow>;
  readonly tables: Map<string, Map<string, Value>>;
}

function copyState({ progress, tables }: ServerState): ServerState {
  const copied = [...tables].map(([name, rows]) => [name, new Map(rows)] as const);
  return { progress: new Map(progress), tables: new Map(copied) };
}

/** What the server holds; shared by all connections. */
export class MemoryServer {
  #state: ServerState = { progress: new Map(), tables: new Map() };
  transactions = 0;
  onWritten: (transaction: PumpTransaction) => void = () => undefined;

  constructor(partitions: number, generation = 1) {
    for (let partition = 0; partition < partitions; partition++) {
      this.setRow({ partition, generation, seq: 0, epoch: 0, chain: null });
    }
  }

  row(partition: number): ProgressRow | undefined {
    return this.#state.progress.get(partition);
  }

  /** By hand: what no pump did. */
  setRow(row: ProgressRow): void {
    this.#state.progress.set(row.partition, row);
  }

  removeRow(partition: number): void {
    this.#state.progress.delete(partition);
  }

  table(name: string): ReadonlyMap<string, Value> {
    return this.#state.tables.get(name) ?? new Map<string, Value>();
  }

  /** A backup; `restore` goes back to it. */
  backup(): () => void {
    const kept = copyState(this.#state);
    return () => {
      this.#state = copyState(kept);
    };
  }

  claim(generation: number, claims: readonly EpochClaim[]): void {
    for (const { partition, epoch } of claims) {
      const row = this.row(partition);
      if (row?.generation === generation && row.epoch < epoch) this.setRow({ ...row, epoch });
    }
  }

  read(partitions: readonly number[]): ProgressRow[] {
    return partitions.flatMap((partition) => this.row(partition) ?? []);
  }

  write(transaction: PumpTransaction): WriteResult {
    for (const step of transaction.steps) {
      const row = this.row(step.partition);
      const fits =
        row?.generation === transaction.generation &&
        row.epoch === step.epoch &&
        row.seq === step.before;
      if (!fits) return "misfit";
    }
    const { generation } = transaction;
    for (const { partition, epoch, seq, chain } of transaction.steps) {
      this.setRow({ partition, generation, epoch, seq, chain });
    }
    for (const { table, upserts, deletes } of transaction.rows) {
      const rows = this.#state.tables.get(table.name) ?? new Map<string, Value>();
      this.#state.tables.set(table.name, rows);
      for (const [key, value] of upserts) rows.set(key, value);
      for (const key of deletes) rows.delete(key);
    }
    this.transactions++;
    this.onWritten(transaction);
    return "written";
  }
}

/**
 * What becomes of one call. `away`: nothing happens, and the caller knows. Of a write only:
 * `lost`, `applied` and `late`: the caller does not know; it never happens, it happened, or it
 * happens later. `refused`: the content of a row.
 */
export type Fault = "none" | "away" | "lost" | "applied" | "late" | "refused";

export type CallName = "claim" | "read" | "write";

export interface MemoryDatabaseOptions {
  readonly server: MemoryServer;
  readonly timers: Timers;
  readonly fault?: (call: CallName, transaction: PumpTransaction | null) => Fault;
  readonly delayMs?: () => number;
}

/** One lane's connection to a server in memory. */
export class MemoryDatabase implements Database {
  readonly calls: CallName[] = [];
  readonly #options: MemoryDatabaseOptions;

  constructor(options: MemoryDatabaseOptions) {
    this.#options = options;
  }

  claim(generation: number, claims: readonly EpochClaim[]): Promise<Outcome<ProgressRow[]>> {
    return this.#call("claim", () => {
      const { server } = this.#options;
      server.claim(generation, claims);
      return server.read(claims.map(({ partition }) => partition));
    });
  }

  read(partitions: readonly number[]): Promise<Outcome<ProgressRow[]>> {
    return this.#call("read", () => this.#options.server.read(partitions));
  }

  async write(transaction: PumpTransaction): Promise<Outcome<WriteResult>> {
    const { server, timers } = this.#options;
    const fault = await this.#begin("write", transaction);
    switch (fault) {
      case "none":
        return ok(server.write(transaction));
      case "applied":
        server.write(transaction);
        break;
      case "late":
        timers.after(this.#delayMs() * 20, () => server.write(transaction));
        break;
      case "lost":
        break;
      case "away":
        return failed("DATABASE_UNREACHABLE", "the database is away");
      case "refused":
        return failed("ROW_REFUSED", "a row has content that cannot be");
    }
    return failed("OUTCOME_UNKNOWN", "the connection was lost after COMMIT");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #call<T>(name: CallName, work: () => T): Promise<Outcome<T>> {
    const fault = await this.#begin(name, null);
    if (fault === "none") return ok(work());
    if (fault === "applied") work();
    return failed("DATABASE_UNREACHABLE", "the database is away");
  }

  async #begin(name: CallName, transaction: PumpTransaction | null): Promise<Fault> {
    this.calls.push(name);
    const fault = this.#options.fault?.(name, transaction) ?? "none";
    await delay(this.#options.timers, this.#delayMs());
    return fault;
  }

  #delayMs(): number {
    return this.#options.delayMs?.() ?? 1;
  }
}
