// Data reader: brings the rows of an application's tables back as entries, for a grid that is
// rebuilt from its database.
// Owns: reading tables and dead letters in the caller's transaction, mending, writing what was
// mended. Does not own: the transaction and whose the database is (rebuild-database.ts), what a
// row's text stands for (row-values.ts), where entries go (the sink).
// Invariants (docs/invariants.md):
//   D20. What a rebuilt grid begins with is what tables and dead letters say together, in one
//        snapshot: a letter is newer than the row of its key.
import { Packr } from "msgpackr";
import { failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type { RebuildSink } from "../grid/rebuild-ports.ts";
import type { Cell, PostgresConnection } from "./connection.ts";
import type { Mender, RebuiltEntry } from "./mender.ts";
import { rowEntry } from "./row-values.ts";
import { quoteName, statementsFor, textColumns } from "./statements.ts";
import type { Table } from "./table.ts";

/** A space whose entries come back. */
export interface ReaderSpace {
  readonly name: string;
  readonly table: Table;
  /** The partition of an entry, of as many as the new generation has. */
  partitionOf(key: string, value: Value): number;
}

export interface ReaderOptions {
  /** In a transaction that sees one snapshot. */
  readonly connection: PostgresConnection;
  readonly spaces: readonly ReaderSpace[];
  readonly mender: Mender;
  readonly sink: RebuildSink;
  readonly timers: Timers;
}

const packr = new Packr({ useRecords: false });

/** What is mended is written under this name of the transaction (statements.ts, `insideOnly`). */
const mark = "0";

export class DataReader {
  readonly #options: ReaderOptions;
  readonly #spaces: ReadonlyMap<string, ReaderSpace>;
  /** The newest letter of each key, by space. */
  readonly #letters = new Map<string, Map<string, Value>>();
  /** Changes on their way to the sink, by partition. */
  #batch = new Map<number, Change[]>();
  #batched = 0;
  readonly #changed = new Map<string, Map<string, Value>>();

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#spaces = new Map(options.spaces.map((space) => [space.name, space]));
  }

  /**
   * Gives every entry to the sink, as it is mended, and writes what was mended to the tables.
   * Fails with ROW_REFUSED where a row is no entry of ours, with REBUILD_REFUSED where an entry
   * that has dead letters would have to be mended, or as the sink does. PostgreSQL's are thrown.
   */
  async read(): Promise<Outcome<null>> {
    await this.#readLetters();
    for (const space of this.#spaces.values()) {
      const problem = await this.#readTable(space);
      if (problem !== null) return { ok: false, failure: problem };
    }
    const problem = await this.#readRest();
    if (problem !== null) return { ok: false, failure: problem };
    return this.#writeChanged();
  }

  async #readLetters(): Promise<void> {
    const rows = await this.#options.connection.rows(
      `SELECT DISTINCT ON (partition, space, key) space, key, value FROM orrery.dead_letters
       ORDER BY partition, space, key, id DESC`,
    );
    for (const { space, key, value } of rows) {
      const name = String(space);
      if (!this.#spaces.has(name)) continue;
      const letters = this.#letters.get(name) ?? new Map<string, Value>();
      const known = Buffer.isBuffer(value) ? (packr.unpack(value) as Value) : null;
      letters.set(String(key), known);
      this.#letters.set(name, letters);
    }
  }

  /** The next rows are on their way while those before them are worked on. */
  async #readTable(space: ReaderSpace): Promise<Failure | null> {
    const { connection } = this.#options;
    const from = `public.${quoteName(space.table.name)}`;
    const fetch = `FETCH ${String(limits.readerRows)} FROM reading`;
    await connection.rows(
      `DECLARE reading NO SCROLL CURSOR FOR SELECT ${textColumns(space.table)} FROM ${from}`,
    );
    let fetching = connection.lists(fetch);
    for (;;) {
      const rows = await fetching;
      if (rows.length === 0) break;
      fetching = connection.lists(fetch);
      const problem = this.#takeRows(space, rows) ?? (await this.#flush());
      if (problem === null) continue;
      await fetching;
      return problem;
    }
    await connection.rows("CLOSE reading");
    return null;
  }

  #takeRows(space: ReaderSpace, rows: readonly Cell[][]): Failure | null {
    const letters = this.#letters.get(space.name);
    for (const row of rows) {
      // All columns are texts, in the order in which they were asked for.
      const read = rowEntry(space.table, row as (string | null)[]);
      if (!read.ok) return read.failure;
      const [key, value] = read.value;
      if (letters?.has(key) !== true) this.#take({ space: space.name, key, value });
    }
    return null;
  }

  /** What letters say, and what the application adds. */
  async #readRest(): Promise<Failure | null> {
    for (const [space, letters] of this.#letters) {
      for (const [key, value] of letters) {
        if (value === null) continue;
        const entry = { space, key, value };
        if (this.#options.mender.mend(entry) !== entry) return cannotMend(entry);
        this.#add(entry);
      }
    }
    for (const entry of this.#options.mender.rest()) {
      if (this.#letters.get(entry.space)?.has(entry.key) === true) return cannotMend(entry);
      this.#changes(entry.space).set(entry.key, entry.value);
      this.#add(entry);
      if (this.#batched < limits.readerRows) continue;
      const problem = await this.#flush();
      if (problem !== null) return problem;
    }
    return this.#flush();
  }

  #take(entry: RebuiltEntry): void {
    const mended = this.#options.mender.mend(entry);
    if (mended !== entry) {
      const changes = this.#changes(entry.space);
      if (!changes.has(entry.key)) changes.set(entry.key, null);
      if (mended !== null) changes.set(mended.key, mended.value);
    }
    if (mended !== null) this.#add(mended);
  }

  #changes(space: string): Map<string, Value> {
    const known = this.#changed.get(space) ?? new Map<string, Value>();
    this.#changed.set(space, known);
    return known;
  }

  #add(entry: RebuiltEntry): void {
    const partition = this.#spaces.get(entry.space)?.partitionOf(entry.key, entry.value);
    if (partition === undefined) return; // the mender made it of a space that does not come back
    const changes = this.#batch.get(partition);
    if (changes === undefined) this.#batch.set(partition, [entry]);
    else changes.push(entry);
    this.#batched++;
  }

  /** All partitions at once: what the sink does for one does not wait for another. */
  async #flush(): Promise<Failure | null> {
    const batch = [...this.#batch];
    this.#batch = new Map();
    this.#batched = 0;
    const { sink } = this.#options;
    const taken = await Promise.all(
      batch.map(([partition, changes]) => sink.take(partition, changes)),
    );
    for (const outcome of taken) if (!outcome.ok) return outcome.failure;
    return null;
  }

  async #writeChanged(): Promise<Outcome<null>> {
    const { connection, timers } = this.#options;
    await connection.rows(`SELECT set_config('orrery.transaction', '${mark}', true)`);
    for (const [name, changes] of this.#changed) {
      const table = this.#spaces.get(name)?.table;
      if (table === undefined) continue;
      const all = [...changes];
      for (let from = 0; from < all.length; from += limits.readerRows) {
        const slice = all.slice(from, from + limits.readerRows);
        const upserts = slice.filter(([, value]) => value !== null);
        const deletes = slice.filter(([, value]) => value === null).map(([key]) => key);
        const rows = [{ table, upserts, deletes, appends: [] }];
        const statements = await statementsFor(rows, mark, timers);
        if (!statements.ok) return statements;
        for (const { text, parameters } of statements.value) {
          await connection.rows(text, parameters);
        }
      }
    }
    return ok(null);
  }
}

function cannotMend({ space, key }: RebuiltEntry): Failure {
  const what = `${key} of space ${space} has dead letters, and would have to be mended`;
  const message = `${what}; retry or drop them first (orrery dead-letters list)`;
  return failure("REBUILD_REFUSED", message);
}
