// SQL transaction: statements that take effect together, sent in one go.
// Owns: the frame around them (BEGIN, the mark, COMMIT), what became of it.
// Does not own: the statements, the connection, what an outcome means (postgres-database.ts).
// Invariants (docs/invariants.md):
//   D4. From the moment that COMMIT was sent, only its answer makes an outcome definite.
//   D32. A statement takes effect inside its own transaction or not at all: what it changes depends
//        on `insideOnly` (statements.ts), directly or through the step.
// COMMIT follows at once, without waiting for an answer: where a statement before it failed,
// PostgreSQL makes it a ROLLBACK, and says so. BEGIN and COMMIT are never prepared, so the driver
// never repeats them.
import { assert } from "../base/assert.ts";
import {
  leavesConnection,
  serverState,
  type AnswerRow,
  type PostgresConnection,
} from "./connection.ts";
import type { Statement } from "./statements.ts";

/**
 * - `done`: all of it took effect (or was taken back, as it was asked for).
 * - `refused`: nothing of it took effect, and nothing will.
 * - `unknown`: it may have taken effect, or may still do.
 */
export type TransactionEnd =
  | { readonly kind: "done"; readonly answers: readonly AnswerRow[][] }
  | { readonly kind: "refused"; readonly error: unknown }
  | { readonly kind: "unknown"; readonly error: unknown };

/**
 * Sends a transaction, before it returns; `mark` names it, once for its connection: a number.
 * `lock` is a statement of its beginning, or "".
 */
export async function sendTransaction(
  connection: PostgresConnection,
  mark: number,
  statements: readonly Statement[],
  end: "COMMIT" | "ROLLBACK",
  lock = "",
): Promise<TransactionEnd> {
  const begin = `BEGIN; SET LOCAL orrery.transaction = '${String(mark)}'; ${lock}`;
  const begun = connection.command(begin);
  const sent = statements.map(({ text, parameters }) => connection.rows(text, parameters));
  const ended = connection.command(end);
  const [[beginning], answers, [ending]] = await Promise.all([
    Promise.allSettled([begun]),
    Promise.allSettled(sent),
    Promise.allSettled([ended]),
  ]);
  for (const answer of [beginning, ...answers]) {
    if (answer.status === "fulfilled") continue;
    const error: unknown = answer.reason;
    // What the server refused cannot be committed any more, whatever became of the connection.
    if (serverState(error) !== null) return { kind: "refused", error };
    assert(ending.status === "rejected", "a transaction without one of its statements");
    return { kind: "unknown", error };
  }
  if (ending.status === "rejected") {
    const error: unknown = ending.reason;
    // A constraint that is looked at last refuses the rows at COMMIT, and says so.
    const isRefused = leavesConnection(serverState(error) ?? "");
    return { kind: isRefused ? "refused" : "unknown", error };
  }
  // The driver had sent a statement again, alone, and that went well: it is not part of this.
  if (ending.value !== end) return { kind: "refused", error: new Error("it was taken back") };
  return { kind: "done", answers: answers.map((answer) => fulfilled(answer)) };
}

function fulfilled<T>(answer: PromiseSettledResult<T>): T {
  assert(answer.status === "fulfilled", "all others were looked at");
  return answer.value;
}
