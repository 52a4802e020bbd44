// Pointer swap: one value taken to the place of another under one key, apart from all I/O: the
// compare-and-set of docs/log-protocol.md (step 12) for a value that no writer ever writes twice.
// Owns: when the new value is there for certain. Does not own: what the values mean.
// Invariants (docs/invariants.md):
//   L1. Durable is said only where a definite call of ours put it there, or it was found and then
//       confirmed.
//   G4. The pointer moves by compare-and-set, from what was read, to a value that was never there
//       before: nothing old comes back.
import { confirmCall, type LogCall } from "./log-write.ts";

export interface SwapState {
  readonly key: Buffer;
  readonly expected: Buffer;
  readonly value: Buffer;
  readonly stage: "replace" | "read" | "confirm";
}

export type SwapStep =
  | { readonly kind: "call"; readonly state: SwapState }
  | { readonly kind: "durable" }
  /** Something else is there, and no more can come of this. */
  | { readonly kind: "beaten"; readonly other: Buffer | null };

export function startSwap(key: Buffer, expected: Buffer, value: Buffer): SwapState {
  return { key, expected, value, stage: "replace" };
}

/** The call that a swap has out in this state. */
export function swapCall({ key, expected, value, stage }: SwapState): LogCall {
  switch (stage) {
    case "replace":
      return { op: "replaceIfSame", key, expected, value };
    case "read":
      return { op: "get", key };
    case "confirm":
      return confirmCall(key, value);
  }
}

/** What follows from a definite answer. An unknown one is repeated by the caller. */
export function answerSwap(state: SwapState, answer: null | boolean | Buffer): SwapStep {
  const to = (stage: SwapState["stage"]): SwapStep => {
    return { kind: "call", state: { ...state, stage } };
  };
  if (state.stage !== "read") return answer === true ? { kind: "durable" } : to(afterFalse(state));
  const found = answer as Buffer | null;
  if (found?.equals(state.value) === true) return to("confirm");
  // It vanished with its primary, or another's did that had beaten us.
  if (found?.equals(state.expected) === true) return to("replace");
  return { kind: "beaten", other: found };
}

function afterFalse({ stage }: SwapState): SwapState["stage"] {
  return stage === "replace" ? "read" : "replace";
}
