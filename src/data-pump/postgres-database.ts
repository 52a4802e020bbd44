// PostgreSQL database: the pump's port over one connection.
// Owns: the statements on orrery.progress, the order of transactions, connecting again when asked.
// Does not own: retries and backoff (pump.ts), the tables (schema.ts), rows as SQL (statements.ts),
// what became of a transaction (sql-transaction.ts).
// Invariants (docs/invariants.md):
//   D1. Progress, rows and dead letters change in one transaction; where a step does not fit,
//       nothing changes: the step comes first, and fails the transaction inside PostgreSQL.
//   D4. From the moment that COMMIT was sent, only its answer makes an outcome definite.
//   D8. A connection is used only after the database was found to be ours and to fit, and rows are
//       written only while their tables are as they were then.
//   D33. Tables and dead letters together are the fold of records 1 to seq: the step names the
//        version of the letters that was reckoned with.
// A transaction is sent in one go, and the next one behind it: each costs one round trip, and two
// of them share it.
import { assert } from "../base/assert.ts";
import { failpoint } from "../base/failpoints.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import {
  leavesConnection,
  PostgresConnection,
  serverState,
  workFailure,
  type AnswerRow,
} from "./connection.ts";
import type { PostgresAddress } from "./database-url.ts";
import {
  lettersListed,
  type Database,
  type EpochClaim,
  type ListedLetter,
  type ParkedKey,
  type ProgressRow,
  type ProgressStep,
  type PumpTransaction,
  type WriteResult,
} from "./database.ts";
import { letterStatements } from "./dead-letters.ts";
import { misfitState } from "./migrations.ts";
import { checkSchema, prepareSchema } from "./schema.ts";
import { sendTransaction, type TransactionEnd } from "./sql-transaction.ts";
import { arrayLiteral, insideOnly, statementsFor, type Statement } from "./statements.ts";
import { lockText, namesOf, shapeOf, unchanged } from "./table-shape.ts";
import type { Table } from "./table.ts";

// Rows are locked in one order, so that two owners never wait for one another in a circle.
const lockRows = `
  SELECT partition FROM orrery.progress
  WHERE partition = ANY($1::integer[]) ORDER BY partition FOR UPDATE`;

const claimRows = `
  UPDATE orrery.progress AS p SET epoch = c.epoch, complete = false
  FROM unnest($1::integer[], $2::bigint[]) AS c (partition, epoch)
  WHERE p.partition = c.partition AND p.generation = $3::bigint AND p.epoch < c.epoch`;

// In one statement: the version of the letters and the parked keys belong together.
const readRows = `
  SELECT p.partition, p.generation, p.seq, p.epoch, p.chain, p.complete, p.letters,
         d.dead_letters, d.parked, n.newest
  FROM orrery.progress AS p LEFT JOIN LATERAL (
    SELECT count(*) AS dead_letters,
           jsonb_agg(DISTINCT jsonb_build_array(l.space, l.key))::text AS parked
    FROM orrery.dead_letters AS l WHERE l.partition = p.partition) AS d ON true
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(m.ms, m.position, m.change, m.space, m.key, m.reason)
                     ORDER BY m.id DESC)::text AS newest
    FROM (SELECT *, floor(extract(epoch FROM at) * 1000)::bigint AS ms
          FROM orrery.dead_letters AS l WHERE l.partition = p.partition
          ORDER BY id DESC LIMIT ${String(lettersListed)}) AS m) AS n ON true
  WHERE p.partition = ANY($1::integer[])`;

const stepRows = `
  WITH stepped AS (
    UPDATE orrery.progress AS p SET seq = s.seq, chain = s.chain, complete = s.complete
    FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[],
                $7::bigint[], $8::boolean[])
         AS s (partition, epoch, before, seq, chain, letters, complete)
    WHERE p.partition = s.partition AND p.generation = $9::bigint
      AND p.epoch = s.epoch AND p.letters = s.letters AND p.seq = s.before
    RETURNING p.partition)
  SELECT orrery.require(count(*) = $10::integer) AND ${insideOnly("$1")} AS fits,
         ${unchanged("$11", "$12")} AS unchanged
  FROM stepped`;

function numbers(values: readonly number[]): string {
  return arrayLiteral(values.map(String));
}

function toParked(cell: AnswerRow[string]): ParkedKey[] {
  if (typeof cell !== "string") return [];
  return (JSON.parse(cell) as [string, string][]).map(([space, key]) => ({ space, key }));
}

function toNewest(partition: number, cell: AnswerRow[string]): ListedLetter[] {
  if (typeof cell !== "string") return [];
  const listed = JSON.parse(cell) as [number, number, number, string, string, string | null][];
  return listed.map(([timeMs, position, change, space, key, reason]) => {
    return { timeMs, partition, position, change, space, key, reason };
  });
}

function toProgressRow(row: AnswerRow): ProgressRow {
  const { partition, generation, seq, epoch, chain, letters } = row;
  const positions = [generation, seq, epoch, letters].map(Number);
  assert(positions.every(Number.isSafeInteger), "positions stay below 2^53");
  return {
    partition: Number(partition),
    generation: Number(generation),
    seq: Number(seq),
    epoch: Number(epoch),
    chain: Buffer.isBuffer(chain) ? chain : null,
    complete: row["complete"] === true,
    letters: Number(letters),
    deadLetters: Number(row["dead_letters"]),
    parked: toParked(row["parked"] ?? null),
    newest: toNewest(Number(partition), row["newest"] ?? null),
  };
}

function stepStatements(
  steps: readonly ProgressStep[],
  generation: number,
  mark: number,
  tables: { readonly known: readonly Table[]; readonly shape: string },
): Statement[] {
  const partitions = numbers(steps.map((step) => step.partition));
  const parameters = [
    String(mark),
    partitions,
    numbers(steps.map((step) => step.epoch)),
    numbers(steps.map((step) => step.before)),
    numbers(steps.map((step) => step.seq)),
    arrayLiteral(steps.map((step) => `\\x${step.chain.toString("hex")}`)),
    numbers(steps.map((step) => step.letters)),
    arrayLiteral(steps.map((step) => String(step.complete))),
    String(generation),
    String(steps.length),
    namesOf(tables.known),
    tables.shape,
  ];
  return [
    { text: lockRows, parameters: [partitions] },
    { text: stepRows, parameters },
  ];
}

export class PostgresDatabase implements Database {
  readonly #address: PostgresAddress;
  readonly #identity: GridIdentity;
  readonly #tables: readonly Table[];
  readonly #timers: Timers;
  #connection: PostgresConnection | null = null;
  /** Of the tables, when they were found to fit. */
  #shape = "";
  #closed = false;
  #marks = 0;
  /** Resolves when the transaction given last is on its way, or cannot be sent. */
  #sent: Promise<void> = Promise.resolve();

  constructor(options: {
    address: PostgresAddress;
    identity: GridIdentity;
    tables: readonly Table[];
    timers: Timers;
  }) {
    this.#address = options.address;
    this.#identity = options.identity;
    this.#tables = options.tables;
    this.#timers = options.timers;
  }

  claim(generation: number, claims: readonly EpochClaim[]): Promise<Outcome<ProgressRow[]>> {
    const partitions = numbers(claims.map(({ partition }) => partition));
    const epochs = numbers(claims.map(({ epoch }) => epoch));
    const statements = [
      { text: lockRows, parameters: [partitions] },
      { text: claimRows, parameters: [partitions, epochs, String(generation)] },
    ];
    return this.#use(async (connection) => {
      const claimed = await sendTransaction(connection, ++this.#marks, statements, "COMMIT");
      if (claimed.kind !== "done") throw claimed.error;
      const rows = await connection.rows(readRows, [partitions]);
      failpoint("pump.claimed");
      return ok(rows.map(toProgressRow));
    });
  }

  read(partitions: readonly number[]): Promise<Outcome<ProgressRow[]>> {
    return this.#use(async (connection) => {
      const rows = await connection.rows(readRows, [numbers(partitions)]);
      return ok(rows.map(toProgressRow));
    });
  }

  write(transaction: PumpTransaction): Promise<Outcome<WriteResult>> {
    return this.#transact(transaction, "COMMIT");
  }

  rehearse(transaction: PumpTransaction): Promise<Outcome<WriteResult>> {
    return this.#transact(transaction, "ROLLBACK");
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#drop(this.#connection);
  }

  /** Forms a transaction and sends it behind the one before; what became of it. */
  async #transact(
    transaction: PumpTransaction,
    end: "COMMIT" | "ROLLBACK",
  ): Promise<Outcome<WriteResult>> {
    const before = this.#sent;
    const { promise, resolve: onSent } = Promise.withResolvers<undefined>();
    this.#sent = promise;
    try {
      const mark = ++this.#marks;
      const { steps, generation, letters } = transaction;
      const rows = await statementsFor(transaction.rows, String(mark), this.#timers);
      await before;
      if (!rows.ok) return rows;
      const connected = await this.#connect();
      if (!connected.ok) return connected;
      const lock = rows.value.length > 0 ? lockText(this.#tables) : "";
      const statements = [
        ...stepStatements(steps, generation, mark, { known: this.#tables, shape: this.#shape }),
        ...rows.value,
        ...letterStatements(letters, String(mark)),
      ];
      if (end === "ROLLBACK") {
        statements.push({ text: "SET CONSTRAINTS ALL IMMEDIATE", parameters: [] });
      }
      failpoint("pump.write");
      const sending = () => {
        const sent = sendTransaction(connected.value, mark, statements, end, lock);
        onSent(undefined);
        return sent;
      };
      return await this.#send(connected.value, end, sending);
    } finally {
      onSent(undefined);
    }
  }

  async #send(
    connection: PostgresConnection,
    end: "COMMIT" | "ROLLBACK",
    send: () => Promise<TransactionEnd>,
  ): Promise<Outcome<WriteResult>> {
    try {
      const ended = await connection.within(limits.databaseTransactionMs, send());
      switch (ended.kind) {
        case "done":
          failpoint("pump.written");
          return ok("written");
        case "refused": {
          const state = serverState(ended.error) ?? "";
          if (state === misfitState) return ok("misfit");
          // Else it may be of no more use, or the tables have to be looked at again.
          if (!leavesConnection(state)) await this.#drop(connection);
          return workFailure(ended.error, this.#address);
        }
        case "unknown":
          throw ended.error;
      }
    } catch (error) {
      await this.#drop(connection);
      const failure = workFailure(error, this.#address);
      if (end === "ROLLBACK" || failure.ok) return failure;
      return failed("OUTCOME_UNKNOWN", failure.failure.message);
    }
  }

  /** Connects where need be, and works within the time limit. An error ends the connection. */
  async #use<T>(
    work: (connection: PostgresConnection) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const connected = await this.#connect();
    if (!connected.ok) return connected;
    const connection = connected.value;
    try {
      return await connection.within(limits.databaseTransactionMs, work(connection));
    } catch (error) {
      await this.#drop(connection);
      return workFailure(error, this.#address);
    }
  }

  async #connect(): Promise<Outcome<PostgresConnection>> {
    if (this.#closed) return failed("DATABASE_UNREACHABLE", "the connection was closed");
    if (this.#connection !== null) return ok(this.#connection);
    const opened = await PostgresConnection.open(this.#address, this.#timers);
    if (!opened.ok) return opened;
    const connection = opened.value;
    this.#connection = connection;
    const prepared = await connection
      .within(limits.databaseTransactionMs, this.#prepare(connection))
      .catch((error: unknown) => workFailure(error, this.#address));
    if (prepared.ok) return ok(connection);
    await this.#drop(connection);
    return prepared;
  }

  async #prepare(connection: PostgresConnection): Promise<Outcome<null>> {
    const prepared = await prepareSchema(connection, this.#identity, this.#tables);
    if (!prepared.ok) return prepared;
    this.#shape = await shapeOf(connection, this.#tables);
    return checkSchema(connection, this.#tables); // as they are by now
  }

  /** Ends a connection; another one may have taken its place already. */
  async #drop(connection: PostgresConnection | null): Promise<void> {
    if (this.#connection === connection) this.#connection = null;
    await connection?.end();
  }
}
