// Checkpoint moves: what both halves of the checkpoint machine are made of.
// Owns: a call that goes out, and the calls that move and confirm head.
// Does not own: which move follows which event (checkpoint-machine.ts, checkpoint-trim.ts).
import type {
  CheckpointCall,
  CheckpointPhase,
  CheckpointState,
  CheckpointStep,
} from "./checkpoint-state.ts";
import { headKey } from "./grid-keys.ts";
import { encodeHead } from "./log-record.ts";
import { confirmCall } from "./log-write.ts";

/** Goes on to `phase`, in which `call` is out. */
export function calling(
  state: CheckpointState,
  phase: CheckpointPhase,
  call: CheckpointCall,
): CheckpointStep {
  return { state: { ...state, phase, call }, outputs: [{ kind: "call", call }] };
}

/** Moves head from where it is known to be. */
export function moveHead(state: CheckpointState, to: number): CheckpointStep {
  const key = headKey(state.config.partition);
  const expected = encodeHead(state.head);
  const call = { op: "replaceIfSame", key, expected, value: encodeHead(to) } as const;
  return calling(state, { name: "moveHead", to }, call);
}

/** Confirms head where it was found, or is thought to be. */
export function confirmHead(state: CheckpointState, to: number): CheckpointStep {
  const call = confirmCall(headKey(state.config.partition), encodeHead(to));
  return calling(state, { name: "confirmHead", to }, call);
}

export function readHead(state: CheckpointState, to: number): CheckpointStep {
  const key = headKey(state.config.partition);
  return calling(state, { name: "readHead", to }, { op: "get", key });
}
