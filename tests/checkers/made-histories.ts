// Histories that are valid because they were made so: clients whose operations take effect at one
// moment between call and return; some never hear of it, some of those never take effect.
import type { Operation } from "../../src/checkers/model.ts";
import type { RegisterInput, RegisterOutput } from "../../src/checkers/register-model.ts";
import type { TransferInput, TransferOutput } from "../../src/checkers/transfer-model.ts";
import type { Random } from "../../src/base/random.ts";

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>;
export type TransferOperation = Operation<TransferInput, TransferOutput>;

interface Shape<Input> {
  readonly random: Random;
  readonly clients: number;
  readonly operations: number;
  /** How many (0–1) never return. */
  readonly crashes: number;
  readonly input: (random: Random) => Input;
}

interface Effect<Input> {
  readonly client: number;
  readonly input: Input;
  readonly calledMs: number;
  readonly atMs: number;
  readonly returnedMs: number | null;
}

/** Calls, effects and returns; `apply` is called in the order of the effects. */
function make<Input, Output>(
  shape: Shape<Input>,
  apply: (input: Input) => Output,
): Operation<Input, Output>[] {
  const { random, clients, operations, crashes } = shape;
  const freeAtMs = Array.from({ length: clients }, () => random.fraction() * 10);
  const effects: Effect<Input>[] = [];
  for (let each = 0; each < operations; each++) {
    const client = random.below(clients);
    const calledMs = (freeAtMs[client] ?? 0) + random.fraction() * 5;
    const atMs = calledMs + random.fraction() * 10;
    const crashed = random.chance(crashes);
    const returnedMs = crashed ? null : atMs + random.fraction() * 10;
    // A client goes on after a crash; what it left behind may take effect much later, or never.
    const lateMs = crashed ? random.pick([0, 100, Infinity]) : 0;
    freeAtMs[client] = returnedMs ?? atMs;
    const input = shape.input(random);
    effects.push({ client, input, calledMs, atMs: atMs + lateMs, returnedMs });
  }
  effects.sort((a, b) => a.atMs - b.atMs);
  return effects.map(({ client, input, calledMs, atMs, returnedMs }) => {
    const output = atMs === Infinity ? null : apply(input);
    const isHeard = output !== null && returnedMs !== null;
    return { client, input, calledMs, returned: isHeard ? { output, atMs: returnedMs } : null };
  });
}

/** A valid history of registers; every written value is written once. */
export function registerHistory(
  random: Random,
  options: { clients: number; operations: number; crashes: number; keys?: number },
): RegisterOperation[] {
  const values = new Map<string, number>();
  let nextValue = 1;
  const keys = Array.from({ length: options.keys ?? 1 }, (_, key) => `k${String(key)}`);
  const input = (): RegisterInput => {
    const key = random.pick(keys);
    const dice = random.below(3);
    if (dice === 0) return { kind: "get", key };
    if (dice === 1) return { kind: "put", key, value: nextValue++ };
    const expected = random.chance(0.2) ? null : Math.max(1, nextValue - 1 - random.below(4));
    return { kind: "cas", key, expected, value: nextValue++ };
  };
  return make<RegisterInput, RegisterOutput>({ random, input, ...options }, (asked) => {
    const found = values.get(asked.key) ?? null;
    if (asked.kind === "get") return { value: found };
    if (asked.kind === "cas" && found !== asked.expected) return { swapped: false };
    values.set(asked.key, asked.value);
    return asked.kind === "cas" ? { swapped: true } : {};
  });
}

export const bank = { accounts: 3, beginsWith: 50 };

/** A valid history of transfers in one bank. */
export function transferHistory(
  random: Random,
  options: { clients: number; operations: number; crashes: number },
): TransferOperation[] {
  const balances = Array.from({ length: bank.accounts }, () => bank.beginsWith);
  let amount = 0;
  const input = (): TransferInput => {
    if (random.chance(0.4)) return { kind: "readAll", bank: "b" };
    const from = random.below(bank.accounts);
    const to = (from + 1 + random.below(bank.accounts - 1)) % bank.accounts;
    return { kind: "transfer", bank: "b", from, to, amount: 1 + (amount++ % 30) };
  };
  return make<TransferInput, TransferOutput>({ random, input, ...options }, (asked) => {
    if (asked.kind === "readAll") return { balances: [...balances] };
    const { from, to, amount: much } = asked;
    if ((balances[from] ?? 0) < much) return { moved: false };
    balances[from] = (balances[from] ?? 0) - much;
    balances[to] = (balances[to] ?? 0) + much;
    return { moved: true };
  });
}
