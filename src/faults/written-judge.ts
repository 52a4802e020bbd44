// Written judge: what the database holds of the written application, read in one snapshot and
// compared with the ledger of its client: for each partition the tables are the fold of numbers 1
// to n, with each effect once, also in a table that has no key and in a sum that a trigger keeps.
// Owns: the trigger and its table, the reading, the verdict. Does not own: the ledger.
import { unwrap } from "../base/failure.ts";
import { systemTimers } from "../base/timers.ts";
import { PostgresConnection, type AnswerRow } from "../data-pump/connection.ts";
import { parseDatabaseUrl } from "../data-pump/database-url.ts";
import { latestRows } from "./written-application.ts";
import type { EntryRow, WrittenLedger } from "./written-ledger.ts";

/** Rows that one statement gives. */
const sliceRows = 50_000;

/** Each row that is written adds to its partition's sum. */
const books = [
  "CREATE TABLE sums (partition integer PRIMARY KEY, rows bigint, total bigint)",
  `CREATE FUNCTION add_to_sums() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO sums VALUES (NEW.partition, 1, NEW.number)
     ON CONFLICT (partition) DO UPDATE
     SET rows = sums.rows + 1, total = sums.total + EXCLUDED.total;
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER sums AFTER INSERT ON entries
   FOR EACH ROW EXECUTE FUNCTION add_to_sums()`,
  "CREATE INDEX entries_in_order ON entries (partition, number)",
];

export class WrittenJudge {
  readonly #url: string;
  readonly #partitions: number;

  constructor(url: string, partitions: number) {
    this.#url = url;
    this.#partitions = partitions;
  }

  /** Makes the trigger and what it needs, where the tables are there and empty. */
  async keepSums(): Promise<void> {
    await this.run(...books);
  }

  /** Runs statements one after the other on a connection of its own; the rows of the last. */
  async run(...statements: readonly string[]): Promise<AnswerRow[]> {
    return this.#connected(async (connection) => {
      let rows: AnswerRow[] = [];
      for (const statement of statements) rows = await connection.rows(statement);
      return rows;
    });
  }

  /** Whether all numbers up to these are written. False also where the database is away. */
  async holds(highest: ReadonlyMap<number, number>): Promise<boolean> {
    const rows = await this.run("SELECT partition, last FROM numbers").catch(() => []);
    const last = new Map(rows.map((row) => [Number(row["partition"]), Number(row["last"])]));
    return [...highest].every(([partition, number]) => (last.get(partition) ?? 0) >= number);
  }

  /** What is wrong with what the database holds now; nothing: it is a fold, and the ledger's. */
  async problems(
    ledger: WrittenLedger,
    partitions: readonly number[] = Array.from({ length: this.#partitions }, (_, each) => each),
  ): Promise<string[]> {
    return this.#connected(async (connection) => {
      await connection.rows("BEGIN ISOLATION LEVEL REPEATABLE READ");
      const problems: string[] = [];
      for (const partition of partitions) {
        const rows = await entriesOf(connection, partition);
        problems.push(...ledger.problems(partition, rows));
        const wrong = await this.#wrongFold(connection, partition, rows.length);
        if (wrong !== null) problems.push(`partition ${partition}, ${rows.length} rows: ${wrong}`);
      }
      return problems;
    });
  }

  /** What else the tables say where a partition has `count` entries. */
  async #wrongFold(
    connection: PostgresConnection,
    partition: number,
    count: number,
  ): Promise<string | null> {
    const said = await connection.rows(
      `SELECT (SELECT last FROM numbers WHERE partition = $1) AS last,
              (SELECT rows FROM sums WHERE partition = $1::integer) AS rows,
              (SELECT total FROM sums WHERE partition = $1::integer) AS total,
              (SELECT string_agg(number::text, ' ' ORDER BY number)
               FROM latest WHERE partition = $1::integer) AS latest`,
      [String(partition)],
    );
    const { last, rows, total, latest } = said[0] ?? {};
    const from = Math.max(1, count - latestRows + 1);
    const expected = Array.from({ length: count - from + 1 }, (_, index) => from + index);
    if (Number(last) !== count) return `the last number is ${String(last)}`;
    if (Number(rows) !== count) return `the trigger counted ${String(rows)} rows`;
    if (Number(total) !== (count * (count + 1)) / 2) return `the trigger summed ${String(total)}`;
    if ((latest ?? "") !== expected.join(" ")) return `the latest are ${String(latest)}`;
    return null;
  }

  async #connected<T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const address = unwrap(parseDatabaseUrl(this.#url));
    if (address.kind !== "postgres") throw new Error("not the address of a server");
    const connection = unwrap(await PostgresConnection.open(address, systemTimers));
    try {
      return await work(connection);
    } finally {
      await connection.end();
    }
  }
}

/** In a transaction. */
async function entriesOf(connection: PostgresConnection, partition: number): Promise<EntryRow[]> {
  const rows: EntryRow[] = [];
  await connection.rows(
    `DECLARE entries_in_order CURSOR FOR
     SELECT id, number FROM entries WHERE partition = ${partition} ORDER BY number, id`,
  );
  for (let isWhole = false; !isWhole;) {
    const slice = await connection.rows(`FETCH ${sliceRows} FROM entries_in_order`);
    for (const { id, number } of slice) rows.push({ id: String(id), number: Number(number) });
    isWhole = slice.length < sliceRows;
  }
  await connection.rows("CLOSE entries_in_order");
  return rows;
}
