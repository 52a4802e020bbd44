// Local reads: what a read from an owner's memory promises, judged as linearizability is.
// Owns: what the promise means for a history. Does not own: the search (linearizability.ts).
// A local read shows what was journaled: a state that the object had at some moment between a
// stated time before its call and its return. So it is a read whose interval begins that much
// earlier, in the same order that explains all the other operations: a value that no write made,
// or half of a change, has no place in it, however wide the interval.
import { checkLinearizable } from "./linearizability.ts";
import type { Model, Operation } from "./model.ts";

/** The history in which each local read may be as old as `staleMsMax` at its call. */
export function withLocalReads<Input, Output>(
  history: readonly Operation<Input, Output>[],
  localReads: readonly Operation<Input, Output>[],
  staleMsMax: number,
): Operation<Input, Output>[] {
  const widened = localReads.map((read) => ({ ...read, calledMs: read.calledMs - staleMsMax }));
  return [...history, ...widened];
}

/**
 * What is wrong with a whole history, in words: first that of all operations with one order, then
 * that with its local reads. Not known within `stepsMax` counts as wrong.
 */
export function historyProblems<State extends object, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  localReads: readonly Operation<Input, Output>[],
  bounds: { readonly staleMsMax: number; readonly stepsMax: number },
): string[] {
  const { staleMsMax, stepsMax } = bounds;
  const ordered = checkLinearizable(model, history, stepsMax);
  if (ordered.reason !== null) return [`${ordered.verdict}: ${ordered.reason}`];
  const whole = withLocalReads(history, localReads, staleMsMax);
  const all = checkLinearizable(model, whole, stepsMax);
  return all.reason === null ? [] : [`${all.verdict} with local reads: ${all.reason}`];
}
