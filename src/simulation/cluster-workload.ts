// Cluster workload: what clients do to a simulated cluster, and what it leaves behind.
// Owns: the contract between a run and its workload. Does not own: any workload, clients' retries
// (cluster-clients.ts), judging a history (whoever started the run: the tools of this folder do
// not know the checkers).
import type { Random } from "../base/random.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type { Application } from "../processing-units/application.ts";
import type { ReadConsistency } from "../processing-units/edge-context.ts";

/** What became of an operation, as its client sees it when it has stopped asking. */
export type OperationEnd =
  | { readonly kind: "answered"; readonly answer: Value; readonly acknowledged: boolean }
  /** Every try said that nothing happened. */
  | { readonly kind: "denied" }
  | { readonly kind: "unknown" };

/** One thing that a client wants, whatever number of commands it takes. */
export interface ClientOperation {
  readonly command: string;
  readonly input: Value;
  /** The key that it is about: its routing key. */
  readonly key: string;
  /** How its answer is read where it changes nothing. */
  readonly read: ReadConsistency;
  /** True where it changes something, or may. */
  readonly changes: boolean;
  /** The effect that an answer promises; null: none. An effect's name is unique in a run. */
  effectOf(answer: Value): string | null;
  /** Effects that an answer shows, which must be journaled by then. */
  shownBy(answer: Value): readonly string[];
  /** The effect that it may have at all; null: it changes nothing. */
  readonly effect: string | null;
  /** Called once, in virtual milliseconds. */
  ended(end: OperationEnd, calledMs: number, atMs: number): void;
}

export interface ClusterWorkload {
  readonly name: string;
  readonly application: Application;
  /** Left out: the seed draws how many the grid has. */
  readonly partitions?: number;
  /** How often a client does something, on average. */
  readonly thinkMs: number;
  readonly clients: number;
  /** What a client does next. A client whose last operation is unknown is somebody new. */
  next(client: number, random: Random): ClientOperation;
  /** An operation on each key that is in use: in a healthy cluster all of them succeed. */
  last(client: number): ClientOperation[];
  /** The name of the effect that a journaled change is of; null: of none. */
  effectIn(change: Change): string | null;
  /** Called at the end, when all is at rest: what is wrong, in words. */
  problems(view: FinalView): string[];
}

/** What is left of a run, as it is journaled. */
export interface FinalView {
  /** Entries of a space over all partitions: the fold of the logs. */
  entries(space: string): Iterable<readonly [key: string, value: Value]>;
  /** Rows of a table. */
  rows(table: string): Iterable<readonly [key: string, value: Value]>;
}
