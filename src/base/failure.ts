// Failures: operating errors as values, each with a stable code and a kind.
// Owns: the table of codes, their kinds, the outcome type. Does not own: what an edge makes of
// them (HTTP status codes stand in src/processing-units).
// A failure is plain data: it keeps all its fields through structured clone and msgpack, so it
// is the same between threads, between processes and in an answer over HTTP.

/**
 * What a caller may conclude:
 * - `retryable`: nothing happened; the same call may succeed later.
 * - `terminal`: nothing happened; the same call fails again.
 * - `unknown`: it may have happened, or may happen later.
 */
export type FailureKind = "retryable" | "terminal" | "unknown";

/** Every code there is. Codes are part of the interface: they are added, never renamed. */
export const failureKinds = {
  // Commands
  COMMAND_UNKNOWN: "terminal",
  INPUT_INVALID: "terminal",
  HANDLER_FAILED: "terminal",
  VALUE_TOO_LARGE: "terminal",
  DEADLINE_EXCEEDED: "unknown",
  OVERLOADED: "retryable",
  NOT_OWNER: "retryable",
  PARTITION_STARTING: "retryable",
  PARTITION_HALTED: "terminal",
  PARTITION_STOPPED: "retryable",
  OUTCOME_UNKNOWN: "unknown",
  LANE_LOST: "unknown",
  PEER_UNREACHABLE: "retryable",
  PEER_REFUSED: "terminal",
  PEER_GONE: "terminal",
  SHUTTING_DOWN: "retryable",
  POISON: "terminal",
  COMMAND_STALE: "unknown",
  COMMAND_KNOWN: "unknown",
  BACKLOG_FULL: "retryable",
  DEAD_LETTERED: "unknown",
  // Data grid
  STORE_TIMEOUT: "unknown",
  STORE_UNAVAILABLE: "unknown",
  STORE_UNREACHABLE: "terminal",
  STORE_MISFIT: "terminal",
  GRID_LOST: "terminal",
  GRID_ENDED: "terminal",
  GRID_FOREIGN: "terminal",
  GRID_FORMAT: "terminal",
  GRID_PARTITIONS: "terminal",
  REBUILD_REFUSED: "terminal",
  REBUILD_OVERTAKEN: "terminal",
  GRID_UNAVAILABLE: "retryable",
  GRID_FULL: "retryable",
  ROSTER_FULL: "terminal",
  CLAIM_BEATEN: "retryable",
  DATA_IN_USE: "terminal",
  DATA_UNUSABLE: "terminal",
  // Database
  DATABASE_UNREACHABLE: "retryable",
  DATABASE_REFUSED: "terminal",
  DATABASE_FOREIGN: "terminal",
  DATABASE_MISFIT: "terminal",
  DATABASE_LOST: "terminal",
  DATABASE_NEWER: "terminal",
  DATABASE_FENCED: "terminal",
  DATABASE_START: "terminal",
  ROW_REFUSED: "terminal",
  DEAD_LETTERS_FULL: "retryable",
  // Start
  CONFIG_INVALID: "terminal",
  ADDRESS_IN_USE: "terminal",
  TARGET_UNREACHABLE: "terminal",
  CONNECTION_LOST: "unknown",
  RESPONSE_MALFORMED: "unknown",
  LANE_FAILED: "terminal",
  EXCHANGE_FAILED: "terminal",
  GENERATOR_LOST: "terminal",
  SIMULATION_FAILED: "terminal",
  REPORT_INVALID: "terminal",
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof failureKinds;

export interface Failure {
  readonly code: FailureCode;
  readonly kind: FailureKind;
  /** One line for a person: what is wrong and, where it can be said, what to do next. */
  readonly message: string;
}

export type Outcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

/** A failure with the kind that its code always has. */
export function failure(code: FailureCode, message: string): Failure {
  return { code, kind: failureKinds[code], message };
}

export function ok<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function failed(code: FailureCode, message: string): Outcome<never> {
  return { ok: false, failure: failure(code, message) };
}

/** Carries a failure through code that throws: starting up, and promises that reject. */
export class FailureError extends Error {
  override readonly name = "FailureError";
  readonly failure: Failure;

  constructor(cause: Failure) {
    super(cause.message);
    this.failure = cause;
  }
}

/** The value of a good outcome; throws FailureError on a failed one. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new FailureError(outcome.failure);
  return outcome.value;
}
