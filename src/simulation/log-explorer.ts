// Log explorer: every schedule of the log within small bounds: the real machine, not a model of
// it, under all orders of calls, all ways in which a call goes wrong, and a primary that dies.
// Owns: what may happen next in a world, which worlds were seen, the shortest way to a violation.
// Does not own: what is right (log-oracle.ts); the lanes and copies (log-script.ts).
// Breadth first, so the first violation found has the fewest steps. Bounds are small: it is
// complete within them, where the seeds of log-run.ts go far but see little of all there is.
import { hash } from "node:crypto";
import type { CheckpointCall } from "../grid/checkpoint-state.ts";
import type { LogRules } from "../grid/log-rules.ts";
import type { LogCall } from "../grid/log-write.ts";
import { LogScript, type ScriptLane } from "./log-script.ts";

export interface ExplorerBounds {
  readonly rules: LogRules;
  /** For each lane: how often it may take over, append, and checkpoint. The first one serves. */
  readonly lanes: readonly { takeOvers: number; appends: number; checkpoints: number }[];
  /** Primaries that may die; after one there is no backup left. */
  readonly crashes: number;
  /** Calls that may be held back, one at a time, to arrive at any later moment. */
  readonly lateCalls: number;
  /** How often an owner may be told that members changed. */
  readonly news: number;
  /** Beyond the failure bound: how often all copies may lose all from some position on. */
  readonly rewinds: number;
  /** Gives up as incomplete beyond so many worlds. */
  readonly worldsMax: number;
}

export interface Exploration {
  readonly worlds: number;
  /** True where every world within the bounds was seen. */
  readonly complete: boolean;
  /** The shortest way to a violation: what happened, step by step, and what it broke. */
  readonly violation: { readonly steps: readonly string[]; readonly what: string } | null;
}

interface Actor {
  readonly lane: ScriptLane;
  readonly takeOvers: number;
  readonly appends: number;
  readonly checkpoints: number;
}

interface World {
  readonly script: LogScript;
  readonly actors: readonly Actor[];
  readonly crashes: number;
  readonly lateCalls: number;
  readonly news: number;
  readonly rewinds: number;
  readonly late: LogCall | null;
  readonly entries: number;
  readonly path: Path | null;
}

interface Path {
  readonly step: string;
  readonly before: Path | null;
}

type Next = readonly [step: string, world: () => World];
/** What becomes of a call on its way. */
type Way = "done" | "answer lost" | "primary alone";

/** Explores everything within the bounds, or up to the first violation. */
export function exploreLog(bounds: ExplorerBounds): Exploration {
  const first = firstWorld(bounds);
  const prints = new Prints();
  const seen = new Set([prints.of(first)]);
  let frontier = [first];
  while (frontier.length > 0) {
    const further: World[] = [];
    for (const world of frontier) {
      for (const [step, make] of nextSteps(world)) {
        const next = { ...make(), path: { step, before: world.path } };
        const print = prints.of(next);
        const { violations } = next.script.oracle;
        if (violations.length === 0 && seen.has(print)) continue;
        const what = next.script.verdict()[0];
        if (what !== undefined) {
          return {
            worlds: seen.size,
            complete: false,
            violation: { steps: stepsOf(next.path), what },
          };
        }
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

function firstWorld({ lanes, rules, ...bounds }: ExplorerBounds): World {
  const script = new LogScript();
  const actors = lanes.map((lane, index) => ({
    ...lane,
    lane: script.lane(nameOf(index), { rules, token: nameOf(index) }),
  }));
  actors[0]?.lane.open().rest();
  return { script, actors, ...bounds, late: null, entries: 0, path: null };
}

function nameOf(index: number): string {
  return String.fromCharCode(97 + index);
}

function stepsOf(path: Path | null): string[] {
  const steps: string[] = [];
  for (let at = path; at !== null; at = at.before) steps.unshift(at.step);
  return steps;
}

/** The world once more, with one actor replaced by what `change` makes of it. */
function clone(world: World, index: number, change: (actor: Actor, script: LogScript) => Actor) {
  const script = world.script.clone();
  const actors = world.actors.map((actor, at) => {
    const copy = { ...actor, lane: actor.lane.clone(script) };
    return at === index ? change(copy, script) : copy;
  });
  return { ...world, script, actors };
}

function nextSteps(world: World): Next[] {
  const steps: Next[] = [];
  for (const [index, actor] of world.actors.entries()) {
    if (actor.lane.state.call !== null) steps.push(...laneSteps(world, index, actor));
    else steps.push(...restingSteps(world, index, actor));
    if (actor.lane.checkpoints.phase !== "") steps.push(...checkpointSteps(world, index, actor));
    if (world.news > 0 && listens(actor)) {
      steps.push([`${nameOf(index)} is told`, () => told(world, index)]);
    }
  }
  if (world.rewinds > 0) steps.push(...rewindSteps(world));
  const { late } = world;
  if (late !== null) {
    steps.push(["late call lands", () => land(world, late, true)]);
    if (hasBackup(world)) steps.push(["late call on primary", () => land(world, late, false)]);
  }
  if (world.crashes > 0 && hasBackup(world)) steps.push(["primary dies", () => crash(world)]);
  return steps;
}

function listens({ lane }: Actor): boolean {
  const { phase, checkDue } = lane.state;
  return phase.name !== "idle" && phase.name !== "stopped" && !checkDue;
}

function told(world: World, index: number): World {
  const next = clone(world, index, (actor) => {
    actor.lane.check();
    return actor;
  });
  return { ...next, news: world.news - 1 };
}

function rewindSteps(world: World): Next[] {
  const steps: Next[] = [];
  const end = Math.max(...world.actors.map(({ lane }) => lane.state.next));
  for (let from = world.script.head() + 1; from <= end; from++) {
    const lost = Array.from({ length: end - from + 1 }, (_, index) => from + index);
    const rewind = (): World => {
      const next = clone(world, -1, (actor) => actor);
      next.script.lose(...lost);
      return { ...next, rewinds: world.rewinds - 1 };
    };
    steps.push([`all from ${String(from)} on is lost`, rewind]);
  }
  return steps;
}

function hasBackup(world: World): boolean {
  return world.script.copies.replicas.length > 1;
}

function land(world: World, late: LogCall, everywhere: boolean): World {
  const next = clone(world, -1, (actor) => actor);
  if (everywhere) next.script.everywhere(late);
  else next.script.onPrimaryAlone(late);
  return { ...next, late: null };
}

function crash(world: World): World {
  const next = clone(world, -1, (actor) => actor);
  next.script.losePrimary();
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
    () => clone(world, index, (actor) => settled(actor, way)),
  ]);
  // A late confirmation writes what is there already: only a late first write matters.
  if (call.op === "putIfAbsent" && world.late === null && world.lateCalls > 0) {
    steps.push([
      `${name}: late`,
      () => ({
        ...clone(world, index, (actor) => actor),
        late: call,
        lateCalls: world.lateCalls - 1,
      }),
    ]);
  }
  return steps;
}

function settled(actor: Actor, way: Way): Actor {
  const { lane } = actor;
  if (way === "done") lane.step();
  else if (way === "answer lost") lane.answerLost();
  else lane.onPrimaryAlone();
  // Position 0 never changes: who reads it commutes with everybody, and is not worth a world.
  while (/^(?:readGenesis|confirmGenesis|checkGenesis)$/.test(lane.phase)) lane.step();
  return actor;
}

function restingSteps(world: World, index: number, actor: Actor): Next[] {
  const { lane, takeOvers, appends, checkpoints } = actor;
  const name = nameOf(index);
  const steps: Next[] = [];
  if (lane.phase !== "serving") {
    if (takeOvers > 0 && lane.checkpoints.phase === "") {
      const open = (one: Actor, script: LogScript): Actor => {
        const token = `${name}${takeOvers}`;
        const fresh = script.lane(name, { rules: one.lane.state.config.rules, token }).open();
        return settled({ ...one, lane: fresh, takeOvers: takeOvers - 1 }, "done");
      };
      steps.push([`${name} takes over`, () => clone(world, index, open)]);
    }
    return steps;
  }
  const { mayBegin, mayAppend } = lane.checkpoints;
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
    const append = (one: Actor): Actor => {
      one.lane.appendCheckpoint();
      return one;
    };
    steps.push([`${name} records`, () => clone(world, index, append)]);
  }
  if (checkpoints > 0 && mayBegin) {
    const checkpoint = (one: Actor): Actor => {
      one.lane.checkpoints.begin();
      return { ...one, checkpoints: checkpoints - 1 };
    };
    steps.push([`${name} checkpoints`, () => clone(world, index, checkpoint)]);
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
      clone(world, index, (actor) => {
        if (way === "done") actor.lane.stepCheckpoint();
        else if (way === "answer lost") actor.lane.checkpointAnswerLost();
        else actor.lane.checkpointOnPrimaryAlone();
        return actor;
      }),
  ]);
}

/** Fingerprints of worlds: equal for worlds that go on alike. */
class Prints {
  readonly #numbers = new Map<string, number>();
  readonly #byBuffer = new WeakMap<Buffer, number>();

  of(world: World): string {
    const { crashes, lateCalls, news, rewinds, entries } = world;
    const parts: string[] = [[crashes, lateCalls, news, rewinds, entries].join()];
    for (const replica of world.script.copies.replicas) {
      const stored = [...replica].map(([name, value]) => `${name}=${this.#bytes(value)}`);
      parts.push(stored.sort().join());
    }
    for (const { lane, ...rest } of world.actors) {
      const { phase, head, epoch, next, chain, checkDue, look } = lane.state;
      parts.push(this.#any(phase), `${head},${epoch},${next},${this.#bytes(chain)},${checkDue}`);
      parts.push(this.#any(look));
      parts.push(lane.follower.fingerprint, this.#any(rest));
      parts.push(this.#any(lane.checkpoints.state), lane.checkpoints.fingerprint);
    }
    parts.push(this.#any(world.late), world.script.oracle.fingerprint);
    return hash("sha256", parts.join("|"), "base64");
  }

  #bytes(value: Buffer): number {
    let number = this.#byBuffer.get(value);
    if (number === undefined) {
      const text = value.toString("latin1");
      number = this.#numbers.get(text) ?? this.#numbers.size;
      this.#numbers.set(text, number);
      this.#byBuffer.set(value, number);
    }
    return number;
  }

  #any(value: unknown): string {
    if (value instanceof Buffer) return String(this.#bytes(value));
    if (Array.isArray(value)) return `[${value.map((item) => this.#any(item)).join()}]`;
    if (typeof value !== "object" || value === null) return String(value);
    // What a record says is in the bytes beside it; a lane's configuration stays.
    const entries = Object.entries(value).filter(([name]) => !/^(?:record|by|config)$/.test(name));
    return `{${entries.map(([name, item]) => `${name}:${this.#any(item)}`).join()}}`;
  }
}
