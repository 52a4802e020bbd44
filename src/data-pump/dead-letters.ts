// Dead letters: changes that the database refused for their content, and those that follow them.
// Owns: orrery.dead_letters: what the pump adds, what an operator does with it.
// Does not own: which change becomes a letter (pump.ts), the words of the command line (cli).
// Invariants (docs/invariants.md):
//   D33. For every partition tables and dead letters together are the fold of records 1 to seq. A
//        key with a letter is parked: its row is the fold before the first one, the letters are its
//        changes since. An operator's act holds the partition's progress row, and raises `letters`
//        in it, so that an owner with the parked keys of before writes nothing more.
import { Packr } from "msgpackr";
import { failed, ok, type Failure, type Outcome } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import {
  leavesConnection,
  serverState,
  type AnswerRow,
  type PostgresConnection,
} from "./connection.ts";
import type { DeadLetter, TableRows } from "./database.ts";
import type { OpenDatabase } from "./open-database.ts";
import type { TablesBySpace } from "./rows.ts";
import { checkSchema } from "./schema.ts";
import { arrayLiteral, insideOnly, statementsFor, type Statement } from "./statements.ts";
import type { Table } from "./table.ts";

/** A dead letter as it lies in the database. */
export interface StoredLetter extends DeadLetter {
  readonly id: number;
  /** When it was written, as ISO 8601. */
  readonly at: string;
}

/** One key's letters, and what became of them. */
export interface LetterAct {
  readonly partition: number;
  readonly space: string;
  readonly key: string;
  /** Letters that are gone now. */
  readonly letters: number;
  /** Letters of the key that are left; 0: it is parked no longer. */
  readonly left: number;
}

const reasonLengthMax = 1000;

// Values as in the log, to the last bit: JSON has no 64-bit integers.
const packr = new Packr({ useRecords: false, variableMapSize: true });

const insertLetters = `
  INSERT INTO orrery.dead_letters (partition, position, change, space, key, value, reason)
  SELECT * FROM unnest($2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[],
                       $7::bytea[], $8::text[])
  WHERE ${insideOnly("$1")}`;

const letterColumns = `
  id, partition, position, change, space, key, value, reason,
  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at`;

function nullable(texts: readonly (string | null)[]): string {
  // An element is quoted by the literal of one; NULL must not be.
  return `{${texts.map((text) => (text === null ? "NULL" : arrayLiteral([text]).slice(1, -1))).join(",")}}`;
}

function reasonText(reason: string | null): string | null {
  return reason?.replaceAll("\0", "").slice(0, reasonLengthMax).toWellFormed() ?? null;
}

/** What adds letters to the table, in order, within the transaction that `mark` names. */
export function letterStatements(letters: readonly DeadLetter[], mark: string): Statement[] {
  if (letters.length === 0) return [];
  const values = letters.map(({ value }) => {
    return value === null ? null : `\\x${packr.pack(value).toString("hex")}`;
  });
  const parameters = [
    mark,
    arrayLiteral(letters.map(({ partition }) => String(partition))),
    arrayLiteral(letters.map(({ position }) => String(position))),
    arrayLiteral(letters.map(({ change }) => String(change))),
    arrayLiteral(letters.map(({ space }) => space)),
    arrayLiteral(letters.map(({ key }) => key)),
    nullable(values),
    nullable(letters.map(({ reason }) => reasonText(reason))),
  ];
  return [{ text: insertLetters, parameters }];
}

function toLetter(row: AnswerRow): StoredLetter {
  const { value, reason } = row;
  return {
    id: Number(row["id"]),
    partition: Number(row["partition"]),
    position: Number(row["position"]),
    change: Number(row["change"]),
    space: String(row["space"]),
    key: String(row["key"]),
    value: Buffer.isBuffer(value) ? (packr.unpack(value) as Value) : null,
    reason: typeof reason === "string" ? reason : null,
    at: String(row["at"]),
  };
}

/** The letters of one transaction of an operator: how they go back to their table. */
function asRows(table: Table, { key, value }: DeadLetter): TableRows {
  const rows = { table, upserts: [], deletes: [], appends: [] };
  if (table.kind === "append") {
    return value === null ? rows : { ...rows, appends: [[key, value]] };
  }
  return value === null ? { ...rows, deletes: [key] } : { ...rows, upserts: [[key, value]] };
}

/** What an act does within its transaction; the letters that it takes away. */
type ActWork = (
  connection: PostgresConnection,
  mark: string,
  letter: StoredLetter,
) => Promise<Outcome<number[]>>;

/** The row of a letter's partition: while it is held, no pump writes there. */
const lockRow = `
  SELECT 1 AS row FROM orrery.progress
  WHERE partition = (SELECT partition FROM orrery.dead_letters WHERE id = $1::bigint)
  FOR UPDATE`;

/**
 * All rows, without a look at any: at the isolation levels where what is read is of the first look,
 * nothing is overtaken by a pump then.
 */
const lockTable = "LOCK TABLE orrery.progress IN EXCLUSIVE MODE";

/** Other keys may fare better: one was refused, or has no table or letters any more. */
function isOfKey({ code }: Failure): boolean {
  return code === "ROW_REFUSED" || code === "INPUT_INVALID";
}

/** Another transaction came first: this one did nothing, and can be done again. */
function isConflict(error: unknown): boolean {
  return serverState(error)?.startsWith("40") === true;
}

/**
 * What an operator can do about dead letters. Calls are made one at a time. An act fails with
 * OUTCOME_UNKNOWN where the connection is lost in its COMMIT: then it is done once more.
 */
export class DeadLetters {
  readonly #database: OpenDatabase;
  readonly #tables: TablesBySpace;
  readonly #timers: Timers;
  #marks = 0;

  constructor(options: { database: OpenDatabase; tables: TablesBySpace; timers: Timers }) {
    this.#database = options.database;
    this.#tables = options.tables;
    this.#timers = options.timers;
  }

  /** How many there are, and the newest of them, newest first. */
  list(count: number): Promise<Outcome<{ total: number; letters: StoredLetter[] }>> {
    return this.#use(async (connection) => {
      const [all] = await connection.rows("SELECT count(*) AS total FROM orrery.dead_letters");
      const rows = await connection.rows(
        `SELECT ${letterColumns} FROM orrery.dead_letters ORDER BY id DESC LIMIT $1::integer`,
        [String(count)],
      );
      return ok({ total: Number(all?.["total"]), letters: rows.map(toLetter) });
    });
  }

  /** INPUT_INVALID where there is none with that number. */
  show(id: number): Promise<Outcome<StoredLetter>> {
    return this.#use((connection) => readLetter(connection, id));
  }

  /**
   * Applies all letters of that one's key to its table, in order, and takes them away: its later
   * changes go to the table again. ROW_REFUSED where one of them is refused again: then nothing is
   * changed.
   */
  retry(id: number): Promise<Outcome<LetterAct>> {
    return this.#act(id, async (connection, mark, letter) => {
      const table = this.#tables.get(letter.space);
      if (table === undefined) {
        return failed("INPUT_INVALID", `the application has no table for space ${letter.space}`);
      }
      const letters = await readKey(connection, letter);
      for (const one of letters) {
        const applied = await this.#apply(connection, mark, table, one);
        if (!applied.ok) return applied;
      }
      return ok(letters.map((one) => one.id));
    });
  }

  /**
   * Retries every key that has letters; each by itself. The oldest letter's key comes first. What
   * is no fault of a key (an unreachable database, an unknown outcome) is the last of its acts.
   */
  async retryAll(): Promise<Outcome<{ keys: number; acts: Outcome<LetterAct>[] }>> {
    const keys = await this.#use(async (connection) => {
      const rows = await connection.rows(
        `SELECT min(id) AS id FROM orrery.dead_letters GROUP BY partition, space, key ORDER BY 1`,
      );
      return ok(rows.map(({ id }) => Number(id)));
    });
    if (!keys.ok) return keys;
    const acts: Outcome<LetterAct>[] = [];
    for (const id of keys.value) {
      const act = await this.retry(id);
      acts.push(act);
      if (!act.ok && !isOfKey(act.failure)) break;
    }
    return ok({ keys: keys.value.length, acts });
  }

  /**
   * Takes one letter away: its change will never be in the table. Where it was the last one of its
   * key, the key's later changes go to the table again.
   */
  drop(id: number): Promise<Outcome<LetterAct>> {
    return this.#act(id, (_connection, _mark, letter) => Promise.resolve(ok([letter.id])));
  }

  async #apply(
    connection: PostgresConnection,
    mark: string,
    table: Table,
    letter: StoredLetter,
  ): Promise<Outcome<null>> {
    const refused = (why: string): Outcome<never> => {
      return failed("ROW_REFUSED", `dead letter ${letter.id} is refused again: ${why}`);
    };
    const statements = await statementsFor([asRows(table, letter)], mark, this.#timers);
    if (!statements.ok) return refused(statements.failure.message);
    try {
      for (const { text, parameters } of statements.value) await connection.rows(text, parameters);
      await connection.rows("SET CONSTRAINTS ALL IMMEDIATE"); // not only at COMMIT
      return ok(null);
    } catch (error) {
      const isRefusal = leavesConnection(serverState(error) ?? "") && !isConflict(error);
      if (!isRefusal || !(error instanceof Error)) throw error;
      return refused(error.message);
    }
  }

  /** One transaction of an operator, which takes away the letters that `work` names. */
  async #act(id: number, work: ActWork): Promise<Outcome<LetterAct>> {
    // Outside of the work: the time limit of `use` may end it in the middle of COMMIT.
    const at = { commit: false };
    const outcome = await this.#use(async (connection) => {
      try {
        return await this.#attempt(connection, id, work, "", at);
      } catch (error) {
        if (!isConflict(error)) throw error;
        at.commit = false;
      }
      await connection.command("ROLLBACK");
      return this.#attempt(connection, id, work, lockTable, at);
    });
    if (outcome.ok || !at.commit) return outcome;
    const advice = `do it once more: if it was done, there is no dead letter ${String(id)}`;
    return failed("OUTCOME_UNKNOWN", `${outcome.failure.message}; ${advice}`);
  }

  async #attempt(
    connection: PostgresConnection,
    id: number,
    work: ActWork,
    lock: string,
    at: { commit: boolean },
  ): Promise<Outcome<LetterAct>> {
    const mark = String(++this.#marks);
    await connection.command(`BEGIN; SET LOCAL orrery.transaction = '${mark}'; ${lock}`);
    await connection.rows(lockRow, [String(id)]);
    const letter = await readLetter(connection, id);
    if (!letter.ok) return letter;
    const { partition, space, key } = letter.value;
    const gone = await work(connection, mark, letter.value);
    if (!gone.ok) return gone; // closing the connection takes everything back
    const removed = await connection.rows(
      "DELETE FROM orrery.dead_letters WHERE id = ANY($1::bigint[]) RETURNING id",
      [arrayLiteral(gone.value.map(String))],
    );
    await connection.rows(
      "UPDATE orrery.progress SET letters = letters + 1 WHERE partition = $1::integer",
      [String(partition)],
    );
    const left = await readKey(connection, letter.value);
    at.commit = true;
    await connection.command("COMMIT");
    const counts = { letters: removed.length, left: left.length };
    return ok({ partition, space, key, ...counts });
  }

  /** Over a database whose schema is this version's. */
  #use<T>(work: (connection: PostgresConnection) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    return this.#database.use(async (connection) => {
      const fits = await checkSchema(connection, [...this.#tables.values()]);
      return fits.ok ? work(connection) : fits;
    });
  }
}

async function readLetter(
  connection: PostgresConnection,
  id: number,
): Promise<Outcome<StoredLetter>> {
  const text = `SELECT ${letterColumns} FROM orrery.dead_letters WHERE id = $1::bigint`;
  const [row] = await connection.rows(text, [String(id)]);
  if (row !== undefined) return ok(toLetter(row));
  return failed("INPUT_INVALID", `there is no dead letter ${String(id)}`);
}

/** All letters of that one's key, in the order of their changes. */
async function readKey(
  connection: PostgresConnection,
  { partition, space, key }: StoredLetter,
): Promise<StoredLetter[]> {
  const rows = await connection.rows(
    `SELECT ${letterColumns} FROM orrery.dead_letters
     WHERE partition = $1::integer AND space = $2 AND key = $3 ORDER BY id`,
    [String(partition), space, key],
  );
  return rows.map(toLetter);
}
