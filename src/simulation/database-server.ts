// Database server: what a database holds behind the pump's port: progress rows and tables, changed
// in transactions as the port promises them.
// Owns: transactions, backups, what an oracle may look at. Does not own: time, and what a caller is
// told (virtual-database.ts).
import { failed, ok, type Outcome } from "../base/failure.ts";
import {
  lettersListed,
  type DeadLetter,
  type EpochClaim,
  type ParkedKey,
  type ProgressRow,
  type PumpTransaction,
  type TableRows,
  type WriteResult,
} from "../data-pump/database.ts";
import { RowBatch, type TablesBySpace } from "../data-pump/rows.ts";
import type { Value } from "../grid/log-record.ts";

/** A row without what follows from the dead letters. */
export type StoredRow = Omit<ProgressRow, "deadLetters" | "parked" | "newest">;
/** A row of a table of kind "append". */
export type AppendedRow = readonly [key: string, value: Value];

interface ServerState {
  readonly progress: Map<number, StoredRow>;
  readonly tables: Map<string, Map<string, Value>>;
  readonly appended: Map<string, AppendedRow[]>;
  letters: DeadLetter[];
}

function copyState({ progress, tables, appended, letters }: ServerState): ServerState {
  return {
    progress: new Map(progress),
    tables: new Map([...tables].map(([name, rows]) => [name, new Map(rows)] as const)),
    appended: new Map([...appended].map(([name, rows]) => [name, [...rows]] as const)),
    letters: [...letters],
  };
}

function entryOf<V>(map: Map<string, V>, name: string, make: () => V): V {
  const known = map.get(name) ?? make();
  map.set(name, known);
  return known;
}

function isOf(letter: DeadLetter, space: string, key: string): boolean {
  return letter.space === space && letter.key === key;
}

export class DatabaseServer {
  #state: ServerState = {
    progress: new Map(),
    tables: new Map(),
    appended: new Map(),
    letters: [],
  };
  #transactions = 0;
  /** Shown each transaction that took effect, right after it did. */
  onWritten: (transaction: PumpTransaction) => void = () => undefined;
  /** True where a constraint, of whoever made it, refuses that row. */
  refuses: (table: string, key: string, value: Value) => boolean = () => false;

  /** With a row for each partition, as it is before the first write. */
  constructor(partitions: number, generation = 1) {
    for (let partition = 0; partition < partitions; partition++) {
      const rest = { seq: 0, epoch: 0, chain: null, complete: false, letters: 0 };
      this.setRow({ partition, generation, ...rest });
    }
  }

  get transactions(): number {
    return this.#transactions;
  }

  row(partition: number): ProgressRow | undefined {
    const row = this.#state.progress.get(partition);
    if (row === undefined) return undefined;
    const letters = this.letters(partition);
    const parked = new Map<string, ParkedKey>();
    for (const { space, key } of letters) parked.set(`${space}/${key}`, { space, key });
    // It has no clock: its letters are of no time.
    const newest = letters
      .slice(-lettersListed)
      .map(({ value: _value, ...letter }) => ({ timeMs: 0, ...letter }))
      .reverse();
    return { ...row, deadLetters: letters.length, parked: [...parked.values()], newest };
  }

  /** By hand: what no pump did. */
  setRow({ partition, generation, seq, epoch, chain, complete, letters }: StoredRow): void {
    const row = { partition, generation, seq, epoch, chain, complete, letters };
    this.#state.progress.set(partition, row);
  }

  /** The dead letters of a partition, in order. */
  letters(partition: number): DeadLetter[] {
    return this.#state.letters.filter((letter) => letter.partition === partition);
  }

  removeRow(partition: number): void {
    this.#state.progress.delete(partition);
  }

  /** The rows of a table, by key. */
  table(name: string): ReadonlyMap<string, Value> {
    return this.#state.tables.get(name) ?? new Map<string, Value>();
  }

  /** As an operator does it: all letters of a key go to the tables, in order. */
  retryLetters(partition: number, space: string, key: string, tables: TablesBySpace): boolean {
    const rows = new RowBatch();
    const table = tables.get(space);
    if (table === undefined) return false;
    const letters = this.letters(partition).filter((one) => isOf(one, space, key));
    for (const { value } of letters) rows.add(table, key, value);
    const written = rows.toTables();
    if (letters.length === 0 || this.#refusal(written) !== null) return false;
    this.#write(written);
    this.dropLetters(partition, space, key);
    return true;
  }

  /** As an operator does it: all letters of a key are forgotten. */
  dropLetters(partition: number, space: string, key: string): void {
    this.#state.letters = this.#state.letters.filter((letter) => {
      return letter.partition !== partition || !isOf(letter, space, key);
    });
    this.#raise(partition);
  }

  /** The rows of a table of kind "append", in order. */
  appended(name: string): readonly AppendedRow[] {
    return this.#state.appended.get(name) ?? [];
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
      if (row?.generation === generation && row.epoch < epoch) {
        this.setRow({ ...row, epoch, complete: false });
      }
    }
  }

  read(partitions: readonly number[]): ProgressRow[] {
    return partitions.flatMap((partition) => this.row(partition) ?? []);
  }

  /**
   * A transaction of the pump's, or (`isKept` false) a rehearsal of one. ROW_REFUSED where a row's
   * content is refused.
   */
  attempt(transaction: PumpTransaction, isKept = true): Outcome<WriteResult> {
    if (!this.#fits(transaction)) return ok("misfit");
    const reason = this.#refusal(transaction.rows);
    if (reason !== null) return failed("ROW_REFUSED", reason);
    if (isKept) this.#apply(transaction);
    return ok("written");
  }

  #fits(transaction: PumpTransaction): boolean {
    for (const step of transaction.steps) {
      const row = this.row(step.partition);
      const fits =
        row?.generation === transaction.generation &&
        row.epoch === step.epoch &&
        row.letters === step.letters &&
        row.seq === step.before;
      if (!fits) return false;
    }
    return true;
  }

  #refusal(tables: readonly TableRows[]): string | null {
    for (const { table, upserts, appends } of tables) {
      for (const [key, value] of [...upserts, ...appends]) {
        if (this.refuses(table.name, key, value)) return `row ${table.name}/${key} is refused`;
      }
    }
    return null;
  }

  #raise(partition: number): void {
    const row = this.row(partition);
    if (row !== undefined) this.setRow({ ...row, letters: row.letters + 1 });
  }

  #write(tables: readonly TableRows[]): void {
    for (const { table, upserts, deletes, appends } of tables) {
      const rows = entryOf(this.#state.tables, table.name, () => new Map<string, Value>());
      for (const [key, value] of upserts) rows.set(key, value);
      for (const key of deletes) rows.delete(key);
      entryOf(this.#state.appended, table.name, () => []).push(...appends);
    }
  }

  #apply(transaction: PumpTransaction): void {
    const { generation } = transaction;
    for (const step of transaction.steps) this.setRow({ ...step, generation });
    this.#write(transaction.rows);
    this.#state.letters.push(...transaction.letters);
    this.#transactions++;
    this.onWritten(transaction);
  }
}
