// A second opinion on small histories: tries every order of every subset of what is not known.
import type { Model, Operation } from "../../src/checkers/model.ts";

/** True where some order explains the history. Exponential: for a handful of operations. */
export function bruteForce<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): boolean {
  const parts = new Set(history.map(({ input }) => model.part(input)));
  return [...parts].every((part) => {
    const own = history.filter(({ input }) => model.part(input) === part);
    return extend(model, model.init(part), own);
  });
}

/** Places any operation that may come next; those that are not known need never be placed. */
function extend<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  state: State,
  rest: readonly Operation<Input, Output>[],
): boolean {
  if (rest.every(({ returned }) => returned === null)) return true;
  return rest.some((next) => {
    const mustWait = rest.some(
      (other) => other !== next && other.returned !== null && other.returned.atMs < next.calledMs,
    );
    if (mustWait) return false;
    const output = next.returned === null ? null : next.returned.output;
    const after = model.step(state, next.input, output);
    if (after === null) return false;
    return extend(
      model,
      after,
      rest.filter((other) => other !== next),
    );
  });
}
