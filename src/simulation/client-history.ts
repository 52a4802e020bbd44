// Client history: the operations of a run's clients, as each of them saw it, for a checker.
// Owns: what an end means for the history. Does not own: judging it (src/checkers).
import type { Value } from "../grid/log-record.ts";
import type { OperationEnd } from "./cluster-workload.ts";

/** An operation as the checkers take it. */
export interface ClientSaw<Asked, Answer> {
  readonly client: number;
  readonly input: Asked;
  readonly calledMs: number;
  /** Null: nobody knows whether it happened. */
  readonly returned: { readonly output: Answer; readonly atMs: number } | null;
}

interface Ended<Asked> {
  readonly client: number;
  readonly asked: Asked;
  readonly isRead: boolean;
  /** A read that may be stale while its partition moves. */
  readonly isLocal: boolean;
  readonly calledMs: number;
  readonly atMs: number;
}

export class ClientHistory<Asked, Answer> {
  readonly #answerOf: (answer: Value) => Answer;
  readonly #ordered: ClientSaw<Asked, Answer>[] = [];
  readonly #local: ClientSaw<Asked, Answer>[] = [];

  constructor(answerOf: (answer: Value) => Answer) {
    this.#answerOf = answerOf;
  }

  /** All that has its place in one order. */
  get ordered(): readonly ClientSaw<Asked, Answer>[] {
    return this.#ordered;
  }

  /** Reads that may have shown what was a stated time before. */
  get local(): readonly ClientSaw<Asked, Answer>[] {
    return this.#local;
  }

  /** Adds an operation, unless it is known not to have happened. */
  add({ client, asked, isRead, isLocal, calledMs, atMs }: Ended<Asked>, end: OperationEnd): void {
    if (end.kind === "denied" || (end.kind === "unknown" && isRead)) return;
    // What was answered and not acknowledged may yet be lost.
    const counts = end.kind === "answered" && (end.acknowledged || isRead);
    const returned = counts ? { output: this.#answerOf(end.answer), atMs } : null;
    (isLocal ? this.#local : this.#ordered).push({ client, input: asked, calledMs, returned });
  }
}
