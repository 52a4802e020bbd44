// Edge context: what an application's own routes get from the lane they run in.
// Owns: the interface. Does not own: the server itself (edge.ts), the lane (lane.ts).
import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import type { CommandRequest } from "../messaging-grid/frames.ts";
import type { Entry, Space } from "./space.ts";
import type { PartitionElsewhere, UnitStatus } from "./unit-status.ts";

/**
 * `memory`: answered at once, may be lost. `journal`: answered when it is in the grid's log.
 * `written`: when its changes are in the database; a command that changes nothing waits for none.
 */
export type Acknowledgement = CommandRequest["ack"];

/**
 * What a command that changes nothing may have seen. `local`: only what is journaled; stale for a
 * moment while its partition moves. `linearizable`: all that was answered before it was sent.
 */
export type ReadConsistency = "local" | "linearizable";

export interface SubmitOptions {
  readonly ack?: Acknowledgement;
  readonly read?: ReadConsistency;
  /** A client's name for this command: the same name has no second effect, for a stated time. */
  readonly idempotencyKey?: string;
  /** From now; the answer is DEADLINE_EXCEEDED (unknown) after it. */
  readonly deadlineMs?: number;
  /** Follows a request through the lanes' logs. */
  readonly correlationId?: string;
}

export interface EdgeContext {
  readonly server: FastifyInstance;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** For the application's own counters; they are added up over all lanes. */
  readonly metrics: Registry;
  readonly partitions: number;
  /** The lane's number within its unit. */
  readonly lane: number;
  /**
   * Runs a command in the lane that owns its partition, and responds once: at most one hop. The
   * input is not validated here against the command's schema; it must fit its type.
   */
  submit(
    command: string,
    input: Value,
    options: SubmitOptions,
    respond: (outcome: Outcome<Value>) => void,
  ): void;
  /** Entries of a space in the partitions that this lane owns now, as they are in memory. */
  entries<V extends Entry>(space: Space<V>): Iterable<readonly [key: string, value: V]>;
  /** Partitions that lanes of other units have, as far as this lane knows. */
  elsewhere(): readonly PartitionElsewhere[];
}

export interface EdgeHooks {
  /** The application's part of this lane's status, about once a second. */
  status?(): Value;
  /** The whole unit's status, about once a second, for pages and reports. */
  onUnitStatus?(status: UnitStatus): void;
  /** The unit is stopping: end what is open (web sockets). */
  onStop?(): void;
}
