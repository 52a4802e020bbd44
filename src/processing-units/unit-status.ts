// Unit status: what a processing unit says of itself, about once a second.
// Owns: the shapes. Each lane sends its part to the unit's main thread, which joins the parts and
// hands the whole back to every lane, so that any lane can answer for the unit.
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import type { HistogramCounts } from "../base/histogram.ts";
import type { PumpStatus } from "../data-pump/pump-status.ts";
import type { Value } from "../grid/log-record.ts";

/**
 * starting: it is claimed and loaded, commands wait. serving. leaving: it is handed over, what ran
 * is still being journaled. gone: another lane's, or nobody's. halted: this lane keeps it and
 * serves nothing, until a person has looked.
 */
export type PartitionPhase = "starting" | "serving" | "leaving" | "gone" | "halted";

export interface PartitionStatus {
  readonly partition: number;
  readonly phase: PartitionPhase;
  /** Why it does not serve, where it does not. */
  readonly reason: string | null;
  readonly epoch: number;
  /** Position of the last journaled record, and of the last one written to the database. */
  readonly journaled: number;
  readonly written: number;
  /** About how many bytes its log and its checkpoints take in the grid. */
  readonly gridBytes: number;
}

/** A partition that a lane of another unit has. */
export interface PartitionElsewhere {
  readonly partition: number;
  /** 0: it is being taken over. */
  readonly epoch: number;
  /** The lane's name in the roster. */
  readonly lane: string;
}

/** A lane among all lanes of the grid. */
export interface LaneGridStatus {
  /** Its number there; -1 before it joined. */
  readonly slot: number;
  /** Lanes of all units, as far as this one knows. */
  readonly lanes: number;
  /** It has what it should have, and somebody has everything else. */
  readonly settled: boolean;
  /** Partitions that no lane has that lives. */
  readonly unheld: readonly number[];
  /** What keeps it from its work, in words. */
  readonly alarms: readonly string[];
}

export interface LaneCounts {
  /** Commands that entered the grid in this lane. */
  commands: number;
  appends: number;
  journaledBytes: number;
}

/**
 * away: it cannot be written. behind: it can, and half of what may wait does. full: changes are
 * refused. letters: it refused content.
 */
export interface DatabaseAlarm {
  readonly kind: "away" | "behind" | "full" | "letters";
  readonly message: string;
}

/** A lane's way to the database: what waits, how it goes, what it costs. */
export interface LaneDatabaseStatus extends Omit<PumpStatus, "problem" | "syncTime"> {
  /** Why it cannot be written at the moment; null: it can. */
  readonly problem: string | null;
  /** From journaled to known to be written, of each record since the lane started. */
  readonly syncTime: HistogramCounts;
  readonly alarms: readonly DatabaseAlarm[];
}

export interface LaneStatus {
  readonly lane: number;
  readonly grid: LaneGridStatus;
  /** Counts since the lane started. */
  readonly requests: number;
  readonly commands: number;
  readonly appends: number;
  readonly journaledBytes: number;
  /** The way to the database; null without one. */
  readonly database: LaneDatabaseStatus | null;
  /** Time from request to answer in this lane, in the last second. */
  readonly latency: HistogramCounts;
  /** Share of the last second in which the lane's event loop worked, 0 to 1. */
  readonly utilization: number;
  readonly partitions: readonly PartitionStatus[];
  /** What the application's `status` hook gave. */
  readonly application: Value;
  readonly metrics: readonly MetricObjectWithValues<MetricValue<string>>[];
}

export interface UnitStatus {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly lanes: readonly LaneStatus[];
  /** Lanes that died and were replaced. */
  readonly restarts: number;
}
