// Transfer model: a bank of accounts between which amounts move; a read sees all at one moment.
// Owns: the model. Does not own: histories, searches (linearizability.ts).
// All accounts of a bank are one state: that their sum is kept, and that a read shows one moment
// and not several, follows from that.
import type { Model } from "./model.ts";

export type TransferInput =
  | { readonly kind: "readAll"; readonly bank: string }
  | {
      readonly kind: "transfer";
      readonly bank: string;
      readonly from: number;
      readonly to: number;
      readonly amount: number;
    };

/** Of a read: all balances. Of a transfer: whether there was enough. */
export interface TransferOutput {
  readonly balances?: readonly number[];
  readonly moved?: boolean;
}

export type TransferState = readonly number[];

/** Banks of so many accounts, each of which begins with so much. */
export function transferModel(
  accounts: number,
  beginsWith: number,
): Model<TransferState, TransferInput, TransferOutput> {
  const initial: TransferState = Array.from({ length: accounts }, () => beginsWith);
  return {
    part: (input) => input.bank,
    init: () => initial,
    step(state, input, output) {
      if (input.kind === "readAll") {
        return output === null || isSame(state, output.balances) ? state : null;
      }
      const { from, to, amount } = input;
      const enough = (state[from] ?? 0) >= amount;
      if (output !== null && output.moved !== enough) return null;
      if (!enough) return state;
      const after = [...state];
      after[from] = (after[from] ?? 0) - amount;
      after[to] = (after[to] ?? 0) + amount;
      return after;
    },
    isRead: (input, output) => input.kind === "readAll" || output?.moved === false,
    key: (state) => state.join(),
    describe(input, output) {
      if (input.kind === "readAll") {
        const saw = output?.balances?.join() ?? "unknown";
        return output === null ? `read ${input.bank}` : `read ${input.bank} → ${saw}`;
      }
      const { bank, from, to, amount } = input;
      const answer = output === null ? "" : ` → ${String(output.moved)}`;
      return `transfer ${bank} ${String(from)} → ${String(to)}: ${String(amount)}${answer}`;
    },
  };
}

function isSame(state: TransferState, balances: readonly number[] | undefined): boolean {
  return (
    balances?.length === state.length && balances.every((balance, at) => balance === state[at])
  );
}
