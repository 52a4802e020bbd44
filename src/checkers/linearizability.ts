// Linearizability: judges a recorded history of operations from outside. Three verdicts: "ok",
// "illegal" with a short reason, and "unknown" where the budget was used up first; whoever asks
// must treat unknown as a failure. Budgets are steps, not time, so that a verdict repeats.
// Owns: the split into parts, the order in which they are searched, the reason of a verdict.
// Does not own: the search (linearizability-search.ts), the models (register-model.ts, …).
// Invariants (docs/invariants.md):
//   C1. A verdict is right: ok where some order explains the history, illegal where none does.
import { must } from "../base/assert.ts";
import { LinearizabilitySearch } from "./linearizability-search.ts";
import type { Model, Operation } from "./model.ts";

export interface LinearizabilityVerdict {
  readonly verdict: "ok" | "illegal" | "unknown";
  /** For people; null where the verdict is ok. */
  readonly reason: string | null;
  /** Steps of the model that it took. */
  readonly steps: number;
}

/** One hard part must not keep the others waiting: each gets so many steps, then 4 × as many. */
const firstSteps = 1000;
const growth = 4;
/** Operations of the smallest illegal prefix that the reason shows, the last ones. */
const shownOperations = 12;

/**
 * Judges a history, in any order, of any number of parts. `stepsMax` bounds all searches of
 * verdicts together (a reason takes as many again, at most).
 */
export function checkLinearizable<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  stepsMax: number,
): LinearizabilityVerdict {
  const parts = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    const part = model.part(operation.input);
    const known = parts.get(part);
    if (known === undefined) parts.set(part, [operation]);
    else known.push(operation);
  }
  let open = [...parts].map(([part, operations]) => ({
    part,
    operations,
    search: new LinearizabilitySearch(model, part, operations),
  }));
  let steps = 0;
  for (let share = firstSteps; open.length > 0 && steps < stepsMax; share *= growth) {
    for (const { part, operations, search } of open) {
      const before = search.steps;
      search.run(Math.min(share, stepsMax - steps));
      steps += search.steps - before;
      if (search.verdict === "illegal") {
        const reason = explain(model, part, operations, stepsMax);
        return { verdict: "illegal", reason, steps };
      }
    }
    open = open.filter(({ search }) => search.verdict === null);
  }
  if (open.length === 0) return { verdict: "ok", reason: null, steps };
  const [first] = open;
  const hard = `${String(open.length)} parts, ${first?.part ?? ""} among them`;
  return { verdict: "unknown", reason: `not known after ${String(steps)} steps: ${hard}`, steps };
}

/** The history as it was at a moment: what had not returned then may have happened or not. */
function prefix<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  untilMs: number,
): Operation<Input, Output>[] {
  return operations
    .filter(({ calledMs }) => calledMs <= untilMs)
    .map((operation) =>
      operation.returned !== null && operation.returned.atMs > untilMs
        ? { ...operation, returned: null }
        : operation,
    );
}

/** Searches the shortest prefix that is illegal: what is behind it has nothing to do with it. */
function explain<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  part: string,
  operations: readonly Operation<Input, Output>[],
  stepsMax: number,
): string {
  const ends = operations.flatMap(({ returned }) => (returned === null ? [] : [returned.atMs]));
  const moments = [...new Set(ends)].sort((a, b) => a - b);
  const tries = Math.ceil(Math.log2(moments.length + 1)) + 1;
  const searchUntil = (index: number) => {
    const cut = prefix(operations, moments[index] ?? -Infinity);
    const search = new LinearizabilitySearch(model, part, cut);
    search.run(Math.ceil(stepsMax / tries));
    return search;
  };
  // Illegal stays illegal with more behind it. A prefix too hard to judge counts as legal: then
  // the reason is longer than it need be, and still one.
  let legal = -1;
  let illegal = moments.length - 1;
  while (illegal - legal > 1) {
    const middle = (legal + illegal) >> 1;
    if (searchUntil(middle).verdict === "illegal") illegal = middle;
    else legal = middle;
  }
  const untilMs = must(moments[illegal], "an illegal history has an operation that returned");
  const before = searchUntil(legal);
  const shown = prefix(operations, untilMs)
    .sort((a, b) => endOf(a) - endOf(b))
    .slice(-shownOperations)
    .map((operation) => `  ${describe(model, operation)}`);
  const possible =
    before.verdict === "ok"
      ? [`  (before the last, a possible state: ${model.key(before.state)})`]
      : [];
  const where = `part ${part}: no order explains what had returned at ${untilMs.toFixed(3)} ms`;
  return [where, ...shown, ...possible].join("\n");
}

function endOf({ returned }: Operation<unknown, unknown>): number {
  return returned === null ? -Infinity : returned.atMs;
}

function describe<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  { client, input, calledMs, returned }: Operation<Input, Output>,
): string {
  const until = returned === null ? "unknown" : returned.atMs.toFixed(3);
  const what = model.describe(input, returned === null ? null : returned.output);
  return `client ${String(client)} [${calledMs.toFixed(3)}, ${until}] ${what}`;
}
