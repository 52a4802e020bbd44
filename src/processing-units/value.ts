// Value: what may be kept in a space, checked and frozen in one walk.
// Owns: which data is plain, the bound of its encoded size. Does not own: the encoding itself.
// A value that was put belongs to the space: everyone who reads it sees the same object, so
// nobody may change it, the handler that made it included.
// Refused is also what the log would give back as something else: half of a surrogate pair, the
// name `__proto__`, and nesting so deep that the record could not be written, or not read again.
// And U+0000, which PostgreSQL takes in no column: one such row would stop its partition for good.
// Not refused, but made 0, is -0: arithmetic yields it by chance, and the log knows only one zero.
import { failure, FailureError } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Value } from "../grid/log-record.ts";

const numberBytes = 9;
const headerBytes = 5;
const shortString = 256;

/** One look at what nearly no text has: the two questions below cost three times as much. */
const suspicious = /[\0\ud800-\udfff]/;

/** What is in a text that cannot be kept, in a value or a key; null where all of it can. */
export function textProblem(text: string): string | null {
  if (!suspicious.test(text)) return null;
  if (!text.isWellFormed()) return "half of a surrogate pair";
  return text.includes("\0") ? "the character U+0000" : null;
}

function stringBytes(text: string, path: string): number {
  const problem = textProblem(text);
  if (problem !== null) refuse(path, `a string with ${problem}`);
  // Three bytes a character bound UTF-8; counting exactly pays only where it decides something.
  const bytes = text.length < shortString ? text.length * 3 : Buffer.byteLength(text);
  return headerBytes + bytes;
}

function refuse(path: string, what: string): never {
  throw new FailureError(
    failure("HANDLER_FAILED", `a value holds ${what}${path === "" ? "" : ` at ${path}`}`),
  );
}

function unsignZero(holder: object, name: string | number, path: string): void {
  if (!Reflect.set(holder, name, 0)) refuse(path, `-0 in what is frozen already, as ${name}`);
}

function walkObject(value: object, path: string, depth: number): number {
  if (depth > limits.valueDepthMax) {
    refuse(path, `more than ${String(limits.valueDepthMax)} levels of objects and lists`);
  }
  if (Array.isArray(value)) {
    let bytes = headerBytes;
    for (const [index, item] of value.entries()) {
      if (Object.is(item, -0)) unsignZero(value, index, path);
      bytes += walk(item, path === "" ? String(index) : `${path}.${String(index)}`, depth + 1);
    }
    return bytes;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    refuse(path, `an object of class ${value.constructor.name}; only plain data can be kept`);
  }
  let bytes = headerBytes;
  for (const name of Object.keys(value)) {
    if (name === "__proto__") refuse(path, "a property called __proto__");
    bytes += stringBytes(name, path);
    const part = (value as Record<string, unknown>)[name];
    if (Object.is(part, -0)) unsignZero(value, name, path);
    bytes += walk(part, path === "" ? name : `${path}.${name}`, depth + 1);
  }
  return bytes;
}

function walk(value: unknown, path: string, depth: number): number {
  switch (typeof value) {
    case "string":
      return stringBytes(value, path);
    case "number":
      if (!Number.isFinite(value)) refuse(path, String(value));
      return numberBytes;
    case "boolean":
      return 1;
    case "bigint":
      if (BigInt.asIntN(64, value) !== value) refuse(path, "a bigint of more than 64 bits");
      return numberBytes;
    case "object": {
      if (value === null) return 1;
      const bytes = walkObject(value, path, depth);
      Object.freeze(value);
      return bytes;
    }
    default:
      refuse(path, `${typeof value}; leave the property out, or use null`);
  }
}

/**
 * Checks that a value is plain data, freezes it deeply, and returns an upper bound of its
 * encoded bytes. A -0 inside becomes 0. Throws FailureError (HANDLER_FAILED) where it is not
 * plain data.
 */
export function freezeValue(value: Value): number {
  return walk(value, "", 1);
}

/** Freezes a value that was read from the log: it was checked before it was put there. */
export function freezeLoaded(value: Value): void {
  if (value === null || typeof value !== "object") return;
  for (const part of Object.values<Value>(value)) {
    if (typeof part === "object") freezeLoaded(part);
  }
  Object.freeze(value);
}
