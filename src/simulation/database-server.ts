// Database server: what a database holds behind the pump's port: progress rows and tables, changed
// in transactions as the port promises them.
// Owns: transactions, backups, what an oracle may look at. Does not own: time, and what a caller is
// told (virtual-database.ts).
import type {
  EpochClaim,
  ProgressRow,
  PumpTransaction,
  WriteResult,
} from "../data-pump/database.ts";
import type { Value } from "../grid/log-record.ts";

interface ServerState {
  readonly progress: Map<number, ProgressRow>;
  readonly tables: Map<string, Map<string, Value>>;
}

function copyState({ progress, tables }: ServerState): ServerState {
  const copied = [...tables].map(([name, rows]) => [name, new Map(rows)] as const);
  return { progress: new Map(progress), tables: new Map(copied) };
}

export class DatabaseServer {
  #state: ServerState = { progress: new Map(), tables: new Map() };
  #transactions = 0;
  /** Shown each transaction that took effect, right after it did. */
  onWritten: (transaction: PumpTransaction) => void = () => undefined;

  /** With a row for each partition, as it is before the first write. */
  constructor(partitions: number, generation = 1) {
    for (let partition = 0; partition < partitions; partition++) {
      this.setRow({ partition, generation, seq: 0, epoch: 0, chain: null });
    }
  }

  get transactions(): number {
    return this.#transactions;
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

  /** The rows of a table, by key. */
  table(name: string): ReadonlyMap<string, Value> {
    return this.#state.tables.get(name) ?? new Map<string, Value>();
  }

  /** A backup; calling what is returned goes back to it. */
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
    this.#transactions++;
    this.onWritten(transaction);
    return "written";
  }
}
