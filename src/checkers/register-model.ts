// Register model: a value under a key that is read, written, and replaced where it is as expected.
// Owns: the model. Does not own: histories, searches (linearizability.ts).
import type { Model } from "./model.ts";

export type RegisterInput =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "put"; readonly key: string; readonly value: number }
  | {
      readonly kind: "cas";
      readonly key: string;
      readonly expected: number | null;
      readonly value: number;
    };

/** Of a get: what it saw. Of a cas: whether it replaced. Of a put: nothing. */
export interface RegisterOutput {
  readonly value?: number | null;
  readonly swapped?: boolean;
}

export interface RegisterState {
  /** Null before the first write. */
  readonly value: number | null;
}

/** One part for each key; a register begins without a value. */
export const registerModel: Model<RegisterState, RegisterInput, RegisterOutput> = {
  part: (input) => input.key,
  init: () => ({ value: null }),
  step(state, input, output) {
    switch (input.kind) {
      case "get":
        return output === null || output.value === state.value ? state : null;
      case "put":
        return { value: input.value };
      case "cas": {
        const swaps = state.value === input.expected;
        if (output !== null && output.swapped !== swaps) return null;
        return swaps ? { value: input.value } : state;
      }
    }
  },
  isRead: (input, output) => input.kind === "get" || output?.swapped === false,
  key: (state) => String(state.value),
  describe(input, output) {
    switch (input.kind) {
      case "get":
        return `get ${input.key}${output === null ? "" : ` → ${String(output.value)}`}`;
      case "put":
        return `put ${input.key} ${String(input.value)}`;
      case "cas": {
        const answer = output === null ? "" : ` → ${String(output.swapped)}`;
        return `cas ${input.key} ${String(input.expected)} ${String(input.value)}${answer}`;
      }
    }
  },
};
