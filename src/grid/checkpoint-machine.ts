// Checkpoint machine: how an owner makes checkpoints of its partition, apart from all I/O:
// (state, event) → (state, outputs). At most one call to the store is out at any time; the log's
// append is beside it.
// Owns: step 12 of the protocol: segments, record, head. Does not own: step 13
// (checkpoint-trim.ts); encoding, calling the store, waiting and repeating (checkpointer.ts); the
// append (log-machine.ts).
// Source: the model-checked protocol, docs/log-protocol.md, step 12.
// Invariants (docs/invariants.md):
//   K1. A checkpoint record and its segments are the fold of the log up to and with the record.
//   K4. Segments are on every copy before a record names them, and their keys are used once.
//   K5. Head moves forward only, to a durable checkpoint record.
//   L1, L2. A segment is brought under its key by Write (log-write.ts); unknown is repeated.
import { assert, must } from "../base/assert.ts";
import {
  notIn,
  type CheckpointAttempt,
  type CheckpointEvent,
  type CheckpointOutput,
  type CheckpointPhase,
  type CheckpointState,
  type CheckpointStep,
} from "./checkpoint-state.ts";
import { finishLeft, trimAnswered, trimTo, type TrimPhase } from "./checkpoint-trim.ts";
import { calling, confirmHead, moveHead, readHead } from "./checkpoint-moves.ts";
import { checkpointsOfEpochMax, segmentKey, segmentsOfCheckpointMax } from "./grid-keys.ts";
import { decodeHead, encodeSegment, type CheckpointBody, type SegmentName } from "./log-record.ts";
import type { LogRules } from "./log-rules.ts";
import type { CheckpointMemory } from "./checkpoint-memory.ts";
import type { Definite } from "./log-moves.ts";
import { answerWrite, startWrite, writeCall } from "./log-write.ts";

/** Each round encodes what changed during the one before; after so many it is given up. */
const roundsMax = 8;

/** One step of the machine. Throws AssertionError where the event does not fit the state. */
export function stepCheckpoint(state: CheckpointState, event: CheckpointEvent): CheckpointStep {
  const { phase } = state;
  switch (event.kind) {
    case "serve":
      return finishLeft(state.config.rules.settleHead ? state : { ...state, isSettled: true });
    case "begin":
      return begin(state, event.everything);
    case "slice":
      assert(phase.name === "encode", "a slice was asked for");
      return writeSegment(state, phase.attempt, event.value, event.encodedAt);
    case "sliced":
      assert(phase.name === "encode", "a slice was asked for");
      if (!event.fits) return nextRound(state, phase.attempt);
      return { state: { ...state, phase: { ...phase, name: "append" } }, outputs: [appendIt] };
    case "tooMuch":
      assert(phase.name === "append", "the record was to leave");
      return nextRound(state, phase.attempt);
    case "durable":
      return recordDurable(state, event.position);
    case "trim":
      assert(phase.name === "idle", "one thing at a time");
      return {
        state: { ...state, phase: { name: "askWritten" } },
        outputs: [{ kind: "askWritten" }],
      };
    case "written":
      if (phase.name !== "askWritten") return { state, outputs: [] }; // a checkpoint had its turn
      return trimTo({ ...state, phase: { name: "idle" } }, event.position);
    case "answer": {
      const call = must(state.call, "an answer needs a call");
      if (!event.answer.known) return { state, outputs: [{ kind: "call", call }] }; // L2
      return answered(state, event.answer.value);
    }
  }
}

/** True while a checkpoint may begin. */
export function mayBegin(state: CheckpointState): boolean {
  return state.phase.name === "idle" || state.phase.name === "askWritten";
}

/** True in the last round of an attempt: what does not fit its record is not encoded once more. */
export function isLastRound({ phase }: CheckpointState): boolean {
  return "attempt" in phase && phase.attempt.round >= roundsMax;
}

/**
 * What a checkpoint record says but for its batch, as it leaves; null where what changed meanwhile
 * is more than `deltaBytesMax`.
 */
export function composeCheckpoint(
  state: CheckpointState,
  memory: CheckpointMemory,
  deltaBytesMax: number,
): Pick<CheckpointBody, "number" | "segments" | "delta" | "trimmedTo"> | null {
  const { phase, trimmedTo, config } = state;
  assert(phase.name === "append", "a checkpoint's record has its turn");
  const delta = memory.delta(deltaBytesMax);
  if (delta === null) return null;
  if (!config.rules.dirtyFromEncoding) memory.beginRound(false);
  const { number } = phase.attempt;
  const segments = segmentsOf(phase.attempt, config.rules);
  return { number, segments, delta: config.rules.carryDelta ? delta : [], trimmedTo };
}

/** Encodes what an `encode` asks for; `position` is that of the last durable record. */
export function encodeNext(
  memory: CheckpointMemory,
  position: number,
  sizes: { readonly segmentBytes: number; readonly deltaBytesMax: number },
): CheckpointEvent {
  const changes = memory.slice(sizes.segmentBytes);
  if (changes.length > 0) {
    return { kind: "slice", value: encodeSegment(changes), encodedAt: position };
  }
  // What changes until the record leaves has its room, too.
  return { kind: "sliced", fits: memory.delta(sizes.deltaBytesMax / 2) !== null };
}

/** K1: of those that name the same key, the later one wins. */
function segmentsOf(attempt: CheckpointAttempt, rules: LogRules): readonly SegmentName[] {
  const { shared, segments } = attempt;
  return rules.laterSegmentsWin ? [...shared, ...segments] : [...segments, ...shared];
}

const appendIt: CheckpointOutput = { kind: "append" };

function begin(state: CheckpointState, everything: boolean): CheckpointStep {
  assert(mayBegin(state), "one checkpoint at a time");
  const { base, nextNumber: number } = state;
  if (number >= checkpointsOfEpochMax) return { state, outputs: [{ kind: "exhausted" }] }; // K4
  const isFull = everything || base === null;
  const shared = isFull ? [] : base.segments;
  const attempt = { number, shared, segments: [], round: 1 };
  const begins = isFull ? "everything" : "marked";
  return encode({ ...state, nextNumber: number + 1 }, attempt, begins);
}

function encode(
  state: CheckpointState,
  attempt: CheckpointAttempt,
  begins: "everything" | "marked" | null,
): CheckpointStep {
  const phase = { name: "encode", attempt } as const;
  return { state: { ...state, phase, call: null }, outputs: [{ kind: "encode", begins }] };
}

function writeSegment(
  state: CheckpointState,
  attempt: CheckpointAttempt,
  value: Buffer,
  encodedAt: number,
): CheckpointStep {
  const { partition, epoch } = state.config;
  const number = attempt.segments.length;
  if (number >= segmentsOfCheckpointMax) return giveUp(state, attempt);
  const place = { epoch, checkpoint: attempt.number, segment: number };
  const segment = { ...place, encodedAt, bytes: value.length };
  const write = startWrite(segmentKey(partition, epoch, attempt.number, number), value);
  return calling(state, { name: "segment", attempt, segment, write }, writeCall(write));
}

function segmentAnswered(
  state: CheckpointState,
  phase: CheckpointPhase & { name: "segment" },
  value: null | boolean | Buffer,
): CheckpointStep {
  const { rules } = state.config;
  const confirmOwn = rules.confirmOwn && rules.confirmSegments;
  const step = answerWrite(phase.write, value, { ...rules, confirmOwn });
  assert(step.kind !== "beaten", "K4: a segment's key is used once");
  if (step.kind === "call") {
    return calling(state, { ...phase, write: step.state }, writeCall(step.state));
  }
  const { attempt, segment } = phase;
  return encode(state, { ...attempt, segments: [...attempt.segments, segment] }, null);
}

function nextRound(state: CheckpointState, attempt: CheckpointAttempt): CheckpointStep {
  if (attempt.round >= roundsMax) return giveUp(state, attempt);
  return encode(state, { ...attempt, round: attempt.round + 1 }, "marked");
}

/** Its segments are named by nothing: they are deleted as those of a dead attempt are. */
function giveUp(state: CheckpointState, attempt: CheckpointAttempt): CheckpointStep {
  const garbage: readonly SegmentName[] = [...state.garbage, ...attempt.segments];
  const step = finishLeft({ ...state, phase: { name: "idle" }, garbage });
  return { state: step.state, outputs: [{ kind: "givenUp" }, ...step.outputs] };
}

function recordDurable(state: CheckpointState, position: number): CheckpointStep {
  const { phase, base, config } = state;
  assert(phase.name === "append", "a checkpoint's record has its turn");
  const segments = segmentsOf(phase.attempt, config.rules);
  const garbage = [...state.garbage, ...notIn(base, segments)];
  const settled = { ...state, base: { position, segments }, garbage, isSettled: false };
  const idle = { ...settled, phase: { name: "idle" } as const };
  const step = config.rules.trimBehindHead ? finishLeft(idle) : trimTo(idle, Infinity);
  return { state: step.state, outputs: [{ kind: "encoded" }, ...step.outputs] };
}

// Head: by compare-and-set, forward only, and confirmed where it is found in its place.

function answered(state: CheckpointState, value: Definite): CheckpointStep {
  const { phase } = state;
  switch (phase.name) {
    case "segment":
      return segmentAnswered(state, phase, value as null | boolean | Buffer);
    case "moveHead":
    case "confirmHead":
      if (value === true) return headMoved(state, phase.to);
      return readHead(state, phase.to);
    case "readHead":
      return headRead(state, phase.to, value as Buffer | null);
    case "dropSegments":
    case "probeOrphans":
    case "readLeft":
    case "trim":
      return trimAnswered(state, phase satisfies TrimPhase, value);
    case "idle":
    case "encode":
    case "append":
    case "askWritten":
    case "ended":
      assert(false, `no call is out in phase ${phase.name}`);
  }
}

function headRead(state: CheckpointState, to: number, stored: Buffer | null): CheckpointStep {
  const head = stored === null ? null : decodeHead(stored);
  assert(head !== null, "head is there, and of this version");
  const { rules } = state.config;
  if (head > to && rules.headForward) {
    // K5: an owner behind a later claim moved it, and trims.
    const garbage = { garbage: [], orphans: [] };
    return { state: { ...state, phase: { name: "ended" }, call: null, ...garbage }, outputs: [] };
  }
  if (head === to) {
    if (!rules.confirmHead) return headMoved(state, to);
    return confirmHead(state, to);
  }
  return moveHead({ ...state, head }, to); // a late move of somebody before, or ours was taken back
}

function headMoved(state: CheckpointState, to: number): CheckpointStep {
  const moved = {
    ...state,
    head: to,
    isSettled: true,
    phase: { name: "idle" } as const,
    call: null,
  };
  const step = finishLeft(moved);
  return { state: step.state, outputs: [{ kind: "moved" }, ...step.outputs] };
}
