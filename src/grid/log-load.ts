// Log load: steps 7 and 8 of the log's protocol: is the claim valid, and what lies before it.
// Owns: the moves from a durable claim to serving. Does not own: how the claim came to be
// (log-machine.ts); what is done with what was loaded (partition-log.ts and its listener).
// Source: the model-checked protocol, docs/log-protocol.md, steps 7 and 8.
// Invariants (docs/invariants.md):
//   L4. No record is acknowledged behind a later valid claim: after the claim head is read again,
//       and head at or past the claim means that the claim is void.
//   L5. State is folded only from records read after the claim was durable, chain checked.
//   L7. Loss is said only where head has not moved: a predecessor may still be trimming.
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { recordKey, segmentKey } from "./grid-keys.ts";
import {
  checksum,
  decodeRecord,
  encodeRecord,
  isSegment,
  type LogRecord,
  type SegmentName,
} from "./log-record.ts";
import {
  calling,
  ended,
  getHead,
  getRecord,
  headIn,
  lost,
  newer,
  readGenesis,
  recordsNext,
  type Definite,
} from "./log-moves.ts";
import type { LogOutput, LogPhase, LogState, LogStep } from "./log-state.ts";

export type LoadPhase = LogPhase & {
  name:
    | "headAfterClaim"
    | "loadBase"
    | "loadSegments"
    | "loadRecords"
    | "headAfterGap"
    | "headAfterLoad";
};

/** What follows from a definite answer while loading. */
export function loadAnswered(state: LogState, phase: LoadPhase, value: Definite): LogStep {
  switch (phase.name) {
    case "headAfterClaim":
      return headAfterClaim(state, value as Buffer | null);
    case "loadBase":
      return baseLoaded(state, value as Buffer | null);
    case "loadSegments":
      return segmentsLoaded(state, phase, value as readonly (Buffer | null)[]);
    case "loadRecords":
      return recordsLoaded(state, phase, value as readonly (Buffer | null)[]);
    case "headAfterGap":
      return headAfterGap(state, phase.gap, value as Buffer | null);
    case "headAfterLoad":
      return headAfterLoad(state, value as Buffer | null);
  }
}

/** Step 7, and again whenever head turned out to have moved. */
function headAfterClaim(state: LogState, stored: Buffer | null): LogStep {
  const head = headIn(state, stored);
  if (typeof head !== "number") return head;
  if (isPassed(state, head)) {
    // L4: the log behind this claim was trimmed while we slept; it stands where nobody reads.
    if (state.config.rules.readHeadAfterClaim) return readGenesis(state, []);
    return loadFrom(state, state.head);
  }
  return loadFrom(state, head);
}

/** Head at or behind the claim: who moved it there did not know of this claim. */
function isPassed(state: LogState, head: number): boolean {
  return head >= state.epoch;
}

/** Head moved since loading began: what is missing was trimmed. */
function hasMoved(state: LogState, head: number): boolean {
  if (isPassed(state, head)) return state.config.rules.readHeadAfterClaim;
  return head !== state.head;
}

function loadFrom(state: LogState, head: number): LogStep {
  return calling({ ...state, head }, { name: "loadBase" }, getRecord(state, head), [
    { kind: "reset" },
  ]);
}

const segmentsPerCall = 64;
const segmentBytesPerCall = 8 * limits.segmentBytes;

function baseLoaded(state: LogState, stored: Buffer | null): LogStep {
  if (stored === null) return gap(state, `record ${String(state.head)}, which head names,`);
  const record = decodeRecord(stored);
  if (record === null) return newer(state, state.head);
  if (record.body.type === "checkpoint") return loadSegments(state, stored, record, 0, []);
  if (record.body.type === "genesis") return baseDone(state, stored, record, []);
  // A late duplicate of a beaten record, on ground that was trimmed since head was read (L7).
  return gap(state, `the checkpoint record ${String(state.head)}, which head names,`);
}

function loadSegments(
  state: LogState,
  base: Buffer,
  record: LogRecord,
  from: number,
  outputs: readonly LogOutput[],
): LogStep {
  assert(record.body.type === "checkpoint", "segments are named by a checkpoint record");
  const names = segmentsNext(record.body.segments, from);
  if (names.length === 0) return baseDone(state, base, record, outputs);
  const { partition } = state.config;
  const keys = names.map((name) =>
    segmentKey(partition, name.epoch, name.checkpoint, name.segment),
  );
  const phase = { name: "loadSegments", base, record, from } as const;
  return calling(state, phase, { op: "getMany", keys }, outputs);
}

function segmentsNext(segments: readonly SegmentName[], from: number): readonly SegmentName[] {
  let bytes = 0;
  const names: SegmentName[] = [];
  for (const name of segments.slice(from, from + segmentsPerCall)) {
    bytes += name.bytes;
    if (names.length > 0 && bytes > segmentBytesPerCall) break;
    names.push(name);
  }
  return names;
}

function segmentsLoaded(
  state: LogState,
  phase: LogPhase & { name: "loadSegments" },
  values: readonly (Buffer | null)[],
): LogStep {
  const outputs: LogOutput[] = [];
  for (const [index, stored] of values.entries()) {
    const what = `segment ${String(phase.from + index)} of checkpoint ${String(state.head)}`;
    if (stored === null) return gap(state, what);
    if (!isSegment(stored)) return newer(state, state.head);
    outputs.push({ kind: "segment", stored });
  }
  return loadSegments(state, phase.base, phase.record, phase.from + values.length, outputs);
}

/** The base is folded; the records behind it follow, each linked to the one before. */
function baseDone(
  state: LogState,
  stored: Buffer,
  record: LogRecord,
  outputs: readonly LogOutput[],
): LogStep {
  const chain = checksum(stored);
  const { length: bytes } = stored;
  const loaded: LogOutput = { kind: "loaded", record, checksum: chain, bytes };
  return loadRecords({ ...state, chain }, state.head + 1, loadedAtFirst, [...outputs, loaded]);
}

// Few reads matter more than exact sizes: nothing is served meanwhile, and in a busy lane each read
// waits for a turn of all else. Safe: how many records one read asks for decides nothing, each is
// checked in its order. The first, of unknown sizes, is no larger than a probe for the tail.
const loadedAtFirst = 16;
const loadedTimes = 4;

function loadRecords(
  state: LogState,
  from: number,
  count: number,
  outputs: readonly LogOutput[],
): LogStep {
  if (from === state.epoch) return allLoaded(state, outputs);
  const keys: Buffer[] = [];
  const to = Math.min(state.epoch, from + count);
  for (let position = from; position < to; position++) {
    keys.push(recordKey(state.config.partition, position));
  }
  return calling(state, { name: "loadRecords", from, count }, { op: "getMany", keys }, outputs);
}

function recordsLoaded(
  state: LogState,
  { from, count }: LogPhase & { name: "loadRecords" },
  values: readonly (Buffer | null)[],
): LogStep {
  const outputs: LogOutput[] = [];
  let { chain } = state;
  let bytes = 0;
  for (const [index, stored] of values.entries()) {
    const position = from + index;
    if (stored === null) return gap(state, `record ${String(position)}`);
    const record = decodeRecord(stored);
    if (record === null) return newer(state, position);
    if (record.body.type === "end") return ended(state);
    if (state.config.rules.checkChain && !record.previous.equals(chain)) {
      return gap(state, `the record that ${String(position)} was built on`);
    }
    assert(record.position === position, "a record lies at its position");
    chain = checksum(stored);
    bytes += stored.length;
    outputs.push({ kind: "loaded", record, checksum: chain, bytes: stored.length });
  }
  const next = recordsNext(count, bytes, loadedTimes);
  return loadRecords({ ...state, chain }, from + values.length, next, outputs);
}

function allLoaded(state: LogState, outputs: readonly LogOutput[]): LogStep {
  const { claim } = state;
  assert(claim !== null, "L5: loading follows a durable claim");
  if (state.config.rules.checkChain && !claim.previous.equals(state.chain)) {
    return gap(state, `the record that claim ${String(state.epoch)} was built on`);
  }
  return calling(state, { name: "headAfterLoad" }, getHead(state), outputs);
}

function gap(state: LogState, what: string): LogStep {
  if (!state.config.rules.lossOnlyUnmoved) return lost(state, `${what} is missing`);
  return calling(state, { name: "headAfterGap", gap: what }, getHead(state));
}

function headAfterGap(state: LogState, what: string, stored: Buffer | null): LogStep {
  const head = headIn(state, stored);
  if (typeof head !== "number") return head;
  if (hasMoved(state, head)) return headAfterClaim(state, stored); // L7: trimmed, not lost
  return lost(state, `${what} is missing`);
}

function headAfterLoad(state: LogState, stored: Buffer | null): LogStep {
  const head = headIn(state, stored);
  if (typeof head !== "number") return head;
  const again = state.config.rules.readHeadAfterLoad && hasMoved(state, head);
  if (again) return headAfterClaim(state, stored);
  const { claim } = state;
  assert(claim !== null, "L5: serving follows a durable claim");
  const chain = checksum(encodeRecord(claim));
  return {
    state: { ...state, phase: { name: "serving" }, call: null, chain, next: state.epoch + 1 },
    outputs: [{ kind: "serving", claim, checksum: chain }],
  };
}
