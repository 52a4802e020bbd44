// Rebuild run: one actor of an explored rebuild that runs the real machines: the run itself, the
// ending of the old log, the values of the new map.
// Owns: which call it has out, and what an answer leads to. Does not own: the machines (src/grid),
// what becomes of a call (rebuild-explorer.ts).
import { must } from "../base/assert.ts";
import { directoryMapName, generationMapName } from "../grid/grid-keys.ts";
import { encodeSegment } from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import type { Definite } from "../grid/log-moves.ts";
import {
  answerWrite,
  startWrite,
  writeCall,
  type LogCall,
  type WriteState,
} from "../grid/log-write.ts";
import { answerEnd, startEnd, type EndState } from "../grid/rebuild-end.ts";
import { rebuiltSegment, rebuiltValues } from "../grid/rebuild-fill.ts";
import { stepRebuild } from "../grid/rebuild-machine.ts";
import type { GenerationMark } from "../grid/rebuild-ports.ts";
import {
  initialRebuildState,
  type RebuildEvent,
  type RebuildPlan,
  type RebuildRules,
  type RebuildState,
} from "../grid/rebuild-state.ts";
import {
  fence,
  gridId,
  isFencedBy,
  judgeComplete,
  partition,
  rowFor,
  violated,
  type RebuildWorld,
} from "./rebuild-world.ts";

type Values = readonly (readonly [key: Buffer, value: Buffer])[];

/** What a run has under way beside its own steps. */
type Errand =
  | { readonly kind: "end"; readonly state: EndState }
  | { readonly kind: "write"; readonly write: WriteState; readonly left: Values };

export interface RunActor {
  readonly kind: "run";
  readonly name: string;
  /** How often it may begin (anew). */
  readonly runs: number;
  readonly replaces: number | null;
  readonly rules: RebuildRules;
  readonly state: RebuildState | null;
  readonly errand: Errand | null;
}

/** What a run asks next; null: it is at rest. */
export type RunCall =
  | { readonly on: "store"; readonly map: string; readonly call: LogCall }
  | { readonly on: "row" }
  | { readonly on: "fence"; readonly expected: GenerationMark; readonly next: GenerationMark }
  | { readonly on: "scan" }
  | { readonly on: "read" };

/** A world with one actor in it that took a step. */
export type Stepped = readonly [world: RebuildWorld, actor: RunActor];

export function begin(actor: RunActor): RunActor {
  const { name, runs, replaces, rules } = actor;
  const token = `${name}${String(runs)}`;
  const state = initialRebuildState({ replaces, partitions: null, token, rules });
  return { ...actor, runs: runs - 1, state: stepRebuild(state, { kind: "start" }), errand: null };
}

export function callOf({ state, errand }: RunActor): RunCall | null {
  const call = state?.call ?? null;
  if (call === null) return null;
  const plan = state?.plan ?? null;
  switch (call.op) {
    case "store":
      return { on: "store", map: directoryMapName, call: call.call };
    case "row":
      return { on: "row" };
    case "fence":
      return { on: "fence", expected: call.expected, next: call.next };
    case "endLogs": {
      if (errand?.kind !== "end") return { on: "scan" };
      const map = generationMapName(must(plan, "planned").base);
      return { on: "store", map, call: must(errand.state.call, "its call") };
    }
    case "fill": {
      if (errand?.kind !== "write") return { on: "read" };
      const map = generationMapName(must(plan, "planned").mine.generation);
      return { on: "store", map, call: writeCall(errand.write) };
    }
  }
}

/** The call of a run to the store was answered. */
export function answer([world, actor]: Stepped, value: Definite): Stepped {
  const { errand } = actor;
  if (errand === null) {
    return tell([world, actor], { kind: "store", answer: { known: true, value } });
  }
  if (errand.kind === "end") {
    const state = answerEnd(errand.state, value);
    if (state.call === null) return tell([world, actor], { kind: "errand", done: true });
    return [world, { ...actor, errand: { kind: "end", state } }];
  }
  const step = answerWrite(errand.write, value as null | boolean | Buffer, everyRule);
  if (step.kind === "call") {
    return [world, { ...actor, errand: { ...errand, write: step.state } }];
  }
  if (step.kind === "beaten" && !world.facts.restored) {
    return [violated(world, `${actor.name} finds another's bytes in its map`), actor];
  }
  // After a restore a number may be given twice: this run ends, and the next has another.
  if (step.kind === "beaten") return [world, { ...actor, state: null, errand: null }];
  return writeNext([world, actor], errand.left);
}

/** The row is read. */
export function readRow([world, actor]: Stepped): Stepped {
  const mine = actor.state?.plan?.mine ?? null;
  return tell([world, actor], { kind: "row", row: rowFor(world, mine) });
}

/** The fence is carried out (or is on its way), and answered (or is not). */
export function fenced([world, actor]: Stepped, isCarriedOut: boolean): Stepped {
  const call = must(callOf(actor), "a fence is out");
  const next = isCarriedOut && call.on === "fence" ? fence(world, call.expected, call.next) : world;
  return tell([next, actor], { kind: "fenced", moved: null });
}

/** Head and log of the base are looked at: what follows are END records. */
export function scanLog([world, actor]: Stepped, beyond: number): Stepped {
  const { mine, base } = planOf(actor);
  const { acknowledged, wiped } = world.facts;
  // A roster that is gone with the store knows nothing.
  const witnessed = acknowledged.filter(({ generation }) => generation === base && !wiped);
  const written = must(actor.state?.row?.written[0], "its progress").seq;
  const known = Math.max(written, ...witnessed.map(({ position }) => position));
  const config = { partition, successor: mine.generation, token: mine.token, timeMs: 0 };
  let state = startEnd({ ...config, known, beyond });
  while (state.phase.name === "head" || state.phase.name === "scan") {
    const call = must(state.call, "its call");
    const { value } = world.copies.execute(generationMapName(base), call, () => true);
    state = answerEnd(state, value);
  }
  return [world, { ...actor, errand: { kind: "end", state } }];
}

/** The tables are read in one snapshot, which shows the row as well. */
export function readTables([world, actor]: Stepped): Stepped {
  const { mine, base } = planOf(actor);
  if (!isFencedBy(world, mine) && actor.rules.stages.indexOf("fence") >= 0) {
    const isFenced = actor.rules.stages.indexOf("fence") < actor.rules.stages.indexOf("fill");
    if (isFenced) return tell([world, actor], { kind: "errand", done: false });
  }
  const { entries } = world.tables;
  const bytes = encodeSegment([{ space: "all", key: "entries", value: entries }]);
  const segment = rebuiltSegment(partition, 0, bytes.length);
  // Two runs write at different times, and so different bytes.
  const timeMs = actor.name.charCodeAt(actor.name.length - 1);
  const grid = { gridId, mine, base, written: [], timeMs };
  const values: Values = [[segment.key, bytes], ...rebuiltValues(grid, partition, [segment.name])];
  return writeNext([world, actor], values);
}

function writeNext([world, actor]: Stepped, values: Values): Stepped {
  const [first, ...left] = values;
  if (first === undefined) return tell([world, actor], { kind: "errand", done: true });
  const write = startWrite(...first);
  return [world, { ...actor, errand: { kind: "write", write, left } }];
}

function planOf({ state }: RunActor): RebuildPlan {
  return must(state?.plan, "what to do is decided");
}

function tell([world, actor]: Stepped, event: RebuildEvent): Stepped {
  const before = must(actor.state, "a run that has begun");
  const state = stepRebuild(before, event);
  const errand = state.phase.name === before.phase.name ? actor.errand : null;
  const next = { ...actor, state, errand };
  if (state.phase.name !== "done") return [world, next];
  return [judgeVouched(judgeNamed(world, actor, state), state), next];
}

/** Whoever names a generation replaces that one, and no other. */
function judgeNamed(world: RebuildWorld, { replaces }: RunActor, { plan }: RebuildState) {
  if (replaces === null || world.facts.wiped) return world;
  const { base } = must(plan, "what it did");
  if (base === replaces) return world;
  return violated(world, `generation ${String(base)} was replaced, which nobody named`);
}

/** What it vouches for when it is done: as grid/rebuild.ts reports it. */
function judgeVouched(world: RebuildWorld, { plan, row }: RebuildState): RebuildWorld {
  const { base, mine } = must(plan, "what it did");
  const isVouched = row !== null && row.base >= base && row.written.every((one) => one.complete);
  return isVouched ? judgeComplete(world, mine.generation) : world;
}
