// Unit database: what the main thread of a unit does with the database: start the embedded one,
// ask whether a new grid may be made, make the tables, keep secrets.
// Owns: what a database that is away means for a start. Does not own: SQL (data-pump); writing
// rows, which every lane does over its own connection.
// Invariants (docs/invariants.md):
//   G1. A grid is made only where the store holds none and the database knows of none.
import type { Logger } from "pino";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import {
  parseDatabaseUrl,
  type DatabaseAddress,
  type PostgresAddress,
} from "../data-pump/database-url.ts";
import {
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from "../data-pump/embedded-postgres.ts";
import { OpenDatabase, type TableTotals } from "../data-pump/open-database.ts";
import type { Table } from "../data-pump/table.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";

const makeId = () => newId(systemRandom());

export class UnitDatabase {
  /** Where lanes connect to; null: there is no database. */
  readonly address: PostgresAddress | null;
  readonly #embedded: EmbeddedPostgres | null;
  readonly #open: OpenDatabase | null;
  readonly #endEmbedded = () => {
    const pid = this.#embedded?.pid;
    if (pid !== undefined) process.kill(pid, "SIGINT"); // fast shutdown, without us
  };
  readonly #log: Logger;

  private constructor(
    address: PostgresAddress | null,
    embedded: EmbeddedPostgres | null,
    log: Logger,
  ) {
    this.address = address;
    this.#embedded = embedded;
    this.#log = log;
    this.#open = address === null ? null : new OpenDatabase(address, systemTimers);
    // A process that ends without a stop (not by kill -9) does not leave its server behind.
    process.on("exit", this.#endEmbedded);
  }

  /** Starts the embedded server where one is asked for; a database elsewhere may be away. */
  static async open(address: DatabaseAddress, log: Logger): Promise<Outcome<UnitDatabase>> {
    switch (address.kind) {
      case "none":
        return ok(new UnitDatabase(null, null, log));
      case "postgres":
        return ok(new UnitDatabase(address, null, log));
      case "embedded": {
        const started = await startEmbeddedPostgres({
          folder: address.folder,
          timers: systemTimers,
          log: (message) => {
            log.warn(message);
          },
        });
        const server = started.ok ? started.value : null;
        if (!started.ok && started.failure.code !== "DATA_IN_USE") return started;
        // Another unit of this machine runs it: this one writes to it, too.
        const url = server?.url ?? (await runningEmbeddedPostgres(address.folder));
        if (url === null) return started as Outcome<never>;
        const inner = parseDatabaseUrl(url);
        if (!inner.ok) return inner;
        if (inner.value.kind !== "postgres") return ok(new UnitDatabase(null, null, log));
        return ok(new UnitDatabase(inner.value, server, log));
      }
    }
  }

  /** The grid that the database belongs to; null where it never met one. */
  knownGrid(): Promise<Outcome<GridIdentity | null>> {
    return this.#open === null ? Promise.resolve(ok(null)) : this.#open.knownGrid();
  }

  /** G1: the store is empty; only the database can say that there was nothing before. */
  async allowsNewGrid(): Promise<Outcome<null>> {
    if (this.#open === null) return ok(null);
    const known = await this.#open.knownGrid();
    if (!known.ok) {
      if (known.failure.code !== "DATABASE_UNREACHABLE") return known;
      return failed(
        "DATABASE_UNREACHABLE",
        `${known.failure.message}; the store is empty, and a new grid is made only when the ` +
          "database has said that it knows of none: start it, or use --database none:",
      );
    }
    if (known.value === null) return ok(null);
    return failed(
      "GRID_LOST",
      `the store is empty, but the database holds rows of grid ${known.value.gridId}: the grid's ` +
        "data is gone; bring its folder back (members cannot get it back), or choose another " +
        "database to begin anew",
    );
  }

  /**
   * Makes the database ready for the grid and its tables, or finds that it is. One that is away
   * is no reason not to start: the lanes do the same as soon as it answers.
   */
  async adopt(identity: GridIdentity, tables: readonly Table[]): Promise<Outcome<null>> {
    if (this.#open === null) return ok(null);
    const adopted = await this.#open.adopt(identity, tables);
    if (adopted.ok || adopted.failure.code !== "DATABASE_UNREACHABLE") return adopted;
    this.#log.warn({ failure: adopted.failure }, "the database is away; the backlog grows");
    return ok(null);
  }

  /** A secret that is made once and kept in the database; null where there is none to ask. */
  async secret(name: string, make: () => string): Promise<string | null> {
    const kept = await this.#open?.secret(name, make);
    return kept?.ok === true ? kept.value : null;
  }

  /** Which database this is, for other units of the grid; null while it does not answer. */
  id(): Promise<string | null> {
    return this.#open === null ? Promise.resolve("none") : this.secret("database-id", makeId);
  }

  /** Rows of a table and the sum of a column; null where there is no database to ask. */
  async totals(table: string, column: string): Promise<TableTotals | null> {
    const totals = await this.#open?.totals(table, column);
    return totals?.ok === true ? totals.value : null;
  }

  async close(): Promise<void> {
    await this.#embedded?.stop();
    process.off("exit", this.#endEmbedded);
  }
}
