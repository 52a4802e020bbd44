// Log machine: how a lane takes over the log of a partition and appends to it, apart from all
// I/O: (state, event) → (state, outputs). At most one call to the store is out at any time.
// Owns: steps 2–6 of the protocol for one partition. Does not own: steps 1 (log-write.ts), 7 and
// 8 (log-load.ts), 15 (log-check.ts); calling the store, waiting and repeating (partition-log.ts);
// what changes mean; the database (data-pump).
// Source: the model-checked protocol, docs/log-protocol.md; numbers below are its steps.
// Invariants (docs/invariants.md):
//   L1–L3. Write (log-write.ts).
//   L4, L5, L7. Loading (log-load.ts).
//   L6. "Not applied" is said only where head proves it.
//   L8. One append is in flight at a time.
//   L11. A check that is due comes before what an answer leads to (log-check.ts).
import { assert } from "../base/assert.ts";
import { headKey, recordKey } from "./grid-keys.ts";
import { checkAnswered, checkFirst, lookBack, membersChanged } from "./log-check.ts";
import { loadAnswered } from "./log-load.ts";
import {
  calling,
  ended,
  genesisFault,
  getHead,
  getRecord,
  headIn,
  lost,
  newer,
  newRecord,
  readGenesis,
  stop,
  type Definite,
} from "./log-moves.ts";
import {
  checksum,
  decodeHead,
  decodeRecord,
  encodeRecord,
  type LogRecord,
  type RecordBody,
} from "./log-record.ts";
import type { LogEvent, LogOutput, LogPhase, LogState, LogStep } from "./log-state.ts";
import { answerWrite, confirmCall, startWrite, writeCall, type WriteState } from "./log-write.ts";

const probesPerCall = 16;

/** One step of the machine. Throws AssertionError where the event does not fit the state. */
export function stepLog(state: LogState, event: LogEvent): LogStep {
  switch (event.kind) {
    case "open":
      assert(state.phase.name === "idle", "a machine is opened once");
      return readGenesis(state, []);
    case "append":
      return append(state, event.body, event.wallMs);
    case "answer": {
      assert(state.call !== null, "an answer needs a call");
      if (event.answer.known) {
        return checkFirst(answered(state, event.answer.value, event.wallMs)); // L11
      }
      if (!state.config.rules.definiteOnly && state.phase.name === "append") {
        return appended(state, state.phase.record, state.phase.write);
      }
      return checkFirst({ state, outputs: [{ kind: "call", call: state.call }] }); // L2, L11
    }
    case "check":
      return membersChanged(state);
    case "look":
      return lookBack(state);
  }
}

/** True while a record may be appended. */
export function canAppend(state: LogState): boolean {
  return state.phase.name === "serving";
}

function answered(state: LogState, value: Definite, wallMs: number): LogStep {
  const { phase } = state;
  switch (phase.name) {
    case "readGenesis":
      return genesisRead(state, value as Buffer | null);
    case "confirmGenesis":
      return value === true ? readHead(state, []) : readGenesis(state, []);
    case "readHead":
      return headRead(state, value as Buffer | null);
    case "confirmHead":
      return value === true ? headConfirmed(state, phase.stored) : readHead(state, []);
    case "readBase":
      return baseRead(state, value as Buffer | null);
    case "headAfterNoBase":
      return headAfterNoBase(state, value as Buffer | null);
    case "findTail":
      return probed(state, phase, value as readonly (Buffer | null)[]);
    case "helpTail":
      return value === true ? claim(state, phase, wallMs) : readGenesis(state, []);
    case "claim":
      return claimAnswered(state, phase, value as null | boolean | Buffer);
    case "headAfterClaim":
    case "loadBase":
    case "loadSegments":
    case "loadRecords":
    case "headAfterGap":
    case "headAfterLoad":
      return loadAnswered(state, phase, value);
    case "append":
      return appendAnswered(state, phase, value as null | boolean | Buffer);
    case "headWhenBeaten":
      return beatenJudged(state, phase.by, value as Buffer | null);
    case "checkRead":
    case "checkGenesis":
    case "checkLast":
    case "checkBefore":
    case "checkHead":
    case "checkExtent":
      return checkAnswered(state, phase, value);
    case "idle":
    case "serving":
    case "stopped":
      assert(false, `no call is out in phase ${phase.name}`);
  }
}

// Step 3: genesis, head, base.

function genesisRead(state: LogState, stored: Buffer | null): LogStep {
  if (stored === null) return lost(state, "its genesis record is missing");
  const fault = genesisFault(state, stored);
  if (fault !== null) return stop(state, fault.code, fault.message);
  const confirm = confirmCall(recordKey(state.config.partition, 0), stored);
  return calling(state, { name: "confirmGenesis", genesis: stored }, confirm);
}

function readHead(state: LogState, outputs: readonly LogOutput[]): LogStep {
  return calling(state, { name: "readHead" }, getHead(state), outputs);
}

function headRead(state: LogState, stored: Buffer | null): LogStep {
  if (stored === null) return lost(state, "head is missing although genesis is there");
  const confirm = confirmCall(headKey(state.config.partition), stored);
  return calling(state, { name: "confirmHead", stored }, confirm);
}

function headConfirmed(state: LogState, stored: Buffer): LogStep {
  const head = headIn(state, stored);
  if (typeof head !== "number") return head;
  return calling({ ...state, head }, { name: "readBase" }, getRecord(state, head));
}

function baseRead(state: LogState, stored: Buffer | null): LogStep {
  if (stored === null) return calling(state, { name: "headAfterNoBase" }, getHead(state));
  return probe(state, state.head, stored, null);
}

function headAfterNoBase(state: LogState, stored: Buffer | null): LogStep {
  const head = headIn(state, stored);
  if (typeof head !== "number") return head;
  if (head !== state.head) return readGenesis(state, []); // trimmed, not lost
  return lost(state, `the checkpoint record ${String(state.head)} that head names is missing`);
}

// Step 4: the tail is the last of the records that follow head without a gap. Nothing is missing
// between head and tail, so galloping finds it: doubling distances first, then narrowing.

function probe(state: LogState, low: number, lowBytes: Buffer, high: number | null): LogStep {
  if (high === low + 1) return helpTail(state, low, lowBytes);
  const probes: number[] = [];
  if (high === null) {
    for (let power = 0; power < probesPerCall; power++) probes.push(low + 2 ** power);
  } else {
    const gap = high - low - 1;
    const count = Math.min(probesPerCall, gap);
    for (let part = 1; part <= count; part++) probes.push(low + Math.ceil((gap * part) / count));
  }
  const keys = probes.map((position) => recordKey(state.config.partition, position));
  return calling(state, { name: "findTail", low, lowBytes, high, probes }, { op: "getMany", keys });
}

function probed(
  state: LogState,
  phase: LogPhase & { name: "findTail" },
  values: readonly (Buffer | null)[],
): LogStep {
  let { low, lowBytes } = phase;
  for (const [index, position] of phase.probes.entries()) {
    const stored = values[index] ?? null;
    if (stored === null) return probe(state, low, lowBytes, position);
    low = position;
    lowBytes = stored;
  }
  return probe(state, low, lowBytes, phase.high);
}

// Steps 5 and 6: help the tail, then claim behind it.

function helpTail(state: LogState, tail: number, bytes: Buffer): LogStep {
  const record = decodeRecord(bytes);
  if (record === null) return newer(state, tail);
  if (record.body.type === "end") return ended(state);
  const phase = { name: "helpTail", tail, bytes } as const;
  if (!state.config.rules.helpTail) return claim(state, phase, record.timeMs);
  return calling(state, phase, confirmCall(recordKey(state.config.partition, tail), bytes));
}

function claim(
  state: LogState,
  { tail, bytes }: LogPhase & { name: "helpTail" },
  wallMs: number,
): LogStep {
  const before = decodeRecord(bytes);
  assert(before !== null, "the tail was decoded before it was helped");
  const position = tail + 1;
  const chain = checksum(bytes);
  const at = { ...state, epoch: position, next: position, chain, timeMs: before.timeMs };
  const record = newRecord(at, { type: "claim", lane: state.config.lane }, wallMs);
  const write = startWrite(recordKey(state.config.partition, position), encodeRecord(record));
  return calling(at, { name: "claim", write, record }, writeCall(write));
}

function claimAnswered(
  state: LogState,
  phase: LogPhase & { name: "claim" },
  value: null | boolean | Buffer,
): LogStep {
  const step = answerWrite(phase.write, value, state.config.rules);
  if (step.kind === "call") {
    return calling(state, { ...phase, write: step.state }, writeCall(step.state));
  }
  if (step.kind === "beaten") {
    const winner = decodeRecord(step.other);
    if (winner?.body.type === "end") return ended(state);
    const who = winner?.body.type === "claim" ? `lane ${winner.body.lane}` : "another lane";
    const where = `position ${String(phase.record.position)}`;
    return stop(state, "CLAIM_BEATEN", `${who} claimed ${where} first; it is tried again`);
  }
  const claimed = { ...state, claim: phase.record, timeMs: phase.record.timeMs };
  return calling(claimed, { name: "headAfterClaim" }, getHead(state));
}

// Step 2: append.

function append(state: LogState, body: RecordBody, wallMs: number): LogStep {
  assert(state.phase.name === "serving", "L8: one append at a time, and only while serving");
  const record = newRecord(state, body, wallMs);
  const write = startWrite(recordKey(state.config.partition, state.next), encodeRecord(record));
  return calling(state, { name: "append", write, record }, writeCall(write));
}

function appendAnswered(
  state: LogState,
  phase: LogPhase & { name: "append" },
  value: null | boolean | Buffer,
): LogStep {
  const step = answerWrite(phase.write, value, state.config.rules);
  switch (step.kind) {
    case "call":
      return calling(state, { ...phase, write: step.state }, writeCall(step.state));
    case "durable":
      return appended(state, phase.record, phase.write);
    case "beaten": {
      const by = decodeRecord(step.other);
      if (!state.config.rules.readHeadWhenBeaten) return fenced(state, by, "notApplied");
      return calling(state, { name: "headWhenBeaten", by }, getHead(state));
    }
  }
}

function appended(state: LogState, record: LogRecord, write: WriteState): LogStep {
  const chain = checksum(write.value);
  const next = state.next + 1;
  return {
    state: { ...state, phase: { name: "serving" }, call: null, next, chain, timeMs: record.timeMs },
    outputs: [{ kind: "durable", record, checksum: chain, bytes: write.value.length }],
  };
}

function beatenJudged(state: LogState, by: LogRecord | null, stored: Buffer | null): LogStep {
  const head = stored === null ? null : decodeHead(stored);
  // L6: at or past our position, the record that beat us may be a late duplicate on trimmed
  // ground, and ours may have been helped, folded and trimmed before it landed.
  return fenced(state, by, head !== null && head < state.next ? "notApplied" : "unknown");
}

function fenced(state: LogState, by: LogRecord | null, fate: "notApplied" | "unknown"): LogStep {
  if (by?.body.type === "end") return ended(state, fate);
  const who = by?.body.type === "claim" ? `lane ${by.body.lane}` : "another lane";
  const where = `at position ${String(state.next)}`;
  return stop(state, "NOT_OWNER", `${who} took over ${where}`, fate);
}
