// Rebuild state: what one run of a rebuild knows, as plain data.
// Owns: the shapes of state, calls and events of the rebuild machine (rebuild-machine.ts), and the
// rules that tests leave out one by one.
// Nothing in a state is ever changed in place: see log-state.ts.
import type { Failure } from "../base/failure.ts";
import type { LogAnswer, LogCall, WriteState } from "./log-write.ts";
import type { SwapState } from "./pointer-swap.ts";
import type { DatabaseRow, FencedRow, GenerationMark } from "./rebuild-ports.ts";

/** The protocol's steps behind the first reads, in their order. */
export type RebuildStage = "reserve" | "grid" | "fence" | "endLogs" | "fill" | "open";

/** What tests leave out, to see each loss found; production has `everyRebuildRule`. */
export interface RebuildRules {
  readonly stages: readonly RebuildStage[];
  /** A run never goes on under another run's number. */
  readonly ownNumber: boolean;
  /** A generation that is replaced already is not replaced again. */
  readonly refuseReplaced: boolean;
  /** The pointer is looked at between reading the database's row and fencing it. */
  readonly lookBeforeFence: boolean;
}

export const everyRebuildRule: RebuildRules = {
  stages: ["reserve", "grid", "fence", "endLogs", "fill", "open"],
  ownNumber: true,
  refuseReplaced: true,
  lookBeforeFence: true,
};

export interface RebuildConfig {
  /** The open generation that is to be replaced; null: only where none is open. */
  readonly replaces: number | null;
  /** Of the new generation; null: as many as the database's progress has. */
  readonly partitions: number | null;
  /** Unique among all runs that ever were. */
  readonly token: string;
  readonly rules: RebuildRules;
}

/** What a run decided to do, once it has read pointer, grid id and row. */
export interface RebuildPlan {
  readonly gridId: string;
  readonly base: number;
  readonly basePartitions: number;
  readonly mine: FencedRow;
}

export type RebuildPhase =
  | { readonly name: "idle" }
  // 1
  | { readonly name: "readPointer" }
  | { readonly name: "readGrid" }
  | { readonly name: "readRow" }
  // 2
  | { readonly name: "reserve"; readonly move: SwapState | WriteState }
  | { readonly name: "grid"; readonly write: WriteState }
  // 3
  | { readonly name: "fenceRow" }
  | { readonly name: "fencePointer"; readonly row: GenerationMark }
  | { readonly name: "fence" }
  // 4, 5 and 6, 7
  | { readonly name: "endLogs" }
  | { readonly name: "fill" }
  | { readonly name: "open"; readonly move: SwapState | WriteState }
  | { readonly name: "done" }
  | { readonly name: "stopped"; readonly failure: Failure };

/** What a run asks; at most one call is out at any time. */
export type RebuildCall =
  /** Of the store's directory. */
  | { readonly op: "store"; readonly call: LogCall }
  | { readonly op: "row" }
  | { readonly op: "fence"; readonly expected: GenerationMark; readonly next: FencedRow }
  /** Have the logs of the base ended (rebuild-end.ts). */
  | { readonly op: "endLogs" }
  /** Read the tables as `mine`, and write the new generation's map (rebuild-fill.ts). */
  | { readonly op: "fill" };

export interface RebuildState {
  readonly config: RebuildConfig;
  readonly phase: RebuildPhase;
  readonly call: RebuildCall | null;
  /** What the pointer is as far as this run knows: as it was read, then as it was reserved. */
  readonly standing: Buffer | null;
  readonly gridBytes: Buffer | null;
  readonly plan: RebuildPlan | null;
  /** The database's row as read last. */
  readonly row: DatabaseRow | null;
}

export type RebuildEvent =
  | { readonly kind: "start" }
  | { readonly kind: "store"; readonly answer: LogAnswer }
  | { readonly kind: "row"; readonly row: DatabaseRow | null }
  /** Null: the outcome is not known. */
  | { readonly kind: "fenced"; readonly moved: boolean | null }
  /** The logs are ended, or the map is filled; false: the row is not mine any longer. */
  | { readonly kind: "errand"; readonly done: boolean };

/** A run that has done nothing yet. */
export function initialRebuildState(config: RebuildConfig): RebuildState {
  const nothing = { standing: null, gridBytes: null, plan: null, row: null };
  return { config, phase: { name: "idle" }, call: null, ...nothing };
}
