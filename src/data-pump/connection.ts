// Connection: one connection to PostgreSQL for its whole life.
// Owns: the driver's options, its sockets, what its errors mean.
// Does not own: when to connect again (the pump's backoff decides), any statement.
// The driver (postgres.js) connects again by itself, at once and without end, when a server
// hangs up early; and a statement of a broken transaction would then run alone on the new
// connection. So each instance gets one socket and never another: what breaks, stays broken.
import { connect, type Socket } from "node:net";
import postgres from "postgres";
import { failure, failed, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { withDeadline, type Timers } from "../base/timers.ts";
import type { PostgresAddress } from "./database-url.ts";

/** A column of an answer: text for all but booleans, small integers and bytes. */
export type Cell = string | number | boolean | Buffer | null;
export type AnswerRow = Readonly<Record<string, Cell>>;

/** Room for what may be on its way at once, as text, which may be longer than its records. */
const sendBufferBytes = 8 * limits.pumpTransactionBytesMax;

function openSocket(address: PostgresAddress, taken: (socket: Socket) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    // The driver waits for all answers where a socket says that it has enough: a transaction is
    // sent whole, and the next one behind it.
    const options = { host, port, noDelay: true, writableHighWaterMark: sendBufferBytes };
    const socket = connect(options);
    taken(socket);
    const onClose = (): void => reject(new Error("the connection was closed"));
    socket.once("error", reject);
    socket.once("close", onClose);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.off("close", onClose);
      // The driver looks here for the name that a certificate must have.
      resolve(Object.assign(socket, { host: address.host }));
    });
  });
}

export class PostgresConnection {
  readonly #sql: postgres.Sql;
  readonly #timers: Timers;
  readonly #socket: { current: Socket | null };

  private constructor(sql: postgres.Sql, socket: { current: Socket | null }, timers: Timers) {
    this.#sql = sql;
    this.#socket = socket;
    this.#timers = timers;
  }

  /** Connects and logs in. DATABASE_UNREACHABLE or DATABASE_REFUSED, with what to do. */
  static async open(
    address: PostgresAddress,
    timers: Timers,
  ): Promise<Outcome<PostgresConnection>> {
    const socket: { current: Socket | null } = { current: null };
    const options = {
      max: 1,
      idle_timeout: 0,
      max_lifetime: null,
      connect_timeout: 0, // deadlines are ours
      fetch_types: false,
      onnotice: () => undefined,
      // What waits for its turn is refused by the driver only when it is told to end.
      onclose: () => void sql.end({ timeout: 0 }),
      socket: () => {
        if (socket.current !== null) return Promise.reject(new Error("the connection is closed"));
        return openSocket(address, (opened) => (socket.current = opened));
      },
      connection: {
        application_name: "orrery",
        // How values are shown as text (row-values.ts), whatever the server was told.
        DateStyle: "ISO, YMD",
        TimeZone: "UTC",
        bytea_output: "hex",
        extra_float_digits: 1,
        statement_timeout: limits.databaseTransactionMs,
        // An owner that sleeps in the middle of a transaction must not hold its rows for long.
        idle_in_transaction_session_timeout: limits.databaseTransactionMs,
      },
    };
    const sql: postgres.Sql = postgres(address.url, options);
    const connection = new PostgresConnection(sql, socket, timers);
    try {
      await connection.within(limits.databaseConnectMs, connection.rows("SELECT 1"));
      return ok(connection);
    } catch (error) {
      await connection.end();
      return { ok: false, failure: connectFailure(error, address) };
    }
  }

  /** Runs one statement; its rows. Statements given together are sent together, in order. */
  async rows(text: string, parameters: readonly string[] = []): Promise<AnswerRow[]> {
    return [...(await this.#sql.unsafe<AnswerRow[]>(text, [...parameters], { prepare: true }))];
  }

  /** Runs one statement without parameters; each row as the list of its columns. */
  async lists(text: string): Promise<Cell[][]> {
    return [...(await this.#sql.unsafe<AnswerRow[]>(text, [], { prepare: true }).values())];
  }

  /**
   * Runs a text without parameters, never prepared; how PostgreSQL calls what it did: "COMMIT", or
   * "ROLLBACK" where a statement before had failed.
   */
  async command(text: string): Promise<string> {
    const done = await this.#sql.unsafe(text).simple();
    return done.command;
  }

  /** `work`, or an error after `deadlineMs`: then the connection is cut. */
  async within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
    const late = Symbol("late");
    const outcome = await withDeadline<T | symbol>(this.#timers, deadlineMs, work, () => late);
    if (outcome !== late) return outcome as T;
    this.#socket.current?.destroy();
    throw new Error(`no answer within ${deadlineMs} ms`);
  }

  /** Closes it; statements under way fail. */
  async end(): Promise<void> {
    await this.#sql.end({ timeout: 0 });
    this.#socket.current?.destroy();
  }
}

function describe(error: unknown): { code: string; text: string } {
  if (!(error instanceof Error)) return { code: "", text: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { code, text: error.message === "" ? code : error.message };
}

/** Wrong user, password, database or right: asking again does not help. */
function isRefusal(code: string): boolean {
  return /^(?:28|3D|42501$|AUTH_TYPE|SASL_)/.test(code);
}

function connectFailure(error: unknown, address: PostgresAddress): Failure {
  const { code, text } = describe(error);
  if (isRefusal(code)) {
    const advice = "check user, password and database name in its address";
    return failure("DATABASE_REFUSED", `${address.shown} refuses us: ${text}; ${advice}`);
  }
  const advice = "start it, or check its address";
  return failure("DATABASE_UNREACHABLE", `${address.shown} cannot be reached: ${text}; ${advice}`);
}

/** The state that the server gave with its error; null: the error is not the server's. */
export function serverState(error: unknown): string | null {
  return error instanceof postgres.PostgresError ? error.code : null;
}

/**
 * About the content of rows: bad data, a constraint, the check of a view, what is too large for an
 * index, and what a trigger says without a code of its own (RAISE EXCEPTION).
 */
function isAboutContent(state: string): boolean {
  return /^(?:22|23|44|54|P0001$)/.test(state);
}

/** After it the connection is as good as before: about content, or about who came first. */
export function leavesConnection(state: string): boolean {
  return isAboutContent(state) || state.startsWith("40");
}

/**
 * What an error in the middle of work means, nothing being applied: ROW_REFUSED where it is about
 * the content of rows, DATABASE_MISFIT about the schema, else the database counts as away.
 */
export function workFailure(error: unknown, address: PostgresAddress): Outcome<never> {
  const { code, text } = describe(error);
  const what = `${text}${place(error)}`;
  if (isAboutContent(code)) return failed("ROW_REFUSED", what);
  if (isRefusal(code)) return failed("DATABASE_REFUSED", `${address.shown} refuses us: ${text}`);
  if (/^(?:42|3F)/.test(code)) {
    return failed("DATABASE_MISFIT", `${address.shown} was changed by hand: ${what}`);
  }
  return failed("DATABASE_UNREACHABLE", `${address.shown} does not work: ${text}`);
}

function place(error: unknown): string {
  if (!(error instanceof postgres.PostgresError)) return "";
  const named = [error.table_name, error.column_name, error.constraint_name].filter(Boolean);
  const where = named.length > 0 ? ` (${named.join(", ")})` : "";
  return `${where}${error.detail === undefined ? "" : `: ${error.detail}`}`;
}
