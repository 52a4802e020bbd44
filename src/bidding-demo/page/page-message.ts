// Page message: what the demo's page is told over WebSocket, as JSON, one message in each frame.
// Owns: the shapes. Does not own: how they come about (page-state.ts), how they are shown
// (static/page.js).
//
// A page that connects gets one `trend`, so that its charts have a past, and the newest `status`
// where there is one; then a `status` each second. Money is in micros (millionths of a dollar),
// times in milliseconds, rates per second.
import type { ListedLetter } from "../../data-pump/database.ts";
import type { PartitionPhase } from "../../processing-units/unit-status.ts";
import type { Answers, CampaignStatus, NoBids, Notices } from "../demo-status.ts";

/** One second of the charts. */
export type TrendPoint = {
  /** Since 1970. */
  readonly timeMs: number;
  readonly requests: number;
  readonly bids: number;
  /** Null where nothing was answered in this second. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
};

export type TrendMessage = {
  readonly kind: "trend";
  /** Oldest first, at most two minutes of them. */
  readonly points: readonly TrendPoint[];
};

/**
 * `away`: its lane is gone, and no other has taken it over yet. `elsewhere`: a lane of another unit
 * of the grid has it.
 */
export type PagePhase = PartitionPhase | "away" | "elsewhere";

export type PagePartition = {
  readonly partition: number;
  /** Its owner, or its last one, in this unit; null where it had none. */
  readonly lane: number | null;
  /** Its owner in another unit, by name; null where it has none there. */
  readonly elsewhere: string | null;
  readonly phase: PagePhase;
  /** Why it does not serve, where that is known. */
  readonly reason: string | null;
  readonly epoch: number;
  /** Records journaled and not yet written; null without a database, or elsewhere. */
  readonly backlog: number | null;
};

export type PageLane = {
  readonly lane: number;
  /** False while a lane that died is being replaced. */
  readonly present: boolean;
  /** Share of the last second in which its event loop worked, 0 to 1. */
  readonly utilization: number;
  /** HTTP requests of all kinds that it answered, per second. */
  readonly requests: number;
};

/** The unit's way to the database: the worst of its lanes, or all of them together. */
export type PageDatabase = {
  /** Why it cannot be written at the moment; null: it can. */
  readonly problem: string | null;
  readonly breaker: "closed" | "open" | "half-open";
  /** Changes are refused somewhere, because too much waits. */
  readonly isFull: boolean;
  /** Age of the oldest record that is not written. */
  readonly oldestMs: number;
  /** How long the room for what waits lasts as it grows now; null: it does not grow. */
  readonly roomMs: number | null;
  /** From journaled to written, since the lanes started; null before the first. */
  readonly syncMs: { readonly p50: number; readonly p99: number } | null;
  readonly rowsPerTransaction: number | null;
  readonly deadLetters: number;
  /** The newest of them that this unit's lanes wrote, newest first. */
  readonly letters: readonly ListedLetter[];
};

export type StatusMessage = {
  readonly kind: "status";
  /** Since 1970. */
  readonly timeMs: number;
  /** The lane that this page is connected to. */
  readonly servedBy: number;
  /** Lanes that died and were replaced. */
  readonly restarts: number;
  /** Bid requests answered, and bids among the answers; null before there are two statuses. */
  readonly rates: { readonly requests: number; readonly bids: number } | null;
  /** Of all HTTP answers of the last second; null where there was none. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number } | null;
  /** Records journaled and not yet written; null without a database. */
  readonly backlog: number | null;
  /** Null without a database. */
  readonly database: PageDatabase | null;
  /** Sums over all campaigns, as far as their money is in partitions of this unit. */
  readonly money: {
    readonly budgetMicros: number;
    readonly spentMicros: number;
    readonly reservedMicros: number;
  };
  /** Totals since the unit started. */
  readonly answers: Answers;
  readonly noBids: NoBids;
  readonly notices: Notices;
  /** In the order of the campaigns file; those that do not fit into a message are only counted. */
  readonly campaigns: readonly CampaignStatus[];
  readonly campaignsNotShown: number;
  readonly lanes: readonly PageLane[];
  readonly partitions: readonly PagePartition[];
};

export type PageMessage = TrendMessage | StatusMessage;
