// Lane protocol: everything that passes between a unit's main thread and its lanes.
// Owns: the messages. Commands do not pass here: lanes talk to one another directly.
import type { Socket } from "node:net";
import type { MessagePort } from "node:worker_threads";
import type { Failure } from "../base/failure.ts";
import type { PostgresAddress } from "../data-pump/database-url.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { ApplicationSource } from "./load-application.ts";
import type { LaneStatus, UnitStatus } from "./unit-status.ts";

/** The one task of a lane's thread: it ends when the lane stops. */
export interface LaneTask {
  readonly lane: number;
  readonly lanes: number;
  readonly incarnation: string;
  readonly identity: GridIdentity;
  readonly application: ApplicationSource;
  /** Name of the lane in claims and logs. */
  readonly address: string;
  /** The port behind which the main thread serves an embedded store; the URL of any other. */
  readonly store: MessagePort | string;
  /** null: there is no database. */
  readonly database: PostgresAddress | null;
  readonly logFile: string | null;
  readonly logLevel: string;
  readonly control: MessagePort;
}

export type MessageToLane =
  | { readonly kind: "socket"; readonly socket: Socket }
  /** A way to another lane of the unit; replaces the one before it. */
  | { readonly kind: "peer"; readonly lane: number; readonly port: MessagePort }
  | { readonly kind: "status"; readonly status: UnitStatus }
  /** Take no more requests, answer those in flight. */
  | { readonly kind: "drain" }
  /** Write what is left to the database, then end. */
  | { readonly kind: "stop" };

export type MessageFromLane =
  /** HTTP can be taken. */
  | { readonly kind: "ready" }
  | { readonly kind: "status"; readonly status: LaneStatus }
  | { readonly kind: "drained" }
  /** Another unit's lane claimed one of its partitions. */
  | { readonly kind: "fenced"; readonly failure: Failure }
  | { readonly kind: "failed"; readonly failure: Failure };

/** What a lane's task resolves to. */
export interface LaneEnd {
  /** All that was journaled is written to the database (or there is none). */
  readonly written: boolean;
}
