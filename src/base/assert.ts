// Assertions: they state what must hold, and stay on in production.
// Owns: the error that a broken assertion throws. Does not own: operating errors (failure.ts).
// A failed assertion is a bug in this program. It stops the partition it happens in, because a
// stopped partition can be taken over, and a wrong answer cannot be taken back.

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws AssertionError unless `condition` holds. A costly message is given as a function. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new AssertionError(typeof message === "string" ? message : message());
}

/** Returns `value`, or throws AssertionError where it is null or undefined. */
export function must<T>(value: T | null | undefined, message: string | (() => string)): T {
  if (value === null || value === undefined) {
    throw new AssertionError(typeof message === "string" ? message : message());
  }
  return value;
}

/** Closes a switch over a union: a case that was forgotten does not compile. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
