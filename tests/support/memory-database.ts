// A connection to a database in memory, whose faults are chosen by the test, call by call.
// Owns: what becomes of a call. Does not own: what the server holds (database-server.ts).
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import { delay, type Timers } from "../../src/base/timers.ts";
import type {
  Database,
  EpochClaim,
  ProgressRow,
  PumpTransaction,
  WriteResult,
} from "../../src/data-pump/database.ts";
import type { DatabaseServer } from "../../src/simulation/database-server.ts";

/**
 * What becomes of one call. `away`: nothing happens, and the caller knows. Of a write only:
 * `lost`, `applied` and `late`: the caller does not know; it never happens, it happened, or it
 * happens later. `refused`: the content of a row.
 */
export type Fault = "none" | "away" | "lost" | "applied" | "late" | "refused";

export type CallName = "claim" | "read" | "write" | "rehearse";

export interface MemoryDatabaseOptions {
  readonly server: DatabaseServer;
  readonly timers: Timers;
  readonly fault?: (call: CallName, transaction: PumpTransaction | null) => Fault;
  readonly delayMs?: () => number;
}

/** One lane's connection to a server in memory. */
export class MemoryDatabase implements Database {
  readonly calls: CallName[] = [];
  underWay = 0;
  mostUnderWay = 0;
  #last: Promise<void> = Promise.resolve();
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
        return server.attempt(transaction);
      case "applied":
        server.attempt(transaction);
        break;
      case "late":
        timers.after(this.#delayMs() * 20, () => server.attempt(transaction));
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

  async rehearse(transaction: PumpTransaction): Promise<Outcome<WriteResult>> {
    const fault = await this.#begin("rehearse", transaction);
    if (fault === "refused") return failed("ROW_REFUSED", "a row has content that cannot be");
    if (fault !== "none") return failed("DATABASE_UNREACHABLE", "the database is away");
    const { server } = this.#options;
    return server.attempt(transaction, false);
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
    // One connection: calls take effect in the order in which they were made.
    const turn = this.#last.then(() => delay(this.#options.timers, this.#delayMs()));
    this.#last = turn;
    this.underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    await turn;
    this.underWay--;
    return fault;
  }

  #delayMs(): number {
    return this.#options.delayMs?.() ?? 1;
  }
}
