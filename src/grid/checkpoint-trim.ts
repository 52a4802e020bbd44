// Checkpoint trim: what an owner deletes behind its head, and what it finishes of what the owners
// before it left.
// Owns: step 13 of the protocol. Does not own: step 12 (checkpoint-machine.ts); what the database
// has (it is asked directly before).
// Source: the model-checked protocol, docs/log-protocol.md, step 13.
// Invariants (docs/invariants.md):
//   K3. Segments of dead attempts are looked for behind the newest checkpoint record in the log.
//   K6. Nothing is deleted before a move or a confirmation of head by this owner is durable,
//       nothing from head on, no record that the database lacks, no claim, and not genesis.
// Deletes may be lost, late, repeated, or undone by a crash: all of that is harmless, and some
// garbage stays. Segments go before the records that name them, so that whoever comes next finds
// the names of those that are left.
import { assert } from "../base/assert.ts";
import { calling, confirmHead, moveHead } from "./checkpoint-moves.ts";
import {
  nameOf,
  type CheckpointPhase,
  type CheckpointState,
  type CheckpointStep,
  type Orphans,
  type Trim,
} from "./checkpoint-state.ts";
import {
  checkpointsOfEpochMax,
  recordKey,
  segmentKey,
  segmentsOfCheckpointMax,
} from "./grid-keys.ts";
import { decodeRecord, type SegmentName } from "./log-record.ts";
import type { Definite } from "./log-moves.ts";

export type TrimPhase = CheckpointPhase & {
  readonly name: "dropSegments" | "probeOrphans" | "readLeft" | "trim";
};

/** Deletes that leave together, and calls of one round of trimming. */
const deletesPerCall = 64;
const callsPerRound = 16;
/** Records that are read at once to see what they are, and keys that are looked at for segments. */
const readsPerCall = 16;
const probesPerCall = 8;

const noTrim: Trim = { limit: 0, calls: 0 };

/** Moves head to the newest checkpoint, or confirms it, and deletes what no record names. */
export function finishLeft(state: CheckpointState): CheckpointStep {
  const { base, head, isSettled } = state;
  if (base === null) return rest(state); // what is left is deleted after the first checkpoint
  if (isSettled) return deleteNext(state, noTrim);
  const to = base.position;
  return to > head ? moveHead(state, to) : confirmHead(state, to); // K6
}

/** A round of trimming begins; `written` is what the database has, null where that is not known. */
export function trimTo(state: CheckpointState, written: number | null): CheckpointStep {
  const { rules } = state.config;
  const behind = rules.trimBehindHead ? state.head : (state.base?.position ?? 0);
  const known = rules.trimWritten ? (written === null ? 0 : written + 1) : behind;
  if (rules.trimBehindHead) assert(state.isSettled, "K6: head is settled before a trim");
  return deleteNext(state, { limit: Math.min(behind, known), calls: callsPerRound });
}

/** What follows from a definite answer while something is deleted. */
export function trimAnswered(
  state: CheckpointState,
  phase: TrimPhase,
  value: Definite,
): CheckpointStep {
  switch (phase.name) {
    case "dropSegments": {
      const garbage = state.garbage.slice(phase.names.length);
      return deleteNext({ ...state, garbage }, phase.trim);
    }
    case "probeOrphans":
      return probed(state, phase, value as readonly (Buffer | null)[]);
    case "readLeft":
      return leftRead(state, phase, value as readonly (Buffer | null)[]);
    case "trim":
      return trimmed(state, phase.to, phase.trim);
  }
}

/** Segments first, then the records that named them. */
function deleteNext(state: CheckpointState, trim: Trim): CheckpointStep {
  const { garbage, orphans, trimmedTo, loadedFrom, readTo } = state;
  if (garbage.length > 0) return dropSegments(state, trim);
  const first = orphans[0];
  if (first !== undefined) return probeOrphans(state, first, null, trim);
  if (trimmedTo >= trim.limit || trim.calls === 0) return rest(state);
  if (trimmedTo < loadedFrom && readTo <= trimmedTo) return readLeft(state, trim);
  return trimSlice(state, trim);
}

function rest(state: CheckpointState): CheckpointStep {
  const idle = { ...state, phase: { name: "idle" } as const, call: null };
  const isBehind = state.base !== null && state.base.position > state.head;
  return isBehind && !state.isSettled ? finishLeft(idle) : { state: idle, outputs: [] };
}

function keyOf(state: CheckpointState, name: Omit<SegmentName, "encodedAt" | "bytes">): Buffer {
  return segmentKey(state.config.partition, name.epoch, name.checkpoint, name.segment);
}

function dropSegments(state: CheckpointState, trim: Trim): CheckpointStep {
  const names = state.garbage.slice(0, deletesPerCall);
  const keys = names.map((name) => keyOf(state, name));
  return calling(state, { name: "dropSegments", names, trim }, { op: "deleteMany", keys });
}

// Attempts of owners that died, or gave up. One that left anything left its first segment; one
// that encoded nothing, or was cleared away, makes a gap in the numbers.

function probeOrphans(
  state: CheckpointState,
  orphans: Orphans,
  found: readonly SegmentName[] | null,
  trim: Trim,
): CheckpointStep {
  const { epoch, checkpoint } = orphans;
  const from = found === null ? checkpoint : found.length;
  const max = found === null ? checkpointsOfEpochMax : segmentsOfCheckpointMax;
  const keys: Buffer[] = [];
  for (let number = from; number < Math.min(max, from + probesPerCall); number++) {
    const name =
      found === null
        ? { epoch, checkpoint: number, segment: 0 }
        : { epoch, checkpoint, segment: number };
    keys.push(keyOf(state, name));
  }
  const phase = { name: "probeOrphans", orphans, found, trim } as const;
  return calling(state, phase, { op: "getMany", keys });
}

function probed(
  state: CheckpointState,
  { orphans, found, trim }: CheckpointPhase & { name: "probeOrphans" },
  values: readonly (Buffer | null)[],
): CheckpointStep {
  const { epoch, checkpoint } = orphans;
  const others = state.orphans.slice(1);
  if (found === null) {
    const first = values.findIndex((value) => value !== null);
    if (first < 0) return deleteNext({ ...state, orphans: others }, trim);
    return probeOrphans(state, { epoch, checkpoint: checkpoint + first }, [], trim);
  }
  const missing = values.findIndex((value) => value === null);
  const there = missing < 0 ? values.length : missing;
  const more = Array.from({ length: there }, (_, index) => {
    return { epoch, checkpoint, segment: found.length + index, encodedAt: 0, bytes: 0 };
  });
  const all = [...found, ...more];
  if (missing < 0 && all.length < segmentsOfCheckpointMax) {
    return probeOrphans(state, orphans, all, trim);
  }
  // The last goes first: whoever must finish this finds what is left by its first segment.
  const garbage = all.reverse();
  const next = { epoch, checkpoint: checkpoint + 1 };
  return deleteNext({ ...state, garbage, orphans: [next, ...others] }, trim);
}

function withoutLive(state: CheckpointState, names: readonly SegmentName[]): SegmentName[] {
  const live = new Set(state.base?.segments.map(nameOf));
  return names.filter((one) => !live.has(nameOf(one)));
}

// Records that the owner before did not come to trim: what they are is seen first.

function readLeft(state: CheckpointState, trim: Trim): CheckpointStep {
  const to = Math.min(trim.limit, state.loadedFrom, state.trimmedTo + readsPerCall);
  const keys: Buffer[] = [];
  for (let position = state.trimmedTo; position < to; position++) {
    keys.push(recordKey(state.config.partition, position));
  }
  return calling(state, { name: "readLeft", to, trim }, { op: "getMany", keys });
}

function leftRead(
  state: CheckpointState,
  { to, trim }: CheckpointPhase & { name: "readLeft" },
  values: readonly (Buffer | null)[],
): CheckpointStep {
  const claims: number[] = [];
  const garbage: SegmentName[] = [];
  const orphans: Orphans[] = [];
  for (const [index, stored] of values.entries()) {
    if (stored === null) continue;
    const position = state.trimmedTo + index;
    const body = decodeRecord(stored)?.body ?? null;
    if (body === null || body.type === "claim") claims.push(position); // unknown: it stays, too
    if (body?.type === "claim")
      orphans.push({ epoch: position, checkpoint: unnamed(state, position) });
    if (body?.type === "checkpoint") garbage.push(...withoutLive(state, body.segments));
  }
  const found = { claims: [...claims, ...state.claims], garbage, orphans };
  return deleteNext({ ...state, ...found, readTo: to }, trim);
}

/** The first attempt of an epoch behind all that the base has segments of. */
function unnamed(state: CheckpointState, epoch: number): number {
  const named = (state.base?.segments ?? []).filter((one) => one.epoch === epoch);
  return named.reduce((next, one) => Math.max(next, one.checkpoint + 1), 0); // K3
}

function trimSlice(state: CheckpointState, trim: Trim): CheckpointStep {
  const { trimmedTo, loadedFrom, readTo, claims, config } = state;
  const known = trimmedTo < loadedFrom ? readTo : Infinity;
  const boundary = (Math.floor(trimmedTo / deletesPerCall) + 1) * deletesPerCall;
  const to = Math.min(trim.limit, known, boundary);
  const keys: Buffer[] = [];
  for (let position = trimmedTo; position < to; position++) {
    const stays = config.rules.keepClaims && claims.includes(position); // K6
    if (!stays) keys.push(recordKey(config.partition, position));
  }
  if (keys.length === 0) return trimmed(state, to, trim);
  return calling(state, { name: "trim", to, trim }, { op: "deleteMany", keys });
}

function trimmed(state: CheckpointState, to: number, trim: Trim): CheckpointStep {
  const claims = state.claims.filter((position) => position >= to);
  const next = { ...state, trimmedTo: to, claims, readTo: Math.max(to, state.readTo) };
  const step = deleteNext(next, { ...trim, calls: trim.calls - 1 });
  return { state: step.state, outputs: [{ kind: "trimmed", to }, ...step.outputs] };
}
