// Application: what a user of the engine writes, spaces and commands, and nothing of the engine.
// Owns: the declarations and their types. Does not own: running them (partition.ts, lane.ts).
import type { Static, TSchema } from "typebox";
import type { Mender } from "../data-pump/mender.ts";
import type { Value } from "../grid/log-record.ts";
import type { EdgeContext, EdgeHooks } from "./edge-context.ts";
import type { Entry, Space } from "./space.ts";

export { space, type Entry, type Space } from "./space.ts";

/** What a handler may do; valid only until the handler returns. */
export interface Transaction {
  readonly partition: number;
  /** Milliseconds since 1970; never goes back within a partition. */
  readonly timeMs: number;
  /** A fraction, 0 ≤ x < 1. */
  random(): number;
  /** A name that nothing else has. */
  id(): string;
  get<V extends Entry>(space: Space<V>, key: string): V | undefined;
  /** The value is frozen: it belongs to the space from here on. */
  put<V extends Entry>(space: Space<V>, key: string, value: V): void;
  delete(space: Space, key: string): void;
}

/** A request with a routing key, and the business code that answers it. */
export interface Command {
  readonly input: TSchema;
  /** Only the application's own routes submit it; `POST /commands/:name` does not know it. */
  readonly internal: boolean;
  /** The routing key: decides the partition, and with it all that the handler can reach. */
  routeBy(input: unknown): string;
  /** Synchronous, no I/O; what it throws becomes HANDLER_FAILED, and nothing is changed. */
  handle(tx: Transaction, input: unknown): Value;
}

export interface Application {
  readonly name: string;
  readonly spaces: readonly Space[];
  readonly commands: Readonly<Record<string, Command>>;
  /**
   * For a grid that is rebuilt from its database with so many partitions: mends the entries that
   * come back, where they hang on spaces that do not, or on the number of partitions.
   */
  readonly rebuilt?: (partitions: number) => Mender;
  /** Routes of the application's own, set up once in each lane. */
  readonly edge?: (context: EdgeContext) => EdgeHooks;
}

/** Default export of an application's module: makes it from options that can be cloned. */
export type ApplicationFactory = (options: unknown) => Application;

/** Declares a command; the handler's input has the type of its schema. */
export function command<S extends TSchema>(options: {
  input: S;
  internal?: boolean;
  routeBy(input: Static<S>): string;
  handle(tx: Transaction, input: Static<S>): Value;
}): Command {
  // The lane validates against `input` before it routes, so the casts hold.
  return {
    input: options.input,
    internal: options.internal ?? false,
    routeBy: (input) => options.routeBy(input as Static<S>),
    handle: (tx, input) => options.handle(tx, input as Static<S>),
  };
}
