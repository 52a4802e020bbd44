// Books: what the exchange's own ledger says, against the rows in the database.
// Owns: reading both and saying where they differ. The two sides count apart from one another: the
// ledger is fsynced by the exchange, the rows come from the grid.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type postgres from "postgres";
import { type LedgerEvent, readLedger } from "../../../src/bidding-demo/exchange/ledger.ts";
import { connectTo } from "../../support/embedded-database.ts";

/** Prices in micros by bid id, for each kind of event. */
export type Books = Readonly<Record<LedgerEvent["event"], ReadonlyMap<string, number>>>;

/** Reads a ledger, also while the exchange writes it; a line that is not whole yet is not read. */
export async function readBooks(path: string): Promise<Books> {
  const books = {
    bid: new Map<string, number>(),
    won: new Map<string, number>(),
    billed: new Map<string, number>(),
    lost: new Map<string, number>(),
    "given-up": new Map<string, number>(),
  };
  for await (const { event, bidId, priceMicros } of readLedger(path)) {
    books[event].set(bidId, priceMicros);
  }
  return books;
}

export function sumOf(prices: ReadonlyMap<string, number>): number {
  return [...prices.values()].reduce((sum, price) => sum + price, 0);
}

/** A connection to the database that a unit started below its data folder. */
export function connectToEmbedded(data: string): postgres.Sql {
  const read = (name: string) => readFileSync(join(data, "postgres", name), "utf8").trim();
  return connectTo(`postgres://orrery:${read("password")}@127.0.0.1:${read("port")}/postgres`);
}

/** Everything of the ledger that the database does not have, or has with another price. */
export async function bookProblems(sql: postgres.Sql, books: Books): Promise<string[]> {
  const rows = await sql<{ id: string; price: string; outcome: string | null; paid: string }[]>`
    SELECT b.bid_id AS id, b.price_micros::text AS price, s.outcome, s.paid_micros::text AS paid
    FROM bids b LEFT JOIN settlements s ON s.bid_id = b.bid_id`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const problems: string[] = [];
  for (const [id, price] of books.bid) {
    const row = byId.get(id);
    if (Number(row?.price) !== price) problems.push(`bid ${id} for ${price}: row ${show(row)}`);
  }
  for (const [id, price] of books.billed) {
    const row = byId.get(id);
    const fits = row?.outcome === "billed" && Number(row.paid) === price;
    if (!fits) problems.push(`bid ${id}, billed for ${price}: row ${show(row)}`);
  }
  for (const id of books.lost.keys()) {
    const row = byId.get(id);
    if (row?.outcome !== "lost") problems.push(`bid ${id}, lost: row ${show(row)}`);
  }
  return problems;
}

/**
 * Money that does not add up in the database. True of it at every moment, in the middle of the
 * load, too: a statement sees one moment, and a partition's rows change together.
 */
export async function moneyProblems(
  sql: postgres.Sql,
  budgets: ReadonlyMap<string, number>,
): Promise<string[]> {
  const rows = await sql<{ id: string; [column: string]: string | boolean }[]>`
    WITH unsettled AS (
      SELECT b.campaign_id AS id, sum(b.price_micros) AS micros FROM bids b
      WHERE NOT b.test AND NOT EXISTS (SELECT FROM settlements s WHERE s.bid_id = b.bid_id)
      GROUP BY 1),
    paid AS (SELECT campaign_id AS id, sum(paid_micros) AS micros FROM settlements GROUP BY 1)
    SELECT p.campaign_id AS id, sum(p.share_micros)::text AS share,
           sum(p.reserved_micros)::text AS reserved, sum(p.spent_micros)::text AS spent,
           bool_and(p.reserved_micros >= 0 AND
                    p.reserved_micros + p.spent_micros <= p.share_micros) AS fits,
           coalesce((SELECT micros FROM unsettled u WHERE u.id = p.campaign_id), 0)::text AS open,
           coalesce((SELECT micros FROM paid WHERE paid.id = p.campaign_id), 0)::text AS paid
    FROM purses p GROUP BY p.campaign_id`;
  return rows.flatMap((row) => {
    const problems: string[] = [];
    const budget = budgets.get(row.id) ?? 0;
    if (row["fits"] !== true) problems.push("a purse holds more than its share");
    if (Number(row["share"]) > budget) problems.push("the shares are more than the budget");
    if (Number(row["spent"]) > budget) problems.push("it spent more than its budget");
    if (row["spent"] !== row["paid"]) problems.push("spent is not what the settlements paid");
    if (row["reserved"] !== row["open"]) problems.push("reserved is not what open bids hold");
    return problems.map((problem) => `${problem}: ${show(row)}`);
  });
}

function show(row: unknown): string {
  return row === undefined ? "is not there" : JSON.stringify(row);
}
