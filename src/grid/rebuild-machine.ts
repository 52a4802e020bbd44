// Rebuild machine: how a run brings a new generation of a grid into being, apart from all I/O:
// (state, event) → state. At most one call is out at any time.
// Owns: steps 1–3 and 7 of the rebuild's protocol, and the order of all of them. Does not own:
// ending old logs (rebuild-end.ts), what is written into the new map (rebuild-fill.ts), calling
// and waiting (rebuild.ts), SQL.
// Source: the model-checked protocol, docs/log-protocol.md, "Rebuild"; numbers are its steps.
// Invariants (docs/invariants.md):
//   G4. The pointer moves by compare-and-set to a value that was never there before.
//   G5. A generation's number is one run's: reserved before anything is changed, higher than the
//       pointer's and the row's, and never gone on with by another run.
//   G6. The database is fenced before it is read, from exactly the row that was read, and only
//       while the reservation still stands.
//   G7. The pointer says open only of a map that its own run has written whole.
import { assert, must } from "../base/assert.ts";
import { failure, type FailureCode } from "../base/failure.ts";
import {
  decodeGridId,
  decodePointer,
  encodeDirectory,
  type Pointer,
} from "./generation-pointer.ts";
import { gridIdKey, pointerKey } from "./grid-keys.ts";
import { everyRule } from "./log-rules.ts";
import { answerWrite, startWrite, writeCall, type WriteState } from "./log-write.ts";
import { answerSwap, startSwap, swapCall, type SwapState } from "./pointer-swap.ts";
import type { DatabaseRow, GenerationMark } from "./rebuild-ports.ts";
import type {
  RebuildCall,
  RebuildEvent,
  RebuildPhase,
  RebuildPlan,
  RebuildStage,
  RebuildState,
} from "./rebuild-state.ts";

type Value = null | boolean | Buffer;

/** One step of the machine. Throws AssertionError where the event does not fit the state. */
export function stepRebuild(state: RebuildState, event: RebuildEvent): RebuildState {
  const { phase, call } = state;
  switch (event.kind) {
    case "start":
      assert(phase.name === "idle", "a run is started once");
      return calling(state, { name: "readPointer" }, getPointer);
    case "store":
      assert(call?.op === "store", "an answer needs a call");
      if (!event.answer.known) return state; // the same call again
      return answered(state, event.answer.value as Value);
    case "row":
      assert(call?.op === "row", "a row was asked for");
      return phase.name === "readRow" ? rowRead(state, event.row) : fenceRowRead(state, event.row);
    case "fenced":
      assert(call?.op === "fence", "a fence was asked for");
      // 3: whatever came of it, the row says; and what it keeps of the generation before.
      return calling(state, { name: "fenceRow" }, { op: "row" });
    case "errand":
      assert(phase.name === "endLogs" || phase.name === "fill", "an errand is under way");
      return event.done ? nextStage(state, phase.name) : overtaken(state, "fenced the database");
  }
}

const getPointer: RebuildCall = { op: "store", call: { op: "get", key: pointerKey } };

function calling(state: RebuildState, phase: RebuildPhase, call: RebuildCall): RebuildState {
  return { ...state, phase, call };
}

function stop(state: RebuildState, code: FailureCode, message: string): RebuildState {
  const phase = { name: "stopped", failure: failure(code, message) } as const;
  return { ...state, phase, call: null };
}

function refuse(state: RebuildState, message: string): RebuildState {
  return stop(state, "REBUILD_REFUSED", message);
}

function overtaken(state: RebuildState, what: string): RebuildState {
  return stop(state, "REBUILD_OVERTAKEN", `another rebuild ${what}; this one counts for nothing`);
}

function newer(state: RebuildState, what: string): RebuildState {
  return stop(state, "GRID_FORMAT", `${what} was written by a newer version; start that one`);
}

function answered(state: RebuildState, value: Value): RebuildState {
  const { phase } = state;
  switch (phase.name) {
    case "readPointer":
      return pointerRead({ ...state, standing: value as Buffer | null });
    case "readGrid":
      return calling(
        { ...state, gridBytes: value as Buffer | null },
        { name: "readRow" },
        {
          op: "row",
        },
      );
    case "reserve":
    case "open":
      return moved(state, phase, value);
    case "grid":
      return gridWritten(state, phase.write, value);
    case "fencePointer":
      return pointerBeforeFence(state, phase.row, value as Buffer | null);
    default:
      assert(false, `no call to the store is out in phase ${phase.name}`);
  }
}

// Step 1: which generation is replaced, and by which.

function pointerRead(state: RebuildState): RebuildState {
  if (state.standing !== null) {
    const pointer = decodePointer(state.standing);
    if (pointer === null) return newer(state, "the generation pointer");
    const problem = refusal(state, pointer);
    if (problem !== null) return refuse(state, problem);
  }
  const call: RebuildCall = { op: "store", call: { op: "get", key: gridIdKey } };
  return calling(state, { name: "readGrid" }, call);
}

function refusal({ config }: RebuildState, pointer: Pointer): string | null {
  const { replaces, rules } = config;
  const number = String(pointer.generation);
  if (pointer.state === "open") {
    if (pointer.generation === replaces || !rules.refuseReplaced) return null;
    if (replaces === null) return `generation ${number} of the grid is open: nothing is lost`;
    const which = `generation ${String(replaces)}`;
    return `the open generation of the grid is ${number}: ${which} is not there to be replaced`;
  }
  // A creation that was never finished, although the database knows the grid: a wiped store.
  if (pointer.base === 0 || replaces === null || pointer.base === replaces) return null;
  const now = `generation ${number} is being rebuilt to replace ${String(pointer.base)}`;
  return `${now}: generation ${String(replaces)} is not there to be replaced`;
}

function rowRead(state: RebuildState, row: DatabaseRow | null): RebuildState {
  const { standing, gridBytes, config } = state;
  if (row === null) return refuse(state, "the database knows of no grid: there is nothing in it");
  const grid = gridBytes === null ? null : decodeGridId(gridBytes);
  if (gridBytes !== null && grid === null) return newer(state, "the grid id");
  if (grid !== null && grid.gridId !== row.gridId) {
    const ids = `${row.gridId}, the store's is ${grid.gridId}`;
    return stop(state, "DATABASE_FOREIGN", `the database belongs to another grid (${ids})`);
  }
  const pointer = standing === null ? null : decodePointer(standing);
  const known = pointer === null || baseOf(pointer) === 0 ? null : pointer;
  const base = known === null ? row.base : baseOf(known);
  if (known === null && config.replaces !== null && config.replaces > row.generation) {
    const latest = `the database knows none after ${String(row.generation)}`;
    return refuse(state, `there is no generation ${String(config.replaces)}: ${latest}`);
  }
  const basePartitions =
    (known?.state === "open" ? (known.partitions ?? grid?.partitions) : known?.basePartitions) ??
    row.written.length;
  // G5
  const generation = Math.max(pointer?.generation ?? 0, row.generation) + 1;
  const partitions = config.partitions ?? row.written.length;
  let mine = { generation, token: config.token, partitions };
  if (!config.rules.ownNumber && known?.state === "rebuilding") {
    mine = { ...mine, generation: known.generation, token: known.token };
  }
  const plan: RebuildPlan = { gridId: row.gridId, base, basePartitions, mine };
  return nextStage({ ...state, plan, row }, null);
}

function baseOf(pointer: Pointer): number {
  return pointer.state === "open" ? pointer.generation : pointer.base;
}

function nextStage(state: RebuildState, after: RebuildStage | null): RebuildState {
  const { stages } = state.config.rules;
  const stage = stages[after === null ? 0 : stages.indexOf(after) + 1];
  if (stage === undefined) return { ...state, phase: { name: "done" }, call: null };
  switch (stage) {
    case "reserve":
      return reserve(state);
    case "grid":
      return writeGrid(state);
    case "fence":
      return calling(state, { name: "fenceRow" }, { op: "row" });
    case "endLogs":
    case "fill":
      return calling(state, { name: stage }, { op: stage });
    case "open":
      return movePointer(state, "open", pointerOf(state, "open"));
  }
}

// Steps 2 and 7: the pointer.

function pointerOf(state: RebuildState, to: Pointer["state"]): Buffer {
  const { mine, base, basePartitions } = planOf(state);
  return encodeDirectory({ ...mine, state: to, base, basePartitions });
}

function planOf({ plan }: RebuildState): RebuildPlan {
  return must(plan, "what to do is decided once the row is read");
}

function reserve(state: RebuildState): RebuildState {
  const { ownNumber } = state.config.rules;
  const value = pointerOf(state, "rebuilding");
  if (!ownNumber && state.standing?.equals(value) === true) return nextStage(state, "reserve");
  return movePointer(state, "reserve", value);
}

function movePointer(state: RebuildState, name: "reserve" | "open", value: Buffer): RebuildState {
  const { standing } = state;
  const move =
    standing === null ? startWrite(pointerKey, value) : startSwap(pointerKey, standing, value);
  return calling(state, { name, move }, moveCall(move));
}

function isSwap(move: SwapState | WriteState): move is SwapState {
  return "expected" in move;
}

function moveCall(move: SwapState | WriteState): RebuildCall {
  return { op: "store", call: isSwap(move) ? swapCall(move) : writeCall(move) };
}

function moved(
  state: RebuildState,
  { name, move }: RebuildPhase & { name: "reserve" | "open" },
  value: Value,
): RebuildState {
  const step = isSwap(move) ? answerSwap(move, value) : answerWrite(move, value, everyRule);
  switch (step.kind) {
    case "call":
      return calling(state, { name, move: step.state }, moveCall(step.state));
    case "durable":
      return nextStage({ ...state, standing: move.value }, name);
    case "beaten":
      return overtaken(state, name === "reserve" ? "began first" : "has begun since");
  }
}

/** The grid id is of the whole grid: behind the reservation, as no unit may find it alone (G1). */
function writeGrid(state: RebuildState): RebuildState {
  const { gridId, mine } = planOf(state);
  const value = state.gridBytes ?? encodeDirectory({ gridId, partitions: mine.partitions });
  const write = startWrite(gridIdKey, value);
  return calling(state, { name: "grid", write }, moveCall(write));
}

function gridWritten(state: RebuildState, write: WriteState, value: Value): RebuildState {
  const step = answerWrite(write, value, everyRule);
  if (step.kind === "call") {
    return calling(state, { name: "grid", write: step.state }, moveCall(step.state));
  }
  if (step.kind === "durable") return nextStage(state, "grid");
  const found = decodeGridId(step.other);
  if (found?.gridId === planOf(state).gridId) return nextStage(state, "grid");
  return stop(state, "DATABASE_FOREIGN", "the store was given to another grid meanwhile");
}

// Step 3: the database (G6).

function fenceRowRead(state: RebuildState, row: DatabaseRow | null): RebuildState {
  const { mine } = planOf(state);
  if (row === null) return refuse(state, "the database no longer knows the grid");
  if (isMark(row, mine)) return nextStage({ ...state, row }, "fence");
  if (row.generation >= mine.generation) return overtaken(state, "fenced the database");
  if (!state.config.rules.lookBeforeFence) return fence(state, row);
  return calling(state, { name: "fencePointer", row }, getPointer);
}

function isMark(one: GenerationMark, other: GenerationMark): boolean {
  return one.generation === other.generation && one.token === other.token;
}

function pointerBeforeFence(
  state: RebuildState,
  row: GenerationMark,
  found: Buffer | null,
): RebuildState {
  const { standing } = state;
  const stands = found === null || standing === null ? found === standing : found.equals(standing);
  return stands ? fence(state, row) : overtaken(state, "has begun since");
}

function fence(state: RebuildState, { generation, token }: GenerationMark): RebuildState {
  const expected = { generation, token };
  return calling(state, { name: "fence" }, { op: "fence", expected, next: planOf(state).mine });
}
