// Rivals' figures: what was measured, and what each row of the report says.
// Owns: the shapes. Does not own: making them (rivals.ts, rivals-report.ts).
import type { Spread } from "../src/base/spread.ts";
import type { Probes } from "./machine.ts";
import type { Shape } from "./rivals-plan.ts";
import type { RivalWindow } from "./rivals-process.ts";
import type { Rival } from "./rivals-servers.ts";

export interface MeasuredRival extends RivalWindow {
  readonly rival: string;
  readonly shape: Shape;
  /** Reservations under way at any time. */
  readonly outstanding: number;
  readonly round: number;
  readonly probes: Probes;
}

export interface RivalsFigures {
  /** Reservations under way: each rival is measured with each. */
  readonly loads: readonly number[];
  readonly hotLoad: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  readonly rivals: readonly Rival[];
  readonly windows: readonly MeasuredRival[];
  /** What is not there, and why. */
  readonly leftOut: ReadonlyMap<string, string>;
}

/** A rival in one shape with one load, over all rounds. */
export interface Row {
  readonly rival: string;
  readonly shape: Shape;
  readonly outstanding: number;
  readonly perSecond: Spread;
  /** Its rate ÷ its raw rate of the same window; null: it has none. */
  readonly ofRaw: Spread | null;
  /** Windows that count, of how many. */
  readonly counting: number;
  readonly windows: number;
  readonly cpuUs: number;
  /** Null: the system does not tell. */
  readonly serversCpuUs: number | null;
  /** Processors kept busy by the process that asks, and by the servers. */
  readonly busy: number;
  readonly serversBusy: number | null;
  readonly loopUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perRecord: number | null;
  readonly racesLost: number;
  readonly refusedShare: number;
  /** Windows beside which the probes were off. */
  readonly disturbed: number;
}

/** A rival that is slower than this part of what its connections can carry was not driven fully. */
export const ofRawMin = 0.7;
