// Write: step 1 of the log's protocol, one value brought under one key, apart from all I/O.
// Owns: when a value is durable, and when it is beaten. Does not own: what follows from either.
// Source: the model-checked protocol, docs/log-protocol.md, step 1.
// Invariants (docs/invariants.md):
//   L1. Durable is said only where the value was stored by a definite call of ours, or found and
//       then confirmed: a value that was found proves no backup.
//   L2. An unknown outcome is repeated with the identical bytes until it is definite.
//   L3. Beaten is said only where the other value was confirmed (helped) first: an unconfirmed
//       one may vanish with its primary, and ours, delayed, may land after all.
import type { LogRules } from "./log-rules.ts";

/** What the store is asked; every call of the log has one of these shapes. */
export type LogCall =
  | { readonly op: "get"; readonly key: Buffer }
  | { readonly op: "getMany"; readonly keys: readonly Buffer[] }
  | { readonly op: "putIfAbsent"; readonly key: Buffer; readonly value: Buffer }
  | {
      readonly op: "replaceIfSame";
      readonly key: Buffer;
      readonly expected: Buffer;
      readonly value: Buffer;
    };

/** What the store said; `known: false` is an unknown outcome. */
export type LogAnswer =
  | { readonly known: false }
  | {
      readonly known: true;
      readonly value: null | boolean | Buffer | readonly (Buffer | null)[];
    };

export interface WriteState {
  readonly key: Buffer;
  readonly value: Buffer;
  /** put: putIfAbsent is out. own: our own value found, being confirmed. other: another's. */
  readonly stage: "put" | "own" | "other";
  readonly other: Buffer | null;
}

export type WriteStep =
  | { readonly kind: "call"; readonly state: WriteState }
  | { readonly kind: "durable" }
  | { readonly kind: "beaten"; readonly other: Buffer };

/** Begins a Write; its first call is `writeCall` of the state. */
export function startWrite(key: Buffer, value: Buffer): WriteState {
  return { key, value, stage: "put", other: null };
}

/** `replaceIfSame(key, value, value)`: true proves that the value is on every copy. */
export function confirmCall(key: Buffer, value: Buffer): LogCall {
  return { op: "replaceIfSame", key, expected: value, value };
}

/** The call that a Write has out in this state. */
export function writeCall(state: WriteState): LogCall {
  switch (state.stage) {
    case "put":
      return { op: "putIfAbsent", key: state.key, value: state.value };
    case "own":
      return confirmCall(state.key, state.value);
    case "other":
      return confirmCall(state.key, state.other ?? state.value);
  }
}

/** What follows from a definite answer. An unknown one is repeated by the caller (L2). */
export function answerWrite(
  state: WriteState,
  value: null | boolean | Buffer,
  rules: LogRules,
): WriteStep {
  const again: WriteStep = { kind: "call", state: startWrite(state.key, state.value) };
  switch (state.stage) {
    case "put": {
      if (value === null) return { kind: "durable" };
      const found = value as Buffer;
      if (found.equals(state.value)) {
        if (!rules.confirmOwn) return { kind: "durable" };
        return { kind: "call", state: { ...state, stage: "own" } };
      }
      if (!rules.confirmOther) return { kind: "beaten", other: found };
      return { kind: "call", state: { ...state, stage: "other", other: found } };
    }
    case "own":
      // false: it vanished with its primary. It is not lost: a duplicate of it may still land.
      if (value === true) return { kind: "durable" };
      return rules.repeatVanished ? again : { kind: "beaten", other: state.value };
    case "other":
      if (value === true && state.other !== null) return { kind: "beaten", other: state.other };
      return again;
  }
}
