// Open database: what a unit's main thread does with the database, once and seldom.
// Owns: asking for the grid that a database knows, adopting one, secrets kept in it.
// Does not own: the pump's writing (each lane has its own connection, postgres-database.ts).
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { PostgresConnection, workFailure } from "./connection.ts";
import type { PostgresAddress } from "./database-url.ts";
import type { SchemaChange } from "./migrations.ts";
import { knownGrid, migrateSchema, prepareSchema } from "./schema.ts";
import { quoteName } from "./statements.ts";
import type { Table } from "./table.ts";

export interface TableTotals {
  readonly rows: number;
  readonly sum: number;
}

export class OpenDatabase {
  readonly #address: PostgresAddress;
  readonly #timers: Timers;

  constructor(address: PostgresAddress, timers: Timers) {
    this.#address = address;
    this.#timers = timers;
  }

  /** The grid that the database belongs to; null where it never met one. */
  knownGrid(): Promise<Outcome<GridIdentity | null>> {
    return this.use((connection) => knownGrid(connection));
  }

  /**
   * Makes the database ready for a grid and its tables, or finds that it is. Fails with
   * DATABASE_FOREIGN, DATABASE_MISFIT or DATABASE_NEWER before anything is written.
   */
  adopt(identity: GridIdentity, tables: readonly Table[]): Promise<Outcome<null>> {
    return this.use((connection) => prepareSchema(connection, identity, tables));
  }

  /** The secret of that name, made by `make` where there is none. The database is adopted. */
  secret(name: string, make: () => string): Promise<Outcome<string>> {
    return this.use(async (connection) => {
      await connection.rows(
        "INSERT INTO orrery.secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [name, make()],
      );
      const [row] = await connection.rows("SELECT value FROM orrery.secrets WHERE name = $1", [
        name,
      ]);
      if (row !== undefined) return ok(String(row["value"]));
      return failed("DATABASE_UNREACHABLE", `the secret ${name} went away while it was made`);
    });
  }

  /** How many rows a business table has, and the sum of one of its columns: for reports. */
  totals(table: string, column: string): Promise<Outcome<TableTotals>> {
    const [from, sum] = [quoteName(table), quoteName(column)];
    return this.use(async (connection) => {
      const text = `SELECT count(*) AS rows, coalesce(sum(${sum}), 0) AS sum FROM public.${from}`;
      const [row] = await connection.rows(text);
      return ok({ rows: Number(row?.["rows"]), sum: Number(row?.["sum"]) });
    });
  }

  /**
   * Brings schema and tables to what this version needs, or with `isDryRun` only says how; what is
   * changed, in order. Fails with DATABASE_MISFIT or DATABASE_NEWER before anything is written.
   */
  migrate(tables: readonly Table[], isDryRun: boolean): Promise<Outcome<readonly SchemaChange[]>> {
    return this.use((connection) => migrateSchema(connection, tables, isDryRun));
  }

  /** A connection for each piece of work: there is little of it, and hours between. */
  async use<T>(work: (connection: PostgresConnection) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const opened = await PostgresConnection.open(this.#address, this.#timers);
    if (!opened.ok) return opened;
    const connection = opened.value;
    try {
      return await connection.within(limits.databaseTransactionMs, work(connection));
    } catch (error) {
      return workFailure(error, this.#address);
    } finally {
      await connection.end();
    }
  }
}
