// Demo summary: what `--json` writes at the end. Its names are used by checks, and stay.
// Owns: the shape. Does not own: the books it compares: the exchange's ledger, the grid's sums, and
// the database's rows are counted apart from one another.
import { availableParallelism } from "node:os";
import { existsSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { mergeStatus } from "../bidding-demo/demo-status.ts";
import { readLedger } from "../bidding-demo/exchange/ledger.ts";
import type { ExchangeSummary } from "../bidding-demo/exchange/tally.ts";
import type { UnitStatus } from "../processing-units/unit-status.ts";
import type { Unit } from "../processing-units/unit.ts";
import { urlsOf, type Settings } from "./settings.ts";

export interface DemoSummary {
  readonly requests: number;
  readonly answers: ExchangeSummary["answers"];
  /** `answers.error` by its reasons: DEADLINE_EXCEEDED is an answer that came too late. */
  readonly errors: ExchangeSummary["errors"];
  readonly latencyMs: ExchangeSummary["latencyMs"];
  /** As the bidder counts them, since its start. */
  readonly notices: Readonly<Record<"won" | "billed" | "lost" | "duplicate" | "refused", number>>;
  readonly campaigns: readonly {
    readonly id: string;
    readonly budgetMicros: number;
    readonly spentMicros: number;
    readonly reservedMicros: number;
  }[];
  /** Of the whole ledger, earlier runs over the same data included. */
  readonly exchange: { readonly wonMicros: number; readonly billedMicros: number };
  /** null: there is none, or it is away. */
  readonly database: {
    readonly bids: number;
    readonly spentMicros: number;
    readonly backlog: number;
  } | null;
  readonly environment: Readonly<Record<string, string | number>>;
}

/** Sums of the exchange's ledger below a data folder. */
async function ledgerSums(data: string): Promise<DemoSummary["exchange"]> {
  const sums = { wonMicros: 0, billedMicros: 0 };
  const path = join(data, "exchange-ledger.jsonl");
  if (!existsSync(path)) return sums;
  for await (const { event, priceMicros } of readLedger(path)) {
    if (event === "won") sums.wonMicros += priceMicros;
    if (event === "billed") sums.billedMicros += priceMicros;
  }
  return sums;
}

/** Records of all lanes that are journaled and not yet written. */
export function backlogOf({ lanes }: UnitStatus): number {
  return lanes.reduce((sum, { database }) => sum + (database?.backlogRecords ?? 0), 0);
}

export async function demoSummary(
  settings: Settings,
  unit: Unit,
  status: UnitStatus,
  exchange: ExchangeSummary,
): Promise<DemoSummary> {
  const merged = mergeStatus(status.lanes.map((lane) => lane.application));
  const backlog = backlogOf(status);
  const bids = await unit.database.totals("bids", "price_micros");
  const settlements = await unit.database.totals("settlements", "paid_micros");
  const { store, database } = urlsOf(settings);
  return {
    requests: exchange.requests,
    answers: exchange.answers,
    errors: exchange.errors,
    latencyMs: exchange.latencyMs,
    notices: merged.notices,
    campaigns: merged.campaigns.map(({ id, budgetMicros, spentMicros, reservedMicros }) => {
      return { id, budgetMicros, spentMicros, reservedMicros };
    }),
    exchange: await ledgerSums(settings.data),
    database:
      bids === null || settlements === null
        ? null
        : { bids: bids.rows, spentMicros: settlements.sum, backlog },
    environment: {
      orrery: packageJson.version,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cores: availableParallelism(),
      lanes: settings.lanes,
      partitions: unit.identity.partitions,
      store: store.replace(/:.*[/\\]/, ":…/"),
      database: database.replace(/:.*$/, ":"),
      ratePerSecond: settings.rate,
      seed: settings.seed,
    },
  };
}
