// Rebuild explorer: every schedule of rebuilds within small bounds: several runs, owners of the
// generation that is replaced, lanes that join, calls that are lost or late, a store that is
// emptied, a database that is restored, a primary that dies.
// Owns: what may happen next in a world, which worlds were seen, the shortest way to a violation.
// Does not own: what is right (rebuild-world.ts); the actors (rebuild-run.ts, rebuild-lane.ts).
// Breadth first, so the first violation found has the fewest steps.
import { hash } from "node:crypto";
import { must } from "../base/assert.ts";
import { recordKey, generationMapName } from "../grid/grid-keys.ts";
import { everyRebuildRule, type RebuildRules } from "../grid/rebuild-state.ts";
import type { Exploration } from "./log-explorer.ts";
import {
  append,
  join,
  mayAppend,
  mayJoin,
  mayPump,
  newLane,
  pump,
  release,
  settle,
} from "./rebuild-lane.ts";
import type { LaneActor } from "./rebuild-lane.ts";
import * as run from "./rebuild-run.ts";
import type { RunActor, RunCall } from "./rebuild-run.ts";
import {
  fence,
  firstWorld,
  onStore,
  openGeneration,
  partition,
  violated,
  type RebuildWorld,
  type TableRules,
  type Tables,
} from "./rebuild-world.ts";
import { storedKey } from "./replica-store.ts";

export interface RebuildBounds {
  readonly rules: RebuildRules;
  readonly tables: TableRules;
  /** For each run: how often it may begin. All of them name generation 1. */
  readonly runs: readonly number[];
  /** For each lane: the first serves generation 1 and has written one entry, if not stopped. */
  readonly lanes: readonly { joins: number; appends: number; pumps: number }[];
  /** Calls that may be held back, one at a time, to arrive at any later moment. */
  readonly lateCalls: number;
  /** How often an answer may be lost although the call was carried out. */
  readonly lostAnswers: number;
  /** The store loses everything, on every copy; the database goes back to its beginning. */
  readonly wipes: number;
  readonly restores: number;
  /** Primaries that may die. */
  readonly crashes: number;
  /** The first lane has a record that the log lost before anything begins. */
  readonly cut: boolean;
  /** A run died behind its reservation, before anything begins. */
  readonly begun: boolean;
  /** The owner of generation 1 has left as the last of all, and the database says so. */
  readonly stopped: boolean;
  /** Gives up as incomplete beyond so many worlds. */
  readonly worldsMax: number;
}

/** How many worlds were seen, whether all of them, and the shortest way to a violation. */
export type RebuildExploration = Pick<Exploration, "worlds" | "complete" | "violation">;

type Actor = RunActor | LaneActor;

interface World extends RebuildWorld {
  readonly actors: readonly Actor[];
  readonly lateCalls: number;
  readonly lostAnswers: number;
  readonly wipes: number;
  readonly restores: number;
  readonly crashes: number;
  /** What a restore brings back. */
  readonly backup: Tables;
  readonly path: Path | null;
}

interface Path {
  readonly step: string;
  readonly before: Path | null;
}

type Next = readonly [step: string, world: () => World];

/** Explores everything within the bounds, or up to the first violation. */
export function exploreRebuild(bounds: RebuildBounds): RebuildExploration {
  const prints = new Prints();
  const first = beginning(bounds);
  const seen = new Set([prints.of(first)]);
  let frontier = [first];
  while (frontier.length > 0) {
    const further: World[] = [];
    for (const world of frontier) {
      const steps = nextSteps(world);
      const ways: Next[] = steps.length === 0 ? [["a fresh run", () => freshRun(world)]] : steps;
      for (const [step, make] of ways) {
        const next = { ...make(), path: { step, before: world.path } };
        const what = next.facts.violation;
        if (what !== null) {
          const violation = { steps: stepsOf(next.path), what };
          return { worlds: seen.size, complete: false, violation };
        }
        const print = prints.of(next);
        if (steps.length === 0 || seen.has(print)) continue;
        if (seen.size >= bounds.worldsMax) {
          return { worlds: seen.size, complete: false, violation: null };
        }
        seen.add(print);
        further.push(next);
      }
    }
    frontier = further;
  }
  return { worlds: seen.size, complete: true, violation: null };
}

function stepsOf(path: Path | null): string[] {
  const steps: string[] = [];
  for (let at = path; at !== null; at = at.before) steps.unshift(at.step);
  return steps;
}

function beginning(bounds: RebuildBounds): World {
  const { rules, tables, lateCalls, lostAnswers, wipes, restores, crashes, cut, begun, stopped } =
    bounds;
  const lanes = bounds.lanes.map((may, index) => newLane(`lane ${String(index + 1)}`, may));
  const runs = bounds.runs.map((count, index) => newRun(`run ${nameOf(index)}`, count, rules, 1));
  let world: RebuildWorld = firstWorld(tables, crashes > 0 ? 2 : 1);
  let owner: LaneActor = newLane("owner", { joins: 1, appends: 1, pumps: 2 });
  const rest = (): void => {
    while (owner.log !== null && owner.log.call !== null)
      [world, owner] = settle([world, owner], "done");
  };
  [world, owner] = join([world, owner]);
  rest();
  [world, owner] = pump([world, owner]);
  [world, owner] = append([world, owner]);
  rest();
  [world, owner] = pump([world, owner]);
  if (stopped) {
    [world, owner] = release([world, owner]);
    rest();
    [world] = pump([world, owner]);
    world = { ...world, tables: { ...world.tables, complete: true } };
  }
  const backup = world.tables;
  if (begun) world = withReservation(world);
  if (cut) world = withoutRecord(world, 2);
  const [first, ...others] = lanes;
  const serving: LaneActor[] =
    first === undefined ? [] : [stopped ? first : { ...owner, ...mayOf(first), name: first.name }];
  const actors = [...serving, ...others, ...runs];
  return { ...world, actors, lateCalls, lostAnswers, wipes, restores, crashes, backup, path: null };
}

function withReservation(world: RebuildWorld): RebuildWorld {
  let stepped: run.Stepped = [world, run.begin(newRun("dead", 1, everyRebuildRule, 1))];
  while (stepped[1].state?.phase.name !== "fenceRow") {
    const call = must(run.callOf(stepped[1]), "its call");
    stepped = settleRun(stepped, call, "done");
  }
  return stepped[0];
}

/** The log loses its last record; its owner does not know, the database has it. */
function withoutRecord(world: RebuildWorld, position: number): RebuildWorld {
  const copies = world.copies.clone();
  const left = new Map(copies.snapshot());
  left.delete(storedKey(generationMapName(1), recordKey(partition, position)));
  copies.rewind(left);
  return { ...world, copies };
}

function mayOf({ joins, appends, pumps }: LaneActor) {
  return { joins, appends, pumps };
}

function nameOf(index: number): string {
  return String.fromCharCode(97 + index);
}

function newRun(
  name: string,
  runs: number,
  rules: RebuildRules,
  replaces: number | null,
): RunActor {
  return { kind: "run", name, runs, replaces, rules, state: null, errand: null };
}

function put(world: World, index: number, [next, actor]: readonly [RebuildWorld, Actor]): World {
  const actors = world.actors.map((one, at) => (at === index ? actor : one));
  return { ...world, ...next, actors };
}

function nextSteps(world: World): Next[] {
  const steps: Next[] = [];
  for (const [index, actor] of world.actors.entries()) {
    if (actor.kind === "run") steps.push(...runSteps(world, index, actor));
    else steps.push(...laneSteps(world, index, actor));
  }
  const { late } = world;
  if (late !== null) steps.push(["the late call lands", () => landed(world)]);
  if (world.wipes > 0) {
    steps.push(["the store loses everything", () => ({ ...wiped(world), wipes: world.wipes - 1 })]);
  }
  if (world.restores > 0) {
    steps.push(["the database is restored", () => restored(world)]);
  }
  if (world.crashes > 0) {
    steps.push([
      "the primary dies",
      () => {
        const copies = world.copies.clone();
        copies.losePrimary();
        return { ...world, copies, crashes: world.crashes - 1 };
      },
    ]);
  }
  return steps;
}

function landed(world: World): World {
  const late = must(world.late, "a late call");
  const rest = { ...world, late: null };
  if (late.kind === "fence") return fence(rest, late.expected, late.next);
  return onStore(rest, late.map, late.call).world;
}

function wiped(world: World): World {
  const copies = world.copies.clone();
  copies.rewind(new Map());
  return { ...world, copies, facts: { ...world.facts, wiped: true } };
}

function restored(world: World): World {
  const facts = { ...world.facts, restored: true };
  return { ...world, tables: world.backup, facts, restores: world.restores - 1 };
}

// Runs.

function runSteps(world: World, index: number, actor: RunActor): Next[] {
  const { name } = actor;
  const call = run.callOf(actor);
  if (call === null) {
    if (actor.runs === 0) return [];
    return [[`${name} begins`, () => put(world, index, [world, run.begin(actor)])]];
  }
  const what = `${name} ${actor.state?.phase.name ?? ""}`;
  return waysOf(world, call).map((way) => [
    `${what}: ${way}`,
    () => {
      const left = {
        ...world,
        lostAnswers: world.lostAnswers - (way === "answer lost" ? 1 : 0),
        lateCalls: world.lateCalls - (way === "late" ? 1 : 0),
      };
      return put(left, index, settleRun([left, actor], call, way));
    },
  ]);
}

type Way = "done" | "answer lost" | "late" | "primary alone";

function waysOf(world: World, call: RunCall): Way[] {
  const ways: Way[] = ["done"];
  const isChange =
    call.on === "fence" ||
    (call.on === "store" && call.call.op !== "get" && call.call.op !== "getMany");
  if (!isChange) return ways;
  if (world.lostAnswers > 0 && call.on === "store") ways.push("answer lost");
  if (world.lateCalls > 0 && world.late === null) ways.push("late");
  if (call.on === "store" && world.copies.replicas.length > 1) ways.push("primary alone");
  return ways;
}

function settleRun([world, actor]: run.Stepped, call: RunCall, way: Way): run.Stepped {
  switch (call.on) {
    case "row":
      return run.readRow([world, actor]);
    case "scan":
      return run.scanLog([world, actor], 1);
    case "read":
      return run.readTables([world, actor]);
    case "fence": {
      const late = { kind: "fence", expected: call.expected, next: call.next } as const;
      if (way === "late") return run.fenced([{ ...world, late }, actor], false);
      return run.fenced([world, actor], true);
    }
    case "store": {
      const { map, call: inner } = call;
      const late = { kind: "store", map, call: inner } as const;
      if (way === "late") return [{ ...world, late }, actor];
      const done = onStore(world, map, inner, way !== "primary alone");
      if (way !== "done") return [done.world, actor];
      return runOn(run.answer([done.world, actor], done.value));
    }
  }
}

/** The grid id never changes: who reads or writes it commutes with everybody. */
function runOn(stepped: run.Stepped): run.Stepped {
  let [world, actor] = stepped;
  for (;;) {
    const call = run.callOf(actor);
    const name = actor.state?.phase.name;
    if (call?.on !== "store" || (name !== "readGrid" && name !== "grid")) return [world, actor];
    const done = onStore(world, call.map, call.call);
    [world, actor] = run.answer([done.world, actor], done.value);
  }
}

/**
 * All is at rest, and nothing more may happen: an operator can still bring the grid back, where
 * none is open, and then no other run takes part.
 */
function freshRun(world: World): World {
  if (openGeneration(world) !== null) return world;
  let stepped: run.Stepped = [world, run.begin(newRun("fresh", 1, everyRebuildRule, null))];
  for (let steps = 0; steps < 200; steps++) {
    const call = run.callOf(stepped[1]);
    if (call === null) break;
    stepped = settleRun(stepped, call, "done");
  }
  const [after, { state }] = stepped;
  const isOpen = openGeneration(after) !== null;
  const why = state?.phase.name === "stopped" ? state.phase.failure.message : "it does not end";
  return { ...world, ...(isOpen ? after : violated(after, `no generation can be opened: ${why}`)) };
}

// Lanes.

function laneSteps(world: World, index: number, actor: LaneActor): Next[] {
  const { name, log } = actor;
  const steps: Next[] = [];
  const add = (what: string, step: (at: [World, LaneActor]) => readonly [RebuildWorld, Actor]) => {
    steps.push([`${name} ${what}`, () => put(world, index, step([world, actor]))]);
  };
  if (mayJoin(world, actor)) add("joins", join);
  if (mayPump(world, actor)) add("pumps", pump);
  if (mayAppend(world, actor)) add("appends", append);
  if (log === null || log.call === null) return steps;
  const phase = log.phase.name;
  add(`${phase}: done`, (at) => settle(at, "done"));
  if (log.call.op !== "putIfAbsent") return steps;
  const { call } = log;
  if (world.lateCalls > 0 && world.late === null) {
    const late = { kind: "store", map: generationMapName(actor.generation), call } as const;
    const lateCalls = world.lateCalls - 1;
    const held = { ...world, late, lateCalls };
    steps.push([`${name} ${phase}: late`, () => put(held, index, settle([held, actor], "late"))]);
  }
  return steps;
}

/** Fingerprints of worlds: equal for worlds that go on alike. */
class Prints {
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<object, string>();

  of(world: World): string {
    const { lateCalls, lostAnswers, wipes, restores, crashes, facts } = world;
    const parts = [[lateCalls, lostAnswers, wipes, restores, crashes].join()];
    for (const replica of world.copies.replicas) {
      const stored = [...replica].map(([name, value]) => `${name}=${this.#any(value)}`);
      parts.push(stored.sort().join());
    }
    for (const part of [world.tables, world.late, facts, ...world.actors]) {
      parts.push(this.#any(part));
    }
    return hash("sha256", parts.join("|"), "base64");
  }

  /** Nothing in a world is changed in place, so each object is looked at once. */
  #any(value: unknown): string {
    if (typeof value !== "object" || value === null) return String(value);
    let print = this.#known.get(value);
    if (print === undefined) {
      const text = this.#text(value);
      let number = this.#numbers.get(text);
      if (number === undefined) this.#numbers.set(text, (number = this.#numbers.size));
      print = `#${String(number)}`;
      this.#known.set(value, print);
    }
    return print;
  }

  #text(value: object): string {
    if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
    if (Array.isArray(value)) return `[${value.map((item) => this.#any(item)).join()}]`;
    const entries = Object.entries(value).map(([name, item]) => `${name}:${this.#any(item)}`);
    return `{${entries.join()}}`;
  }
}
