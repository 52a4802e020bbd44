// State writer: writes the whole state of a grid over the tables of a database that went back to a
// backup which is older than what the logs still hold, or than the generation of the grid.
// Owns: the one transaction of it. Does not own: where the state comes from (processing-units).
// Invariants (docs/invariants.md):
//   D24. Rows and progress change in one transaction: at no moment do the tables show a part of
//        the state, and from its end on each partition's row stands at the record it was folded to.
//   D12. Nothing goes past a letter: where a space has one that stays, nothing is written.
//   D25. A database of an older generation goes to the grid's in the same transaction, with no
//        record of it written; one of a newer generation never.
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { Change } from "../grid/log-record.ts";
import { PostgresConnection, workFailure } from "./connection.ts";
import type { PostgresAddress } from "./database-url.ts";
import { moveGeneration } from "./generation-row.ts";
import { RowBatch } from "./rows.ts";
import { arrayLiteral, quoteName, statementsFor } from "./statements.ts";
import type { Table } from "./table.ts";

export interface StateTable {
  readonly table: Table;
  /** Rows of a write-only space are added to; those of others are replaced by the state. */
  readonly writeOnly: boolean;
}

/** Where a partition's log stands. */
export interface StatePosition {
  readonly partition: number;
  /** Position of the claim under which the state was folded; its checksum. */
  readonly position: number;
  readonly chain: Buffer;
}

export interface StateWriterOptions {
  readonly address: PostgresAddress;
  readonly timers: Timers;
  readonly identity: GridIdentity;
  /** Never used before: names the generation where the database had an older one. */
  readonly token: string;
  /** By space. */
  readonly tables: ReadonlyMap<string, StateTable>;
}

/** Statements run under this name of the transaction (statements.ts, `insideOnly`). */
const mark = "0";

export class StateWriter {
  readonly #options: StateWriterOptions;
  readonly #connection: PostgresConnection;
  /** Record up to which the tables have each partition. */
  readonly #seqs = new Map<number, number>();
  #generationBefore = 0;
  #batch = new RowBatch();
  #batched = 0;
  #kept = new Map<Table, string[]>();

  private constructor(options: StateWriterOptions, connection: PostgresConnection) {
    this.#options = options;
    this.#connection = connection;
  }

  /**
   * Runs `work` in a transaction that nobody writes beside; what it gave takes effect if it
   * succeeds. Fails with REBUILD_REFUSED where the database is of another grid or of a newer
   * generation, or has letters of a space whose rows are not replaced; ROW_REFUSED, OUTCOME_UNKNOWN
   * (then it is done once more), or as `work` does.
   */
  static async write<T>(
    options: StateWriterOptions,
    work: (writer: StateWriter) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const { address, timers } = options;
    const opened = await PostgresConnection.open(address, timers);
    if (!opened.ok) return opened;
    const connection = opened.value;
    let committing = false;
    try {
      const writer = new StateWriter(options, connection);
      const begun = await writer.#begin();
      if (!begun.ok) return begun;
      const worked = await work(writer);
      if (!worked.ok) return worked;
      const finished = await writer.#finish();
      if (!finished.ok) return finished;
      committing = true;
      await connection.rows("COMMIT");
      return worked;
    } catch (error) {
      const failure = workFailure(error, address);
      if (!committing || failure.ok) return failure;
      return failed("OUTCOME_UNKNOWN", `${failure.failure.message}; run it once more`);
    } finally {
      await connection.end(); // which ends an open transaction
    }
  }

  /** The generation that the database was of. */
  get generationBefore(): number {
    return this.#generationBefore;
  }

  /** Record up to which the tables have a partition. */
  seqOf(partition: number): number {
    return this.#seqs.get(partition) ?? 0;
  }

  /** An entry of the state, or a change of a write-only space that the tables lack. */
  async take({ space, key, value }: Change): Promise<Outcome<null>> {
    const found = this.#options.tables.get(space);
    if (found === undefined) return ok(null);
    const { table, writeOnly } = found;
    this.#batch.add(table, key, value);
    if (!writeOnly) {
      const keys = this.#kept.get(table) ?? [];
      keys.push(key);
      this.#kept.set(table, keys);
    }
    return ++this.#batched < limits.readerRows ? ok(null) : this.#flush();
  }

  /** All of a partition was taken: its row stands at that position from now on. */
  async stand({ partition, position, chain }: StatePosition): Promise<void> {
    await this.#connection.rows(
      `UPDATE orrery.progress SET seq = $2::bigint, epoch = $2::bigint, chain = decode($3, 'hex'),
         complete = false, letters = letters + 1 WHERE partition = $1::integer`,
      [String(partition), String(position), chain.toString("hex")],
    );
  }

  async #begin(): Promise<Outcome<null>> {
    const connection = this.#connection;
    await connection.rows("BEGIN");
    await connection.rows("SET LOCAL statement_timeout = 0");
    await connection.rows("SET LOCAL idle_in_transaction_session_timeout = 0");
    await connection.rows(`SELECT set_config('orrery.transaction', '${mark}', true)`);
    await connection.rows("LOCK TABLE orrery.progress IN EXCLUSIVE MODE");
    const moved = await this.#takeGeneration();
    if (!moved.ok) return moved;
    const parked = await this.#refuseLetters();
    if (!parked.ok) return parked;
    for (const { partition, seq } of await connection.rows(
      "SELECT partition, seq FROM orrery.progress",
    )) {
      this.#seqs.set(Number(partition), Number(seq));
    }
    await connection.rows(
      "CREATE TEMP TABLE state_keys (name text, key text, PRIMARY KEY (name, key)) ON COMMIT DROP",
    );
    return ok(null);
  }

  /** D25: behind it no owner under an older generation writes, and none was written by this one. */
  async #takeGeneration(): Promise<Outcome<null>> {
    const { identity, token } = this.#options;
    const [meta] = await this.#connection.rows(
      "SELECT grid_id, generation, partitions FROM orrery.meta FOR UPDATE",
    );
    const known = {
      gridId: String(meta?.["grid_id"]),
      generation: Number(meta?.["generation"]),
      partitions: Number(meta?.["partitions"]),
    };
    if (known.gridId !== identity.gridId || !(known.generation <= identity.generation)) {
      const message = `the database is of ${nameOf(known)}, not of ${nameOf(identity)}`;
      return failed("REBUILD_REFUSED", message);
    }
    this.#generationBefore = known.generation;
    if (known.generation < identity.generation) {
      await moveGeneration(this.#connection, { ...identity, token }, "");
    } else if (known.partitions !== identity.partitions) {
      const counts = `${String(known.partitions)} partitions, not ${String(identity.partitions)}`;
      return failed("REBUILD_REFUSED", `the database is of ${nameOf(known)} with ${counts}`);
    }
    return ok(null);
  }

  /** D12: what follows a letter in a write-only space is in the log only, the letter is not. */
  async #refuseLetters(): Promise<Outcome<null>> {
    const spaces = [...this.#options.tables].filter(([, { writeOnly }]) => !writeOnly);
    const [letter] = await this.#connection.rows(
      "SELECT space FROM orrery.dead_letters WHERE space <> ALL($1::text[]) LIMIT 1",
      [arrayLiteral(spaces.map(([space]) => space))],
    );
    if (letter === undefined) return ok(null);
    const space = String(letter["space"]);
    const what = `the database has dead letters of ${space}, whose rows are not replaced`;
    const advice = "retry or drop them first (orrery dead-letters list)";
    return failed("REBUILD_REFUSED", `${what}, and later rows would go past them; ${advice}`);
  }

  async #flush(): Promise<Outcome<null>> {
    const { timers } = this.#options;
    const statements = await statementsFor(this.#batch.toTables(), mark, timers);
    if (!statements.ok) return statements;
    for (const { text, parameters } of statements.value) {
      await this.#connection.rows(text, parameters);
    }
    for (const [{ name }, keys] of this.#kept) {
      await this.#connection.rows(
        "INSERT INTO state_keys SELECT $1, * FROM unnest($2::text[]) ON CONFLICT DO NOTHING",
        [name, arrayLiteral(keys)],
      );
    }
    this.#batch = new RowBatch();
    this.#batched = 0;
    this.#kept = new Map();
    return ok(null);
  }

  /** Rows that the state does not have go, and the letters of its spaces: their keys are whole. */
  async #finish(): Promise<Outcome<null>> {
    const flushed = await this.#flush();
    if (!flushed.ok) return flushed;
    const connection = this.#connection;
    await connection.rows("ANALYZE state_keys");
    const spaces: string[] = [];
    for (const [space, { table, writeOnly }] of this.#options.tables) {
      if (writeOnly) continue;
      spaces.push(space);
      const key = `r.${quoteName(table.key)}`;
      await connection.rows(
        `DELETE FROM public.${quoteName(table.name)} AS r WHERE NOT EXISTS (
           SELECT FROM state_keys AS k WHERE k.name = $1 AND k.key = ${key})`,
        [table.name],
      );
    }
    const letters = "DELETE FROM orrery.dead_letters WHERE space = ANY($1::text[])";
    await connection.rows(letters, [arrayLiteral(spaces)]);
    return ok(null);
  }
}

function nameOf({ gridId, generation }: GridIdentity): string {
  return `generation ${String(generation)} of grid ${gridId}`;
}
