// Lane protocol: everything that passes between a unit's main thread and its lanes.
// Owns: the messages. Commands do not pass here: lanes talk to one another directly.
import type { Socket } from "node:net";
import type { MessagePort } from "node:worker_threads";
import type { Failure } from "../base/failure.ts";
import type { PostgresAddress } from "../data-pump/database-url.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import type { ApplicationSource } from "./load-application.ts";
import type { LaneIdentity, Predecessor } from "./ownership.ts";
import type { LaneStatus, UnitStatus } from "./unit-status.ts";

/** How the lanes of a unit are reached by those of other units. */
export interface PeerSetting {
  /** Address to listen on. */
  readonly host: string;
  /** Name or address under which others find it. */
  readonly advertisedHost: string;
  /** What all lanes of the grid know, and nobody else. */
  readonly token: string;
}

/** The one task of a lane's thread: it ends when the lane stops. */
export interface LaneTask {
  /** The lane's number within its unit. */
  readonly number: number;
  /** Who it is for the other lanes of the grid; its address is known when it listens. */
  readonly lane: Omit<LaneIdentity, "address">;
  /** The lane before it under the same number, which is dead. */
  readonly predecessor: Predecessor | null;
  /** Where lanes of other units reach it. */
  readonly peers: PeerSetting;
  readonly identity: GridIdentity;
  readonly application: ApplicationSource;
  /** The port behind which the main thread serves an embedded store; the URL of any other. */
  readonly store: MessagePort | string;
  readonly gridBytesMax: number;
  /** null: there is no database. */
  readonly database: PostgresAddress | null;
  readonly logFile: string | null;
  readonly logLevel: string;
  readonly control: MessagePort;
}

export type MessageToLane =
  | { readonly kind: "socket"; readonly socket: Socket }
  /** A way to another lane of the unit. */
  | { readonly kind: "peer"; readonly hello: Hello; readonly port: MessagePort }
  | { readonly kind: "status"; readonly status: UnitStatus }
  /** Take no more requests, answer those in flight. */
  | { readonly kind: "drain" }
  /** Write what is left to the database, then end. */
  | { readonly kind: "stop" };

export type MessageFromLane =
  /** HTTP can be taken, and the lane has a slot in the grid's roster. */
  | { readonly kind: "ready"; readonly slot: number }
  | { readonly kind: "status"; readonly status: LaneStatus }
  | { readonly kind: "drained" }
  | { readonly kind: "failed"; readonly failure: Failure };

/** What a lane's task resolves to. */
export interface LaneEnd {
  /** All that was journaled is written to the database (or there is none). */
  readonly written: boolean;
}
