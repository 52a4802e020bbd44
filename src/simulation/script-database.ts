// Script database: one partition's progress row and its tables, for schedules that are written out
// or explored: the conditions of the port (src/data-pump/database.ts), one transaction at a time.
// Owns: row and tables, what was there earlier, and what a wrong database leaves unchecked.
// Does not own: who asks (script-pump.ts); what is right (log-oracle.ts); many partitions, many
// tables and dead letters (database-server.ts has them).
import { must } from "../base/assert.ts";
import type { WriteResult } from "../data-pump/database.ts";
import { entriesOf } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { FoldedState } from "./folded-state.ts";

/** What is wrong with the way to the database; nothing in a good run. */
export type PumpBug =
  /** The epoch is no part of a transaction's condition. */
  | "epochUnchecked"
  /** Seq is no part of a transaction's condition. */
  | "seqUnchecked"
  /** The owner does not compare the row's chain with the log. */
  | "chainUnchecked"
  /** Records that were found, and not confirmed yet, are pumped. */
  | "ownAnswers"
  /** A transaction whose outcome is unknown counts as done. */
  | "unknownIsWritten"
  /** What may be trimmed is taken from memory, without reading the row. */
  | "trimsFromMemory"
  /** A row at or past the own claim is a loss, also where this owner has written there itself. */
  | "lossByClaim";

export interface ScriptRow {
  readonly seq: number;
  readonly epoch: number;
  readonly chain: Buffer | null;
}

export interface ScriptWrite {
  readonly op: "write";
  readonly epoch: number;
  readonly before: number;
  readonly records: readonly ChainedRecord[];
}

export type DatabaseCall =
  { readonly op: "claim"; readonly epoch: number } | { readonly op: "readRow" } | ScriptWrite;

interface Version {
  readonly row: ScriptRow;
  readonly tables: FoldedState;
}

export class ScriptDatabase {
  /** All that was ever true, the present last; none of them changes. */
  #versions: readonly Version[];
  readonly bugs: ReadonlySet<PumpBug>;

  constructor(
    bugs: ReadonlySet<PumpBug> = new Set(),
    versions: readonly Version[] = [firstVersion],
  ) {
    this.bugs = bugs;
    this.#versions = versions;
  }

  clone(): ScriptDatabase {
    return new ScriptDatabase(this.bugs, this.#versions);
  }

  get row(): ScriptRow {
    return this.#now.row;
  }

  /** Of the tables. */
  get digest(): string {
    return this.#now.tables.digest;
  }

  /** The rows that it had, and has. */
  get history(): readonly ScriptRow[] {
    return this.#versions.map(({ row }) => row);
  }

  /** How many earlier versions a backup may be of. */
  get backups(): number {
    return this.#versions.length - 1;
  }

  /** Executes a call; the answer is a row where one was to be read or claimed. */
  execute(call: DatabaseCall): ScriptRow | WriteResult {
    switch (call.op) {
      case "claim":
        if (this.row.epoch < call.epoch) this.#become({ ...this.row, epoch: call.epoch });
        return this.row;
      case "readRow":
        return this.row;
      case "write":
        return this.#write(call);
    }
  }

  /** Goes back to an earlier version, as it was. */
  restore(version: number): void {
    this.#versions = this.#versions.slice(0, version + 1);
  }

  #write({ epoch, before, records }: ScriptWrite): WriteResult {
    const { row } = this;
    if (row.epoch !== epoch && !this.bugs.has("epochUnchecked")) return "misfit";
    if (row.seq !== before && !this.bugs.has("seqUnchecked")) return "misfit";
    const last = must(records.at(-1), "a transaction has records");
    const tables = this.#now.tables.clone();
    for (const { record } of records) tables.applyEntries(entriesOf(record.body));
    const seq = last.record.position;
    this.#become({ epoch: row.epoch, seq, chain: last.checksum }, tables);
    return "written";
  }

  #become(row: ScriptRow, tables = this.#now.tables): void {
    this.#versions = [...this.#versions, { row, tables }];
  }

  get #now(): Version {
    return must(this.#versions.at(-1), "there is a present");
  }
}

const firstVersion: Version = { row: { seq: 0, epoch: 0, chain: null }, tables: new FoldedState() };
