// Log moves: what every step of the log machine is made of: a call, a stop, a new record.
// Owns: the shapes of a step's result, and the words of the failures that a log stops with.
// Does not own: which move follows which event (log-machine.ts, log-load.ts).
import { assert } from "../base/assert.ts";
import { failure, type FailureCode } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { headKey, recordKey } from "./grid-keys.ts";
import { decodeHead, decodeRecord, type LogRecord, type RecordBody } from "./log-record.ts";
import type { AppendFate, LogOutput, LogPhase, LogState, LogStep } from "./log-state.ts";
import type { LogCall } from "./log-write.ts";

/** A definite answer of a store. */
export type Definite = null | boolean | Buffer | readonly (Buffer | null)[];

/** Goes on to `phase`, in which `call` is out. */
export function calling(
  state: LogState,
  phase: LogPhase,
  call: LogCall,
  outputs: readonly LogOutput[] = [],
): LogStep {
  return { state: { ...state, phase, call }, outputs: [...outputs, { kind: "call", call }] };
}

export function stop(
  state: LogState,
  code: FailureCode,
  message: string,
  append: AppendFate = "none",
): LogStep {
  const reason = failure(code, `partition ${String(state.config.partition)}: ${message}`);
  return {
    state: { ...state, phase: { name: "stopped", failure: reason }, call: null },
    outputs: [{ kind: "stopped", failure: reason, append }],
  };
}

export function lost(state: LogState, what: string): LogStep {
  return stop(state, "GRID_LOST", `the grid lost data: ${what}`);
}

const newerVersion = "was written by a newer version; start that one";

export function newer(state: LogState, position: number, append: AppendFate = "none"): LogStep {
  return stop(state, "GRID_FORMAT", `record ${String(position)} ${newerVersion}`, append);
}

export function ended(state: LogState, append: AppendFate = "none"): LogStep {
  const generation = String(state.config.generation);
  return stop(state, "GRID_ENDED", `generation ${generation} of the grid has ended`, append);
}

export function getRecord(state: LogState, position: number): LogCall {
  return { op: "get", key: recordKey(state.config.partition, position) };
}

export function getHead(state: LogState): LogCall {
  return { op: "get", key: headKey(state.config.partition) };
}

/** Step 3 begins here, and everything that turns out void comes back here. */
export function readGenesis(state: LogState, outputs: readonly LogOutput[]): LogStep {
  const forgotten = { ...state, epoch: 0, claim: null };
  return calling(forgotten, { name: "readGenesis" }, getRecord(state, 0), outputs);
}

/**
 * What a stored head says, or how the log stops: where head is missing although the partition
 * was made (loss), and where a newer version wrote it.
 */
export function headIn(
  state: LogState,
  stored: Buffer | null,
  append: AppendFate = "none",
): number | LogStep {
  if (stored === null) return lost(state, "head is missing although genesis is there");
  const head = decodeHead(stored);
  return head ?? stop(state, "GRID_FORMAT", `head ${newerVersion}`, append);
}

/** Why a lane stops at this genesis record; null where it is this grid's. */
export function genesisFault(
  { config }: LogState,
  stored: Buffer,
): { readonly code: FailureCode; readonly message: string } | null {
  const record = decodeRecord(stored);
  if (record === null) return { code: "GRID_FORMAT", message: `record 0 ${newerVersion}` };
  assert(record.body.type === "genesis", "position 0 holds genesis");
  const { gridId, generation, partition } = record.body.genesis;
  const isOurs =
    gridId === config.gridId && generation === config.generation && partition === config.partition;
  if (isOurs) return null;
  const found = `grid ${gridId}, generation ${String(generation)}`;
  return { code: "GRID_FOREIGN", message: `its genesis names another grid (${found})` };
}

export const recordsAtFirst = 4;

/** As many as come to about `logReadBytes`, by the size of those before: a lane's others wait. */
export function recordsNext(count: number, bytes: number, times = 2): number {
  const fitting = Math.floor((count * limits.logReadBytes) / Math.max(1, bytes));
  return Math.max(1, Math.min(fitting, count * times, limits.logReadRecords));
}

/** The record that this lane writes next. */
export function newRecord(state: LogState, body: RecordBody, wallMs: number): LogRecord {
  return {
    position: state.next,
    epoch: state.epoch,
    token: state.config.token,
    timeMs: Math.max(wallMs, state.timeMs), // a record's time never goes back
    previous: state.chain,
    body,
  };
}
