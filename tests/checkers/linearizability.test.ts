// Goal: the checker's verdicts are right (C1). Method: histories that were made valid, with many
// clients that never heard an answer; the same with one lie in them; small histories of any kind,
// judged by brute force as well; histories of known verdict, written by hand.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { checkLinearizable } from "../../src/checkers/linearizability.ts";
import { withLocalReads } from "../../src/checkers/local-reads.ts";
import type { Model, Operation } from "../../src/checkers/model.ts";
import {
  registerModel,
  type RegisterInput,
  type RegisterOutput,
} from "../../src/checkers/register-model.ts";
import {
  transferModel,
  type TransferInput,
  type TransferOutput,
} from "../../src/checkers/transfer-model.ts";
import { bruteForce } from "./brute-force.ts";
import {
  bank,
  registerHistory,
  transferHistory,
  type RegisterOperation,
  type TransferOperation,
} from "./made-histories.ts";

const stepsMax = 2_000_000;
const bankModel = transferModel(bank.accounts, bank.beginsWith);
const verdictOf = (history: readonly RegisterOperation[]) =>
  checkLinearizable(registerModel, history, stepsMax).verdict;
const bankVerdictOf = (history: readonly TransferOperation[]) =>
  checkLinearizable(bankModel, history, stepsMax).verdict;

/** `client [called, returned] input → output`, in short. */
function op(
  client: number,
  called: number,
  returned: number | null,
  input: RegisterInput,
  output: RegisterOutput = {},
): RegisterOperation {
  const end = returned === null ? null : { output, atMs: returned };
  return { client, input, calledMs: called, returned: end };
}
const get: RegisterInput = { kind: "get", key: "x" };
const put = (value: number): RegisterInput => ({ kind: "put", key: "x", value });
const cas = (expected: number | null, value: number): RegisterInput => ({
  kind: "cas",
  key: "x",
  expected,
  value,
});
const saw = (value: number | null): RegisterOutput => ({ value });

// The shapes of Herlihy and Wing's paper and of the public checkers' examples.
const handWritten: readonly [string, "ok" | "illegal", RegisterOperation[]][] = [
  ["nothing", "ok", []],
  ["a read before any write", "ok", [op(0, 0, 1, get, saw(null))]],
  ["a value from nowhere", "illegal", [op(0, 0, 1, get, saw(7))]],
  [
    "two reads beside a write see new, then old",
    "illegal",
    [op(0, 0, 1, put(0)), op(0, 2, 9, put(1)), op(1, 3, 4, get, saw(1)), op(2, 5, 6, get, saw(0))],
  ],
  [
    "two reads beside a write see old, then new",
    "ok",
    [op(0, 0, 1, put(0)), op(0, 2, 9, put(1)), op(1, 3, 4, get, saw(0)), op(2, 5, 6, get, saw(1))],
  ],
  [
    "concurrent reads see new and old",
    "ok",
    [op(0, 0, 1, put(0)), op(0, 2, 9, put(1)), op(1, 3, 6, get, saw(1)), op(2, 5, 8, get, saw(0))],
  ],
  [
    "touching at one moment is concurrent",
    "ok",
    [op(0, 0, 5, put(1)), op(1, 5, 6, get, saw(null))],
  ],
  ["a moment later it is not", "illegal", [op(0, 0, 5, put(1)), op(1, 5.1, 6, get, saw(null))]],
  [
    "a write of unknown outcome takes effect much later",
    "ok",
    [op(0, 0, null, put(1)), op(1, 2, 3, get, saw(null)), op(1, 50, 51, get, saw(1))],
  ],
  [
    "and does not go away again",
    "illegal",
    [op(0, 0, null, put(1)), op(1, 2, 3, get, saw(1)), op(1, 50, 51, get, saw(null))],
  ],
  ["and is not before its call", "illegal", [op(1, 2, 3, get, saw(1)), op(0, 4, null, put(1))]],
  [
    "an unknown replacement that fits nowhere is not forced",
    "ok",
    [op(0, 0, 1, put(1)), op(1, 2, null, cas(8, 9)), op(2, 3, 4, get, saw(1))],
  ],
  [
    "one replacement of two wins",
    "ok",
    [
      op(0, 0, 1, put(1)),
      op(1, 2, 5, cas(1, 2), { swapped: true }),
      op(2, 2, 5, cas(1, 3), { swapped: false }),
      op(0, 6, 7, get, saw(2)),
    ],
  ],
  [
    "both win",
    "illegal",
    [
      op(0, 0, 1, put(1)),
      op(1, 2, 5, cas(1, 2), { swapped: true }),
      op(2, 2, 5, cas(1, 3), { swapped: true }),
    ],
  ],
  [
    "an acknowledged write is lost",
    "illegal",
    [op(0, 0, 1, put(1)), op(0, 2, 3, put(2)), op(1, 4, 5, get, saw(1))],
  ],
  [
    "a write counts twice",
    "illegal",
    [op(0, 0, 1, put(1)), op(1, 2, 3, put(2)), op(2, 4, 5, get, saw(2)), op(2, 6, 7, get, saw(1))],
  ],
];

describe("histories of known verdict", () => {
  test.for(handWritten)("C1: %s: %s", ([, verdict, history]) => {
    expect(verdictOf(history)).toBe(verdict);
    expect(bruteForce(registerModel, history)).toBe(verdict === "ok");
  });
});

describe("valid histories", () => {
  test("C1: a history with crashes that some order explains is ok, whatever it looks like", () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = seededRandom(seed);
      const clients = 2 + random.below(9);
      const crashes = random.pick([0, 0.05, 0.3]);
      const history = registerHistory(random, { clients, operations: 200, crashes });
      expect(verdictOf(history), `seed ${String(seed)}`).toBe("ok");
      const transfers = transferHistory(random, { clients: 5, operations: 120, crashes: 0.1 });
      expect(bankVerdictOf(transfers), `transfers, seed ${String(seed)}`).toBe("ok");
    }
  });

  test("C1: one hard part does not keep an illegal one from being found", () => {
    const random = seededRandom(7);
    // Writes of which nobody ever heard, and a read that none of them explains: many orders.
    const hard = Array.from({ length: 60 }, (_, n) =>
      op(n, 0, null, { kind: "cas", key: "hard", expected: n === 0 ? null : n, value: n + 1 }),
    );
    const puts = Array.from({ length: 30 }, (_, n) =>
      op(n, 0, 100, { kind: "put", key: "hard", value: n }),
    );
    const never = op(99, 200, 201, { kind: "get", key: "hard" }, saw(-1));
    const easy = registerHistory(random, { clients: 3, operations: 50, crashes: 0, keys: 5 });
    const stale = op(99, 1e6, 2e6, { kind: "get", key: "k3" }, saw(-5));
    const mixed = [...hard, ...puts, never, ...easy, stale];
    const result = checkLinearizable(registerModel, mixed, 100_000);
    expect(result.verdict).toBe("illegal");
    expect(result.reason).toContain("part k3");
    expect(checkLinearizable(registerModel, [...hard, ...puts, never], 50_000)).toMatchObject({
      verdict: "unknown",
      steps: 50_000,
    });
  });
});

/** Changes one operation so that no order explains the history; null where it cannot be done. */
type Lie = (history: RegisterOperation[], random: Random) => RegisterOperation[] | null;

const returnedAt = ({ returned }: RegisterOperation): number => returned?.atMs ?? Infinity;
const afterAll = (history: readonly RegisterOperation[]): number =>
  1 + Math.max(...history.map(({ calledMs, returned }) => returned?.atMs ?? calledMs));

/** The value that a quiet last read would see, and a value that it cannot have been for long. */
function writtenFirst(history: readonly RegisterOperation[]): number | null {
  const writes = history.filter(({ input, returned }) => input.kind === "put" && returned !== null);
  const [first, second] = writes.sort((a, b) => returnedAt(a) - returnedAt(b));
  if (first?.input.kind !== "put" || second === undefined) return null;
  return writes.some(({ calledMs }) => calledMs > returnedAt(first)) ? first.input.value : null;
}

const lies: Readonly<Record<string, Lie>> = {
  "a stale read": (history) => {
    const old = writtenFirst(history);
    const atMs = afterAll(history);
    return old === null ? null : [...history, op(77, atMs, atMs + 1, get, saw(old))];
  },
  "a lost acknowledgement": (history) => {
    const atMs = afterAll(history);
    const before = history.filter(({ returned }) => returned !== null); // none may come later
    const write = op(77, atMs, atMs + 1, put(-1));
    return [...before, write, op(78, atMs + 2, atMs + 3, get, saw(before.length === 0 ? 1 : null))];
  },
  "a duplicate effect": (history) => {
    const atMs = afterAll(history);
    const quiet = history.filter(({ returned }) => returned !== null);
    return [
      ...quiet,
      op(77, atMs, atMs + 1, put(-1)),
      op(77, atMs + 2, atMs + 3, put(-2)),
      op(78, atMs + 4, atMs + 5, get, saw(-1)), // the first came once more
    ];
  },
  "a swapped order": (history) => {
    const atMs = afterAll(history);
    return [
      ...history,
      op(77, atMs, atMs + 1, put(-1)),
      op(78, atMs + 2, atMs + 3, cas(-1, -2), { swapped: true }),
      op(79, atMs + 4, atMs + 5, get, saw(-2)),
      op(79, atMs + 6, atMs + 7, get, saw(-1)),
    ];
  },
  "a value that nobody wrote": (history, random) => {
    const reads = history.filter(
      ({ input, returned }) => input.kind === "get" && returned !== null,
    );
    if (reads.length === 0) return null;
    const lied = random.pick(reads);
    const returned = { output: saw(-9), atMs: returnedAt(lied) };
    return history.map((each) => (each === lied ? { ...each, returned } : each));
  },
};

describe("histories with one lie", () => {
  test.for(Object.entries(lies))("C1: %s is illegal, and the reason is short", ([, lie]) => {
    let lied = 0;
    for (let seed = 0; seed < 25; seed++) {
      const random = seededRandom(seed);
      const crashes = random.pick([0, 0.03]);
      const clients = 2 + random.below(5);
      const valid = registerHistory(random, { clients, operations: 80, crashes });
      const history = lie(valid, random);
      if (history === null) continue;
      lied++;
      const { verdict, reason } = checkLinearizable(registerModel, history, stepsMax);
      expect(verdict, `seed ${String(seed)}`).toBe("illegal");
      expect(reason?.split("\n").length).toBeLessThan(20);
    }
    expect(lied).toBeGreaterThan(15);
  });

  test("C1: money that moved twice, came from nowhere or was seen half-way is illegal", () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = seededRandom(seed);
      const valid = transferHistory(random, { clients: 4, operations: 80, crashes: 0 });
      const reads = valid.filter(({ input }) => input.kind === "readAll");
      const lied = random.pick(reads);
      const { output, atMs } = lied.returned ?? { output: {}, atMs: 0 };
      const [first = 0, second = 0, ...others] = output.balances ?? [];
      const wrong = [first + 1, second, ...others]; // one half of a transfer
      const half = { ...lied, returned: { output: { balances: wrong }, atMs } };
      expect(bankVerdictOf(valid.map((each) => (each === lied ? half : each)))).toBe("illegal");

      const atEnd = Math.max(...valid.map(({ returned }) => returned?.atMs ?? 0)) + 1;
      const move = { kind: "transfer", bank: "b", from: 0, to: 1, amount: 1 } as const;
      const read = { kind: "readAll", bank: "b" } as const;
      const see = (balances: number[], at: number): TransferOperation => ({
        client: 9,
        input: read,
        calledMs: at,
        returned: { output: { balances }, atMs: at + 0.5 },
      });
      const last = fold(valid);
      const [a = 0, b = 0, ...rest] = last;
      if (a < 2) continue;
      const moved = { output: { moved: true }, atMs: atEnd + 0.5 };
      const once: TransferOperation = { client: 9, input: move, calledMs: atEnd, returned: moved };
      expect(bankVerdictOf([...valid, once, see([a - 1, b + 1, ...rest], atEnd + 1)])).toBe("ok");
      const twice = see([a - 2, b + 2, ...rest], atEnd + 1);
      expect(bankVerdictOf([...valid, once, twice])).toBe("illegal");
    }
  });
});

/** The balances at the end: transfers commute, as far as each had enough. */
function fold(history: readonly TransferOperation[]): number[] {
  const balances = Array.from({ length: bank.accounts }, () => bank.beginsWith);
  for (const { input, returned } of history) {
    if (input.kind !== "transfer" || returned?.output.moved !== true) continue;
    balances[input.from] = (balances[input.from] ?? 0) - input.amount;
    balances[input.to] = (balances[input.to] ?? 0) + input.amount;
  }
  return balances;
}

describe("agreement", () => {
  const value = fc.integer({ min: 1, max: 3 });
  const account = fc.integer({ min: 0, max: 2 });
  const interval = fc.record({ called: fc.nat(12), lasts: fc.nat(6), heard: fc.boolean() });
  const onRegister: fc.Arbitrary<[RegisterInput, RegisterOutput]> = fc.oneof(
    fc.option(value).map((seen): [RegisterInput, RegisterOutput] => [get, saw(seen)]),
    value.map((written): [RegisterInput, RegisterOutput] => [put(written), {}]),
    fc
      .tuple(fc.option(value), value, fc.boolean())
      .map(([expected, written, swapped]): [RegisterInput, RegisterOutput] => [
        cas(expected, written),
        { swapped },
      ]),
  );
  const read: TransferInput = { kind: "readAll", bank: "b" };
  const onBank: fc.Arbitrary<[TransferInput, TransferOutput]> = fc.oneof(
    fc
      .constantFrom([2, 2], [1, 3], [3, 1], [0, 4], [4, 0])
      .map((balances): [TransferInput, TransferOutput] => [read, { balances }]),
    fc
      .tuple(account, value, fc.boolean())
      .map(([from, amount, moved]): [TransferInput, TransferOutput] => [
        { kind: "transfer", bank: "b", from: from % 2, to: 1 - (from % 2), amount },
        { moved },
      ]),
  );

  /** Histories of any kind, judged twice; both verdicts must come up often. */
  function agree<State extends object, Input, Output>(
    model: Model<State, Input, Output>,
    operation: fc.Arbitrary<[Input, Output]>,
  ): void {
    const seen = { ok: 0, illegal: 0 };
    const any = fc
      .tuple(operation, interval)
      .map(([[input, output], { called, lasts, heard }]): Operation<Input, Output> => {
        const returned = heard ? { output, atMs: called + lasts } : null;
        return { client: 0, input, calledMs: called, returned };
      });
    fc.assert(
      fc.property(fc.array(any, { minLength: 2, maxLength: 7 }), (history) => {
        const expected = bruteForce(model, history) ? "ok" : "illegal";
        seen[expected]++;
        expect(checkLinearizable(model, history, stepsMax).verdict).toBe(expected);
      }),
      { numRuns: 4000 },
    );
    expect(Math.min(seen.ok, seen.illegal)).toBeGreaterThan(200);
  }

  test("C1: the verdict on a register is that of brute force", () => {
    agree(registerModel, onRegister);
  });

  test("C1: the verdict on a bank is that of brute force", () => {
    agree(transferModel(2, 2), onBank);
  });
});

describe("local reads", () => {
  const history = [op(0, 0, 1, put(1)), op(0, 100, 101, put(2)), op(0, 200, 201, put(3))];
  const judge = (read: RegisterOperation, staleMsMax: number) =>
    verdictOf(withLocalReads(history, [read], staleMsMax));

  test("C1: a local read may be as old as stated, and no older", () => {
    expect(judge(op(1, 250, 251, get, saw(2)), 60)).toBe("ok");
    expect(judge(op(1, 250, 251, get, saw(2)), 40)).toBe("illegal");
    expect(judge(op(1, 250, 251, get, saw(1)), 60)).toBe("illegal");
  });

  test("C1: a local read shows no value that was never there, however old it may be", () => {
    expect(judge(op(1, 250, 251, get, saw(4)), 1000)).toBe("illegal");
    expect(judge(op(1, 150, 151, get, saw(3)), 1000)).toBe("illegal"); // not written yet
    const lost = op(2, 120, 130, cas(1, 9), { swapped: false });
    const read = op(1, 250, 251, get, saw(9));
    expect(verdictOf(withLocalReads([...history, lost], [read], 1000))).toBe("illegal");
  });
});
