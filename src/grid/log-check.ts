// Log check: step 15 of the log's protocol: does what an owner relies upon still lie in the grid?
// A live owner cannot see by itself that the grid lost the end of its log: its next record is
// stored over the hole. So it looks whenever the grid's members change.
// Owns: the moves from the news of a change to going on, or to a loss that is named.
// Does not own: when members change (the store); what a check interrupts (log-machine.ts).
// Source: docs/log-protocol.md, step 15, with the reasons why this much is enough.
// Invariants (docs/invariants.md):
//   L2. An append whose outcome is unknown is repeated with the same bytes, after the check.
//   L7. Loss is said only where head has not moved: what lies behind head was trimmed.
//   L11. Once members have changed, nothing is acknowledged before the log's end was seen again.
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { recordKey } from "./grid-keys.ts";
import {
  calling,
  genesisFault,
  getHead,
  headIn,
  newer,
  recordsAtFirst,
  recordsNext,
  stop,
  type Definite,
} from "./log-moves.ts";
import { checksum, decodeRecord } from "./log-record.ts";
import type {
  AppendFate,
  Interrupted,
  LogPhase,
  LogState,
  LogStep,
  LookBack,
} from "./log-state.ts";
import { confirmCall } from "./log-write.ts";

export type CheckPhase = Extract<LogPhase, { name: `check${string}` }>;
type In<Name extends CheckPhase["name"]> = CheckPhase & { name: Name };

const probesPerCall = 16;

/** Members changed: a check is due. It begins where nothing is in flight. */
export function membersChanged(state: LogState): LogStep {
  const { name } = state.phase;
  const isOver = name === "idle" || name === "stopped";
  if (isOver || !state.config.rules.checkTail) return { state, outputs: [] };
  return checkFirst({ state: { ...state, checkDue: true }, outputs: [] });
}

/** Reads the next slice of what is left of a check, while nothing is in flight. */
export function lookBack(state: LogState): LogStep {
  const { phase, call, look } = state;
  if (phase.name !== "serving" || look === null) return { state, outputs: [] };
  return slice(state, { phase, call, outputs: [] }, look);
}

/**
 * L11: puts a check that is due before what would follow: before an append goes out once more,
 * and before it is said that one is durable, or that the partition serves. What is left of a
 * check has its turn after each append.
 */
export function checkFirst(step: LogStep): LogStep {
  const { state, outputs } = step;
  const { phase, call, config } = state;
  if (!state.checkDue) {
    if (!outputs.some(({ kind }) => kind === "durable")) return step;
    const next = lookBack(state);
    return { state: next.state, outputs: [...outputs, ...next.outputs] };
  }
  if (phase.name === "serving") {
    const now = config.rules.checkFirst ? [] : outputs;
    const later = config.rules.checkFirst ? outputs : [];
    const begun = begin({ ...state, checkDue: false }, { phase, call, outputs: later });
    return { state: begun.state, outputs: [...now, ...begun.outputs] };
  }
  if (phase.name !== "append" || outputs.length === 0 || !config.rules.checkFirst) return step;
  return begin({ ...state, checkDue: false }, { phase, call, outputs });
}

/** What becomes of an append in flight where a log stops in this phase. */
export function fateInFlight(phase: LogPhase): AppendFate {
  if (phase.name === "append" || phase.name === "headWhenBeaten") return "unknown";
  return "interrupted" in phase ? fateOf(phase.interrupted) : "none";
}

/** What follows from a definite answer during a check. */
export function checkAnswered(state: LogState, phase: CheckPhase, value: Definite): LogStep {
  switch (phase.name) {
    case "checkRead":
      return tailRead(state, phase, value as readonly (Buffer | null)[]);
    case "checkGenesis":
      if (value !== true) return begin(state, phase.interrupted);
      return confirmLast(state, phase);
    case "checkLast":
      if (value !== true) return begin(state, phase.interrupted);
      return lastConfirmed(state, phase);
    case "checkBefore":
      return sliceRead(state, phase, value as readonly (Buffer | null)[]);
    case "checkHead":
      return headRead(state, phase, value as Buffer | null);
    case "checkExtent":
      return extentProbed(state, phase, value as readonly (Buffer | null)[]);
  }
}

function fateOf({ phase, outputs }: Interrupted): AppendFate {
  if (phase.name === "append") return "unknown";
  return outputs.some(({ kind }) => kind === "durable") ? "unknown" : "none";
}

function lastOf(state: LogState): number {
  return state.next - 1;
}

// Genesis and the last record are there, they are this log's, and they are on every copy.

function begin(state: LogState, interrupted: Interrupted): LogStep {
  const { partition } = state.config;
  const keys = [recordKey(partition, 0), recordKey(partition, lastOf(state))];
  return calling(state, { name: "checkRead", interrupted }, { op: "getMany", keys });
}

function tailRead(
  state: LogState,
  { interrupted }: In<"checkRead">,
  [genesis = null, last = null]: readonly (Buffer | null)[],
): LogStep {
  const fate = fateOf(interrupted);
  if (genesis === null) {
    return lost(state, interrupted, "its genesis record is missing, the grid was emptied");
  }
  const fault = genesisFault(state, genesis);
  if (fault !== null) return stop(state, fault.code, fault.message, fate);
  if (last === null || !checksum(last).equals(state.chain)) {
    return missing(state, interrupted, lastOf(state), last);
  }
  const confirm = confirmCall(recordKey(state.config.partition, 0), genesis);
  return calling(state, { name: "checkGenesis", interrupted, last }, confirm);
}

function confirmLast(state: LogState, { interrupted, last }: In<"checkGenesis">): LogStep {
  const confirm = confirmCall(recordKey(state.config.partition, lastOf(state)), last);
  return calling(state, { name: "checkLast", interrupted, last }, confirm);
}

// The records before it are there, each the one that the next was built on. Where the tail was
// lost and an append went over the hole, only this shows it. The first slice belongs to the check;
// the others come between appends, as there may be many, and commands wait.

function lastConfirmed(state: LogState, { interrupted, last }: In<"checkLast">): LogStep {
  const record = decodeRecord(last);
  assert(record !== null, "this lane wrote its last record");
  const { position: below, previous: chain } = record;
  if (below === state.epoch || !state.config.rules.checkBefore)
    return seen(state, interrupted, null);
  // What an earlier check did not come to see is not left out.
  const sinceMs = Math.min(state.timeMs - limits.tailCheckMs, state.look?.sinceMs ?? Infinity);
  return slice(state, interrupted, { below, chain, sinceMs, count: recordsAtFirst });
}

function slice(state: LogState, interrupted: Interrupted, look: LookBack): LogStep {
  const from = Math.max(state.epoch, look.below - look.count);
  const keys: Buffer[] = [];
  for (let at = from; at < look.below; at++) keys.push(recordKey(state.config.partition, at));
  const phase = { name: "checkBefore", interrupted, look, from } as const;
  return calling(state, phase, { op: "getMany", keys });
}

function sliceRead(
  state: LogState,
  { interrupted, look, from }: In<"checkBefore">,
  values: readonly (Buffer | null)[],
): LogStep {
  let { chain } = look;
  let timeMs = look.sinceMs;
  let bytes = 0;
  for (let index = values.length - 1; index >= 0; index--) {
    const stored = values[index] ?? null;
    if (stored === null || !checksum(stored).equals(chain)) {
      return missing(state, interrupted, from + index, stored);
    }
    const record = decodeRecord(stored);
    assert(record !== null, "this lane wrote what lies behind its claim");
    chain = record.previous;
    timeMs = record.timeMs;
    bytes += stored.length;
  }
  if (from === state.epoch || timeMs <= look.sinceMs) return seen(state, interrupted, null);
  const count = recordsNext(look.count, bytes);
  return seen(state, interrupted, { ...look, below: from, chain, count });
}

/** What was to be seen is there: what was interrupted goes on. */
function seen(state: LogState, interrupted: Interrupted, look: LookBack | null): LogStep {
  const { phase, call, outputs } = interrupted;
  return { state: { ...state, phase, call, look }, outputs };
}

// A record is missing, or another one lies in its place: trimmed, fenced, or lost.

function missing(
  state: LogState,
  interrupted: Interrupted,
  position: number,
  stored: Buffer | null,
): LogStep {
  const phase = { name: "checkHead", interrupted, position, stored } as const;
  if (!state.config.rules.lossOnlyUnmoved) return extent(state, phase, state.head);
  return calling(state, phase, getHead(state));
}

function headRead(state: LogState, phase: In<"checkHead">, stored: Buffer | null): LogStep {
  const { interrupted, position } = phase;
  const fate = fateOf(interrupted);
  if (stored === null) {
    return lost(state, interrupted, "head is missing although genesis is there");
  }
  const head = headIn(state, stored, fate);
  if (typeof head !== "number") return head;
  if (head > lastOf(state)) {
    // Only an owner behind a later claim moves head there: it loaded our last record, and trimmed.
    const where = `behind record ${String(lastOf(state))}`;
    return stop(state, "NOT_OWNER", `another lane took over ${where}`, fate);
  }
  if (head > position) return seen(state, interrupted, null); // L7: trimmed, and head itself was seen
  return extent(state, phase, head);
}

function extent(state: LogState, phase: In<"checkHead">, floor: number): LogStep {
  const { interrupted, position, stored } = phase;
  if (stored !== null) {
    const record = decodeRecord(stored);
    if (record === null) return newer(state, position, fateOf(interrupted));
    const by = record.body.type === "claim" ? `lane ${record.body.lane}` : `writer ${record.token}`;
    const what = `record ${String(position)} was replaced by one of ${by}`;
    return lost(state, interrupted, what);
  }
  const found = { highest: position, lowest: position, below: null };
  return probe(state, { name: "checkExtent", interrupted, floor, ...found, probes: [] });
}

/** What is missing is one stretch: galloping down finds its lower end, as it finds a tail. */
function probe(state: LogState, phase: In<"checkExtent">): LogStep {
  const { floor, lowest, below } = phase;
  if (lowest === floor || lowest - 1 === below) return extentKnown(state, phase);
  const probes: number[] = [];
  if (below === null) {
    for (let power = 0; power < probesPerCall; power++) {
      const position = Math.max(floor, lowest - 2 ** power);
      if (position !== probes.at(-1)) probes.push(position);
    }
  } else {
    const gap = lowest - below - 1;
    const count = Math.min(probesPerCall, gap);
    for (let part = 1; part <= count; part++) probes.push(lowest - Math.ceil((gap * part) / count));
  }
  const keys = probes.map((position) => recordKey(state.config.partition, position));
  return calling(state, { ...phase, probes }, { op: "getMany", keys });
}

function extentProbed(
  state: LogState,
  phase: In<"checkExtent">,
  values: readonly (Buffer | null)[],
): LogStep {
  let { lowest, below } = phase;
  for (const [index, position] of phase.probes.entries()) {
    if ((values[index] ?? null) !== null) {
      below = position;
      break;
    }
    lowest = position;
  }
  return probe(state, { ...phase, lowest, below });
}

function extentKnown(state: LogState, phase: In<"checkExtent">): LogStep {
  const { interrupted, lowest, highest } = phase;
  const isOne = lowest === highest;
  const which = isOne ? String(lowest) : `${String(lowest)} to ${String(highest)}`;
  return lost(
    state,
    interrupted,
    isOne ? `record ${which} is missing` : `records ${which} are missing`,
  );
}

function lost(state: LogState, interrupted: Interrupted, what: string): LogStep {
  // What is known to be durable and was not told yet is not acknowledged.
  const withheld = interrupted.phase.name === "serving" && interrupted.outputs.length > 0;
  const acknowledged = String(lastOf(state) - (withheld ? 1 : 0));
  const message = `the grid lost data: ${what}; record ${acknowledged} was the last acknowledged`;
  return stop(state, "GRID_LOST", message, fateOf(interrupted));
}
