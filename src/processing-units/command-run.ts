// Command run: one handler, run once against a partition's memory, without any effect on it yet.
// Owns: what a handler may do and answer. Does not own: whether its command may run, what becomes
// of its changes (partition.ts).
// Invariants (docs/invariants.md):
//   P1. A handler that throws changes nothing.
import { failed, failure, FailureError, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type { Command } from "./application.ts";
import { BufferedTransaction, type TransactionOptions } from "./transaction.ts";
import { freezeValue } from "./value.ts";

/** What a handler answered, and changed: nothing, or these. */
export interface CommandResult {
  readonly answer: Value;
  readonly changes: readonly Change[];
  /** A bound of the encoded size of the changes and the answer, and of the answer alone. */
  readonly bytes: number;
  readonly answerBytes: number;
}

/**
 * Runs a command's handler. Fails with what it throws, or HANDLER_FAILED; with VALUE_TOO_LARGE
 * where its changes and its answer do not fit one entry of a record. Then nothing was changed.
 */
export function runCommand(
  name: string,
  command: Command,
  input: Value,
  options: TransactionOptions,
): Outcome<CommandResult> {
  const tx = new BufferedTransaction(options);
  try {
    const answer = command.handle(tx, input) ?? null;
    if (isPromise(answer)) {
      answer.then(undefined, () => undefined); // what the rest of it does is void
      throw new Error("a handler must be synchronous, it gave a promise");
    }
    const { changes, bytes } = tx.close();
    if (changes.length === 0) return ok({ answer, changes, bytes, answerBytes: 0 });
    // Journaled beside the changes, wherever it was sent from: no answer may depend on that.
    const answerBytes = freezeValue(answer);
    const isTooLarge = answerBytes > limits.valueBytesMax;
    if (isTooLarge || bytes + answerBytes > limits.commandBytesMax) {
      const sizes = `${String(bytes)} and ${String(answerBytes)} bytes`;
      return failed("VALUE_TOO_LARGE", `what ${name} changes and answers is too large: ${sizes}`);
    }
    return ok({ answer, changes, bytes: bytes + answerBytes, answerBytes });
  } catch (error) {
    tx.close(); // P1
    return { ok: false, failure: handlerFailure(name, error) };
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}

function handlerFailure(command: string, error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  return failure("HANDLER_FAILED", `command ${command} failed: ${message}`);
}
