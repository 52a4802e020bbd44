// Log world: one moment of a log that is explored, and all that may happen next in it: who runs,
// which call is answered, lost or held back, who dies, what goes back.
// Owns: the steps. Does not own: the search (log-explorer.ts); copies and lanes (log-script.ts,
// script-lane.ts); what is right (log-oracle.ts).
import { assert } from "../base/assert.ts";
import type { CheckpointCall } from "../grid/checkpoint-state.ts";
import { checksum } from "../grid/log-record.ts";
import type { LogRules } from "../grid/log-rules.ts";
import type { LogCall } from "../grid/log-write.ts";
import { LogScript } from "./log-script.ts";
import type { LaneBug } from "./script-bugs.ts";
import type { ScriptLane } from "./script-lane.ts";
import { ReplicaStore } from "./replica-store.ts";
import { ScriptDatabase, type DatabaseCall, type PumpBug } from "./script-database.ts";

/** How often a lane may do what. */
export interface LaneBounds {
  readonly takeOvers: number;
  readonly appends: number;
  readonly checkpoints: number;
  readonly releases?: number;
  /** Its checkpoints encode everything, and share no segment. */
  readonly everything?: boolean;
}

export interface ExplorerBounds {
  readonly rules: LogRules;
  /** The first one serves. */
  readonly lanes: readonly LaneBounds[];
  /** Copies of the log; 2 where nothing is said. */
  readonly copies?: number;
  /** Primaries that may die, as long as one copy is left. */
  readonly crashes: number;
  /** Calls that may be held back, one at a time, to arrive at any later moment. */
  readonly lateCalls: number;
  /** How often an owner may be told that members changed. */
  readonly news: number;
  /** Beyond the failure bound: how often all copies may lose all from some position on. */
  readonly rewinds: number;
  /** A database, and what is wrong with the way to it. */
  readonly database?: readonly PumpBug[] | undefined;
  /** How often the database may go back to any earlier state. */
  readonly restores?: number;
  /** Linearizable reads; in a wrong engine they are answered by what was sent before. */
  readonly reads?: number;
  readonly readsRideOnSent?: boolean;
  /** A wrong engine: how often an owner sends the next append while one is in flight. */
  readonly twins?: number;
  /** Wrong engines. */
  readonly bugs?: readonly LaneBug[];
  /** Every lane writes under one token: as a lane that was started again without a fresh one. */
  readonly oneToken?: boolean;
  /** Gives up as incomplete beyond so many worlds. */
  readonly worldsMax: number;
}

export interface Actor extends Required<LaneBounds> {
  readonly lane: ScriptLane;
}

/** A call that left, and arrives when nobody waits for it any more. */
type LateCall =
  | { readonly to: "store"; readonly call: LogCall }
  | { readonly to: "database"; readonly call: DatabaseCall };

export interface World {
  readonly script: LogScript;
  readonly actors: readonly Actor[];
  readonly crashes: number;
  readonly lateCalls: number;
  readonly news: number;
  readonly rewinds: number;
  readonly restores: number;
  readonly reads: number;
  readonly readsRideOnSent: boolean;
  readonly twins: number;
  readonly bugs: ReadonlySet<LaneBug>;
  readonly oneToken: boolean;
  readonly late: LateCall | null;
  readonly entries: number;
}

export type Next = readonly [step: string, world: () => World];
/** What becomes of a call on its way. */
type Way = "done" | "answer lost" | "primary alone";

/** The first lane serves, and has written what there is. */
export function firstWorld(bounds: ExplorerBounds): World {
  const { lanes, rules, database, copies = 2, oneToken = false } = bounds;
  const bugs = new Set(bounds.bugs);
  const script = new LogScript({
    copies: new ReplicaStore(copies),
    database: database === undefined ? null : new ScriptDatabase(new Set(database)),
  });
  const actors = lanes.map((lane, index) => ({
    releases: 0,
    everything: false,
    ...lane,
    lane: script.lane(nameOf(index), { rules, bugs, token: nameOf(oneToken ? 0 : index) }),
  }));
  actors[0]?.lane.open().rest().restPump();
  const { crashes, lateCalls, news, rewinds, restores = 0, twins = 0 } = bounds;
  const { reads = 0, readsRideOnSent = false } = bounds;
  const left = { crashes, lateCalls, news, rewinds, restores, twins, reads, readsRideOnSent };
  return { script, actors, ...left, bugs, oneToken, late: null, entries: 0 };
}

function nameOf(index: number): string {
  return String.fromCharCode(97 + index);
}

/**
 * The world once more, with one actor replaced by what `change` makes of it. The others stay who
 * they are: whoever acts is brought into the world that it acts in.
 */
function clone(world: World, index: number, change: (actor: Actor, script: LogScript) => Actor) {
  const script = world.script.clone();
  const actors = world.actors.map((actor, at) => {
    return at === index ? change({ ...actor, lane: actor.lane.clone(script) }, script) : actor;
  });
  return { ...world, script, actors };
}

/** The world once more, in which something happens to what the lanes share. */
function happened(world: World, change: (script: LogScript) => void): World {
  const script = world.script.clone();
  change(script);
  return { ...world, script };
}

/** Does something with a lane that leaves its bounds as they are. */
function acted(world: World, index: number, act: (lane: ScriptLane) => void): World {
  return clone(world, index, (actor) => {
    act(actor.lane);
    return actor;
  });
}

export function nextSteps(world: World): Next[] {
  const steps: Next[] = [];
  for (const [index, actor] of world.actors.entries()) {
    if (actor.lane.state.call !== null) steps.push(...laneSteps(world, index, actor));
    else steps.push(...restingSteps(world, index, actor));
    if (actor.lane.checkpoints.phase !== "") steps.push(...checkpointSteps(world, index, actor));
    if (actor.lane.pump !== null) steps.push(...pumpSteps(world, index, actor.lane));
    if (world.news > 0 && listens(actor)) {
      steps.push([`${nameOf(index)} is told`, () => told(world, index)]);
    }
    if (world.reads > 0 && /^(?:serving|append)\b/.test(actor.lane.phase)) {
      steps.push([`${nameOf(index)} reads`, () => read(world, index)]);
    }
  }
  if (world.rewinds > 0) steps.push(...rewindSteps(world));
  if (world.restores > 0) steps.push(...restoreSteps(world));
  if (world.late !== null) steps.push(...lateSteps(world, world.late));
  if (world.crashes > 0 && hasBackup(world)) steps.push(["primary dies", () => crash(world)]);
  return steps;
}

function listens({ lane }: Actor): boolean {
  return !/^(?:idle|stopped|released)$/.test(lane.phase) && !lane.state.checkDue;
}

function told(world: World, index: number): World {
  return { ...acted(world, index, (lane) => lane.check()), news: world.news - 1 };
}

function read(world: World, index: number): World {
  const { reads, readsRideOnSent } = world;
  return { ...acted(world, index, (lane) => lane.read(readsRideOnSent)), reads: reads - 1 };
}

function rewindSteps(world: World): Next[] {
  const steps: Next[] = [];
  const end = Math.max(...world.actors.map(({ lane }) => lane.state.next));
  for (let from = world.script.head() + 1; from <= end; from++) {
    const lost = Array.from({ length: end - from + 1 }, (_, index) => from + index);
    const rewind = (): World => {
      const next = happened(world, (script) => script.lose(...lost));
      return { ...next, rewinds: world.rewinds - 1 };
    };
    steps.push([`all from ${String(from)} on is lost`, rewind]);
  }
  return steps;
}

function restoreSteps(world: World): Next[] {
  const backups = world.script.database?.backups ?? 0;
  return Array.from({ length: backups }, (_, version): Next => {
    const restore = (): World => {
      const next = happened(world, (script) => script.restoreDatabase(version));
      return { ...next, restores: world.restores - 1 };
    };
    return [`the database goes back to change ${String(version)}`, restore];
  });
}

function hasBackup(world: World): boolean {
  return world.script.copies.replicas.length > 1;
}

function lateSteps(world: World, late: LateCall): Next[] {
  const land = (change: (script: LogScript) => void) => () => ({
    ...happened(world, change),
    late: null,
  });
  if (late.to === "database") {
    return [["late transaction lands", land((script) => script.atDatabase(late.call))]];
  }
  const steps: Next[] = [["late call lands", land((script) => script.everywhere(late.call))]];
  if (hasBackup(world)) {
    steps.push(["late call on primary", land((script) => script.onPrimaryAlone(late.call))]);
  }
  return steps;
}

function crash(world: World): World {
  const next = happened(world, (script) => script.losePrimary());
  return { ...next, crashes: world.crashes - 1 };
}

function isChange(call: CheckpointCall): boolean {
  return call.op !== "get" && call.op !== "getMany";
}

function waysOf(world: World, call: CheckpointCall): Way[] {
  if (!isChange(call)) return ["done"];
  return hasBackup(world) ? ["done", "answer lost", "primary alone"] : ["done", "answer lost"];
}

function laneSteps(world: World, index: number, { lane }: Actor): Next[] {
  const { call } = lane;
  const name = `${nameOf(index)} ${lane.phase}`;
  const steps: Next[] = waysOf(world, call).map((way) => [
    `${name}: ${way}`,
    () => acted(world, index, (one) => settle(one, way)),
  ]);
  // A late confirmation writes what is there already: only a late first write matters.
  if (call.op === "putIfAbsent" && world.late === null && world.lateCalls > 0) {
    const late = { to: "store", call } as const;
    steps.push([`${name}: late`, () => ({ ...world, late, lateCalls: world.lateCalls - 1 })]);
  }
  if (world.twins > 0 && lane.phase === "append.put") {
    steps.push([`${nameOf(index)} appends beside it`, () => besides(world, index)]);
  }
  return steps;
}

/** The same owner goes on as if the append in flight were durable. */
function besides(world: World, index: number): World {
  const entries = world.entries + 1;
  let actors: readonly Actor[] = [];
  const next = clone(world, index, (actor, script) => {
    const { state } = actor.lane;
    assert("write" in state.phase, "an append is in flight");
    const chain = checksum(state.phase.write.value);
    const serving = {
      phase: { name: "serving" },
      call: null,
      next: state.next + 1,
      chain,
    } as const;
    const bounds = { takeOvers: 0, appends: 0, checkpoints: 0, releases: 0, everything: false };
    const twin = actor.lane.twin({ ...state, ...serving }).append(entries);
    actors = [{ ...bounds, lane: twin.clone(script) }];
    return actor;
  });
  return { ...next, actors: [...next.actors, ...actors], entries, twins: world.twins - 1 };
}

function settle(lane: ScriptLane, way: Way): void {
  if (way === "done") lane.step();
  else if (way === "answer lost") lane.answerLost();
  else lane.onPrimaryAlone();
  // Position 0 never changes: who reads it commutes with everybody, and is not worth a world.
  while (/^(?:readGenesis|confirmGenesis|checkGenesis)$/.test(lane.phase)) lane.step();
}

function restingSteps(world: World, index: number, actor: Actor): Next[] {
  if (actor.lane.phase === "serving") return servingSteps(world, index, actor);
  if (actor.takeOvers === 0 || actor.lane.checkpoints.phase !== "") return [];
  if (!isInTurn(world, index)) return [];
  const name = nameOf(index);
  const open = ({ lane, takeOvers, ...rest }: Actor, script: LogScript): Actor => {
    const { rules } = lane.state.config;
    const token = world.oneToken ? nameOf(0) : `${name}${takeOvers}`;
    const fresh = script.lane(name, { rules, bugs: world.bugs, token }).open();
    settle(fresh, "done");
    return { ...rest, lane: fresh, takeOvers: takeOvers - 1 };
  };
  return [[`${name} takes over`, () => clone(world, index, open)]];
}

/** Of lanes of the same bounds that have done nothing yet the first is as good as any. */
function isInTurn({ actors }: World, index: number): boolean {
  const isFresh = (one: Actor | undefined): boolean => one?.lane.phase === "idle";
  const before = actors[index - 1];
  const actor = actors[index];
  if (!isFresh(before) || !isFresh(actor) || index === 1) return true;
  return boundsOf(before) !== boundsOf(actor);
}

function boundsOf(actor: Actor | undefined): string {
  if (actor === undefined) return "";
  const { takeOvers, appends, checkpoints, releases, everything } = actor;
  return [takeOvers, appends, checkpoints, releases, everything].join();
}

function servingSteps(world: World, index: number, actor: Actor): Next[] {
  const steps: Next[] = [];
  const name = nameOf(index);
  const { appends, checkpoints, releases, lane } = actor;
  const { mayBegin, mayAppend, phase } = lane.checkpoints;
  if (appends > 0) {
    const entries = world.entries + 1;
    const append = (one: Actor): Actor => {
      // The record of a checkpoint that has its turn carries what waits.
      if (mayAppend) one.lane.appendCheckpoint(entries);
      else one.lane.append(entries);
      return { ...one, appends: appends - 1 };
    };
    const next = (): World => ({ ...clone(world, index, append), entries });
    steps.push([`${name} appends ${String(entries)}`, next]);
  }
  if (mayAppend) {
    steps.push([`${name} records`, () => acted(world, index, (one) => one.appendCheckpoint())]);
  }
  if (checkpoints > 0 && mayBegin) {
    const checkpoint = (one: Actor): Actor => {
      one.lane.checkpoints.begin(one.everything);
      return { ...one, checkpoints: checkpoints - 1 };
    };
    steps.push([`${name} checkpoints`, () => clone(world, index, checkpoint)]);
  }
  if (releases > 0 && phase === "" && !mayAppend) {
    const release = (one: Actor): Actor => {
      one.lane.release();
      return { ...one, releases: releases - 1 };
    };
    steps.push([`${name} releases`, () => clone(world, index, release)]);
  }
  return steps;
}

// Steps 12 and 13 beside the appends. What is sent once more is the same as what was sent late,
// so deletes and moves of head that arrive late are among these.

function checkpointSteps(world: World, index: number, { lane }: Actor): Next[] {
  const name = `${nameOf(index)} ${lane.checkpoints.phase}`;
  return waysOf(world, lane.checkpoints.call).map((way) => [
    `${name}: ${way}`,
    () =>
      acted(world, index, (one) => {
        if (way === "done") one.stepCheckpoint();
        else if (way === "answer lost") one.checkpointAnswerLost();
        else one.checkpointOnPrimaryAlone();
      }),
  ]);
}

// Steps 9 and 10 beside both. A claim that is sent once more changes nothing more; a transaction
// that arrives late may.

function pumpSteps(world: World, index: number, lane: ScriptLane): Next[] {
  const state = lane.pump?.state;
  if (state === undefined) return [];
  const { call, phase } = state;
  const name = `${nameOf(index)} pump`;
  if (call === null) {
    const row = world.script.database?.row;
    if (phase !== "pump" || row?.seq === state.written) return [];
    // Only a restored database differs from what an idle owner believes.
    return [[`${name} looks`, () => acted(world, index, (one) => one.pump?.look())]];
  }
  const steps: Next[] = [
    [`${name} ${call.op}: done`, () => acted(world, index, (one) => one.stepPump())],
  ];
  const isAnswered = phase !== "idle";
  if ((call.op !== "write" && call.op !== "claim") || !isAnswered) return steps;
  const lost = (): World => acted(world, index, (one) => one.pumpAnswerLost(true));
  steps.push([`${name} ${call.op}: answer lost`, lost]);
  if (world.late === null && world.lateCalls > 0) {
    const late = { to: "database", call } as const;
    const leaves = (): World => ({
      ...acted(world, index, (one) => one.pumpAnswerLost(false)),
      late,
      lateCalls: world.lateCalls - 1,
    });
    steps.push([`${name} ${call.op}: late`, leaves]);
  }
  return steps;
}
