// Application: what a user of the engine writes, spaces and commands, and nothing of the engine.
// Owns: the declarations and their types. Does not own: running them (partition.ts, lane.ts).
import type { Static, TSchema } from "typebox";
import { assert } from "../base/assert.ts";
import type { Table } from "../data-pump/table.ts";
import type { Value } from "../grid/log-record.ts";
import type { EdgeContext, EdgeHooks } from "./edge-context.ts";

/** A value as handlers see it: plain data that nobody can change. */
export type Entry = Value & object;

/** A named map of entries, of one type. Entries of a partition's spaces change together. */
export interface Space<V extends Entry = Entry> {
  readonly name: string;
  /** Write-only: rows for the database; nothing is kept in memory, and nothing can be read. */
  readonly writeOnly: boolean;
  /** Where its entries lie in the database; null: in the grid only. */
  readonly table: Table | null;
  /** Carries the type only. */
  readonly example?: V;
}

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
  /** The routing key: decides the partition, and with it all that the handler can reach. */
  routeBy(input: unknown): string;
  /** Synchronous, no I/O; what it throws becomes HANDLER_FAILED, and nothing is changed. */
  handle(tx: Transaction, input: unknown): Value;
}

export interface Application {
  readonly name: string;
  readonly spaces: readonly Space[];
  readonly commands: Readonly<Record<string, Command>>;
  /** Routes of the application's own, set up once in each lane. */
  readonly edge?: (context: EdgeContext) => EdgeHooks;
}

/** Default export of an application's module: makes it from options that can be cloned. */
export type ApplicationFactory = (options: unknown) => Application;

/** Declares a space. `writeOnly` without a table would keep nothing anywhere. */
export function space<V extends Entry>(options: {
  name: string;
  writeOnly?: boolean;
  table?: Table;
}): Space<V> {
  const writeOnly = options.writeOnly ?? false;
  const table = options.table ?? null;
  assert(!writeOnly || table !== null, `write-only space ${options.name} needs a table`);
  return { name: options.name, writeOnly, table };
}

/** Declares a command; the handler's input has the type of its schema. */
export function command<S extends TSchema>(options: {
  input: S;
  routeBy(input: Static<S>): string;
  handle(tx: Transaction, input: Static<S>): Value;
}): Command {
  // The lane validates against `input` before it routes, so the casts hold.
  return {
    input: options.input,
    routeBy: (input) => options.routeBy(input as Static<S>),
    handle: (tx, input) => options.handle(tx, input as Static<S>),
  };
}
