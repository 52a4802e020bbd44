// PostgreSQL database: the pump's port over one connection.
// Owns: the statements on orrery.progress, transactions, connecting again when asked.
// Does not own: retries and backoff (pump.ts), the tables (schema.ts), rows as SQL (statements.ts).
// Invariants (docs/invariants.md):
//   D1. Progress and rows change in one transaction; where a step does not fit, nothing changes.
//   D4. From the moment that COMMIT was sent, only its answer makes an outcome definite.
//   D8. A connection is used only after the database was found to be ours and to fit.
import { assert } from "../base/assert.ts";
import { failpoint } from "../base/failpoints.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { PostgresConnection, workFailure, type AnswerRow } from "./connection.ts";
import type { PostgresAddress } from "./database-url.ts";
import type {
  Database,
  EpochClaim,
  ProgressRow,
  ProgressStep,
  PumpTransaction,
  WriteResult,
} from "./database.ts";
import { prepareSchema } from "./schema.ts";
import { arrayLiteral, statementsFor, type Statement } from "./statements.ts";
import type { Table } from "./table.ts";

// Rows are locked in one order, so that two owners never wait for one another in a circle.
const lockRows = `
  SELECT partition FROM orrery.progress
  WHERE partition = ANY($1::integer[]) ORDER BY partition FOR UPDATE`;

const claimRows = `
  UPDATE orrery.progress AS p SET epoch = c.epoch
  FROM unnest($1::integer[], $2::bigint[]) AS c (partition, epoch)
  WHERE p.partition = c.partition AND p.generation = $3::bigint AND p.epoch < c.epoch`;

const readRows = `
  SELECT partition, generation, seq, epoch, chain FROM orrery.progress
  WHERE partition = ANY($1::integer[])`;

const stepRows = `
  UPDATE orrery.progress AS p SET seq = s.seq, chain = s.chain
  FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])
       AS s (partition, epoch, before, seq, chain)
  WHERE p.partition = s.partition AND p.generation = $6::bigint
    AND p.epoch = s.epoch AND p.seq = s.before
  RETURNING p.partition`;

function numbers(values: readonly number[]): string {
  return arrayLiteral(values.map(String));
}

function toProgressRow(row: AnswerRow): ProgressRow {
  const { partition, generation, seq, epoch, chain } = row;
  const positions = [generation, seq, epoch].map(Number);
  assert(positions.every(Number.isSafeInteger), "positions stay below 2^53");
  return {
    partition: Number(partition),
    generation: Number(generation),
    seq: Number(seq),
    epoch: Number(epoch),
    chain: Buffer.isBuffer(chain) ? chain : null,
    complete: false,
    letters: 0,
    deadLetters: 0,
    parked: [],
  };
}

function stepStatements(steps: readonly ProgressStep[], generation: number): Statement[] {
  const partitions = numbers(steps.map((step) => step.partition));
  const parameters = [
    partitions,
    numbers(steps.map((step) => step.epoch)),
    numbers(steps.map((step) => step.before)),
    numbers(steps.map((step) => step.seq)),
    arrayLiteral(steps.map((step) => `\\x${step.chain.toString("hex")}`)),
    String(generation),
  ];
  return [
    { text: lockRows, parameters: [partitions] },
    { text: stepRows, parameters },
  ];
}

/** Sends statements together; their rows, or the first error, after all of them are answered. */
async function sendAll(
  connection: PostgresConnection,
  statements: readonly Statement[],
): Promise<AnswerRow[][]> {
  const sent = statements.map(({ text, parameters }) => connection.rows(text, parameters));
  const answers = await Promise.allSettled(sent);
  return answers.map((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  });
}

export class PostgresDatabase implements Database {
  readonly #address: PostgresAddress;
  readonly #identity: GridIdentity;
  readonly #tables: readonly Table[];
  readonly #timers: Timers;
  #connection: PostgresConnection | null = null;
  #closed = false;

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
    return this.#use(async (connection) => {
      await sendAll(connection, [
        { text: "BEGIN", parameters: [] },
        { text: lockRows, parameters: [partitions] },
        { text: claimRows, parameters: [partitions, epochs, String(generation)] },
        { text: "COMMIT", parameters: [] },
      ]);
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

  async #transact(
    transaction: PumpTransaction,
    end: "COMMIT" | "ROLLBACK",
  ): Promise<Outcome<WriteResult>> {
    assert(transaction.letters.length === 0, "the schema has no place for letters");
    const rows = await statementsFor(transaction.rows, this.#timers);
    if (!rows.ok) return rows;
    failpoint("pump.write");
    const { steps, generation } = transaction;
    const statements = [
      { text: "BEGIN", parameters: [] },
      ...stepStatements(steps, generation),
      ...rows.value,
    ];
    const commit = { isSent: false };
    const written = await this.#use<WriteResult>(async (connection) => {
      const answers = await sendAll(connection, statements);
      if (answers[2]?.length !== steps.length) {
        await connection.rows("ROLLBACK");
        return ok("misfit");
      }
      if (end === "ROLLBACK") await connection.rows("SET CONSTRAINTS ALL IMMEDIATE");
      commit.isSent = end === "COMMIT";
      await connection.rows(end);
      failpoint("pump.written");
      return ok("written");
    });
    // A constraint that is looked at last refuses the rows at COMMIT, and says so.
    if (written.ok || !commit.isSent || written.failure.code === "ROW_REFUSED") return written;
    return failed("OUTCOME_UNKNOWN", written.failure.message);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#drop();
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
      await this.#drop();
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
      .within(limits.databaseTransactionMs, prepareSchema(connection, this.#identity, this.#tables))
      .catch((error: unknown) => workFailure(error, this.#address));
    if (prepared.ok) return ok(connection);
    await this.#drop();
    return prepared;
  }

  async #drop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.end();
  }
}
