// Rival PostgreSQL: the reservation as one call of one function, in one transaction, as one would
// write it with care; and many of them in one transaction, as Orrery journals them.
// Owns: tables, functions, the pool. Does not own: the server (src/faults/postgres-server.ts).
// The update of the budget holds the row until the transaction is over, so whoever asks for the
// same campaign waits for it: that is what makes it right, and what a hot campaign costs.
import postgres from "postgres";
import { assert, must } from "../src/base/assert.ts";
import {
  campaignsOf,
  capMax,
  type Books,
  type Kept,
  type Reserver,
  type ReserverCounts,
  type Shape,
  type Verdict,
  type Wanted,
} from "./rivals-plan.ts";

/**
 * `one by one`: each is a transaction of its own, on 16 connections. `batches`: what is asked for
 * while a transaction is out forms the next one, on one connection: two that overlap could wait for
 * one another's rows without end.
 */
export type PostgresManner = "one by one" | "batches";

const connectionsOf: Readonly<Record<PostgresManner, number>> = { "one by one": 16, batches: 1 };

type Answer = (verdict: Verdict | Error) => void;

interface Asked {
  readonly wanted: Wanted;
  readonly answer: Answer;
}

const tables = `
DROP SCHEMA IF EXISTS rivals CASCADE;
CREATE SCHEMA rivals;
CREATE TABLE rivals.budget (campaign text PRIMARY KEY, left_micros bigint NOT NULL)
  WITH (fillfactor = 50);
CREATE TABLE rivals.frequency (
  campaign text, user_id text, count integer NOT NULL, PRIMARY KEY (campaign, user_id)
);
CREATE TABLE rivals.reservation (
  id text PRIMARY KEY, user_id text NOT NULL, campaign text NOT NULL, price_micros bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION rivals.reserve(
  wanted_id text, wanted_user text, wanted_campaign text, price bigint, cap integer
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO rivals.frequency AS seen (campaign, user_id, count)
    VALUES (wanted_campaign, wanted_user, 1)
    ON CONFLICT (campaign, user_id) DO UPDATE SET count = seen.count + 1 WHERE seen.count < cap;
  IF NOT FOUND THEN RETURN 'over cap'; END IF;
  UPDATE rivals.budget SET left_micros = left_micros - price
    WHERE campaign = wanted_campaign AND left_micros >= price;
  IF NOT FOUND THEN
    UPDATE rivals.frequency SET count = count - 1
      WHERE campaign = wanted_campaign AND user_id = wanted_user;
    RETURN 'over budget';
  END IF;
  INSERT INTO rivals.reservation (id, user_id, campaign, price_micros)
    VALUES (wanted_id, wanted_user, wanted_campaign, price);
  RETURN 'reserved';
END $$;
CREATE FUNCTION rivals.reserve_all(
  ids text[], users text[], campaigns text[], prices bigint[], cap integer
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE verdicts text[] := '{}';
BEGIN
  FOR at IN 1 .. cardinality(ids) LOOP
    verdicts := verdicts || rivals.reserve(ids[at], users[at], campaigns[at], prices[at], cap);
  END LOOP;
  RETURN verdicts;
END $$;
`;

export class PostgresReserver implements Reserver {
  readonly #sql: postgres.Sql;
  readonly #manner: PostgresManner;
  readonly #shape: Shape;
  /** In batches: what the next one carries. */
  #waiting: Asked[] = [];
  #isOut = false;

  private constructor(sql: postgres.Sql, manner: PostgresManner, shape: Shape) {
    this.#sql = sql;
    this.#manner = manner;
    this.#shape = shape;
  }

  /**
   * Makes everything anew. `isFlushed`: an answer waits until it is on the disk
   * (synchronous_commit on); else it does not.
   */
  static async open(
    url: string,
    { manner, isFlushed }: { readonly manner: PostgresManner; readonly isFlushed: boolean },
    shape: Shape,
  ): Promise<PostgresReserver> {
    const setting = isFlushed ? "on" : "off";
    const sql = postgres(url, {
      max: connectionsOf[manner],
      connection: { synchronous_commit: setting },
      onnotice: () => undefined,
    });
    await sql.unsafe(tables);
    const rows = campaignsOf(shape).map(({ id, budgetMicros }) => {
      return { campaign: id, left_micros: budgetMicros };
    });
    await sql`INSERT INTO rivals.budget ${sql(rows)}`;
    await sql.unsafe("CHECKPOINT");
    const [shown] = await sql`SHOW synchronous_commit`;
    assert(shown?.["synchronous_commit"] === setting, "the server keeps what it is asked for");
    return new PostgresReserver(sql, manner, shape);
  }

  reserve(wanted: Wanted, answer: Answer): void {
    if (this.#manner === "one by one") {
      this.#reserveOne(wanted).then(answer, answer);
      return;
    }
    this.#waiting.push({ wanted, answer });
    if (this.#isOut) return;
    this.#isOut = true;
    // What else is asked for in this tick goes with it.
    setImmediate(() => {
      void this.#sendBatches();
    });
  }

  readonly raw = (answer: (error: Error | null) => void): void => {
    this.#sql`SELECT 1`.then(() => {
      answer(null);
    }, answer);
  };

  counts(): ReserverCounts {
    return { records: 0, recordBytes: 0, racesLost: 0 };
  }

  async books(): Promise<Books> {
    const kept = await this.#sql<Kept[]>`
      SELECT id, user_id AS user, campaign, price_micros::float8 AS "priceMicros"
      FROM rivals.reservation
    `;
    const budgets = await this.#sql<{ campaign: string; left: number }[]>`
      SELECT campaign, left_micros::float8 AS left FROM rivals.budget
    `;
    const left = new Map(budgets.map((row) => [row.campaign, row.left]));
    const spent = campaignsOf(this.#shape).map(({ id, budgetMicros }) => {
      return [id, budgetMicros - (left.get(id) ?? 0)] as const;
    });
    return { reservations: [...kept], spentMicros: new Map(spent) };
  }

  async close(): Promise<void> {
    await this.#sql.end();
  }

  async #reserveOne({ id, user, campaign }: Wanted): Promise<Verdict> {
    const { id: name, priceMicros } = campaign;
    const [row] = await this.#sql<{ verdict: Verdict }[]>`
      SELECT rivals.reserve(${id}, ${user}, ${name}, ${priceMicros}, ${capMax}) AS verdict
    `;
    return must(row, "a call gives one row").verdict;
  }

  async #sendBatches(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const verdicts = await this.#reserveAll(batch.map(({ wanted }) => wanted)).catch(
        (error: unknown) => error as Error,
      );
      for (const [index, { answer }] of batch.entries()) {
        answer(verdicts instanceof Error ? verdicts : must(verdicts[index], "one for each"));
      }
      // Those who were answered ask again in the next tick.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    this.#isOut = false;
  }

  async #reserveAll(batch: readonly Wanted[]): Promise<Verdict[]> {
    const ids = batch.map(({ id }) => id);
    const users = batch.map(({ user }) => user);
    const names = batch.map(({ campaign }) => campaign.id);
    const prices = batch.map(({ campaign }) => campaign.priceMicros);
    const [row] = await this.#sql<{ verdicts: Verdict[] }[]>`
      SELECT rivals.reserve_all(${ids}, ${users}, ${names}, ${prices}, ${capMax}) AS verdicts
    `;
    return must(row, "a call gives one row").verdicts;
  }
}
