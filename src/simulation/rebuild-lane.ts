// Rebuild lane: one actor of an explored rebuild that owns the partition, or takes it over, in
// whichever generation it joined: the real log machine, and a pump of two statements.
// Owns: what it has folded, what it has acknowledged. Does not own: the machine (src/grid), what
// becomes of a call (rebuild-explorer.ts).
// Between a call that may change a log or show that it changed and the next such call it runs on:
// what it reads in between is read at one moment.
import { assert, must } from "../base/assert.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import { stepLog } from "../grid/log-machine.ts";
import { decodeSegment, entriesOf, type LogRecord } from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import {
  initialLogState,
  type LogEvent,
  type LogOutput,
  type LogState,
} from "../grid/log-state.ts";
import type { LogAnswer } from "../grid/log-write.ts";
import { staysFinal } from "../processing-units/partition-doubt.ts";
import {
  acknowledge,
  gridId,
  judgeLoaded,
  listOf,
  onStore,
  openGeneration,
  partition,
  violated,
  type RebuildWorld,
} from "./rebuild-world.ts";

export interface LaneActor {
  readonly kind: "lane";
  readonly name: string;
  /** How often it may join, append, pump. */
  readonly joins: number;
  readonly appends: number;
  readonly pumps: number;
  readonly generation: number;
  readonly log: LogState | null;
  /** Entries that it knows, and at which positions those of its log are. */
  readonly entries: readonly number[];
  readonly records: readonly (readonly [position: number, entry: number])[];
  /** Its epoch is in the database. */
  readonly claimed: boolean;
  /** Its log acknowledged nothing since a final release or a rebuild (P12). */
  readonly endsFinal: boolean;
}

export type LaneStep = readonly [world: RebuildWorld, lane: LaneActor];

/** A lane that has done nothing. */
export function newLane(name: string, may: Pick<LaneActor, "joins" | "appends" | "pumps">) {
  const nothing = { generation: 0, log: null, entries: [], records: [] };
  const rest = { ...nothing, claimed: false, endsFinal: false };
  return { kind: "lane", name, ...may, ...rest } as const satisfies LaneActor;
}

/** Reads the pointer and begins to take over, where a generation is open. */
export function join([world, lane]: LaneStep): LaneStep {
  const generation = must(openGeneration(world), "a generation is open");
  const { name, joins } = lane;
  const token = `${name}${String(joins)}`;
  const config = { partition, gridId, generation, lane: name, token, rules: everyRule };
  const fresh = { ...lane, joins: joins - 1, generation, log: initialLogState(config) };
  const empty = { ...fresh, entries: [], records: [], claimed: false };
  return runOn(step([world, empty], { kind: "open" }));
}

export function mayJoin(world: RebuildWorld, { joins, log }: LaneActor): boolean {
  const isFree = log === null || log.phase.name === "stopped";
  return joins > 0 && isFree && openGeneration(world) !== null;
}

export function mayAppend({ rules }: RebuildWorld, lane: LaneActor): boolean {
  const { appends, log, claimed, endsFinal } = lane;
  if (appends === 0 || log?.phase.name !== "serving") return false;
  return claimed || !endsFinal || !rules.claimFirst;
}

/** Appends its last word, as the last lane of all; the call is out then. */
export function release([world, lane]: LaneStep): LaneStep {
  const event = { kind: "append", body: { type: "release", final: true }, wallMs: 0 } as const;
  return step([world, lane], event);
}

/** Appends one more entry; the call is out then. */
export function append([world, lane]: LaneStep): LaneStep {
  const number = world.facts.entries + 1;
  const facts = { ...world.facts, entries: number };
  const entry = { sender: null, number, confirmed: 0, attempt: 0, changes: [], reply: null };
  const event = { kind: "append", body: { type: "changes", entries: [entry] }, wallMs: 0 } as const;
  return step(
    [
      { ...world, facts },
      { ...lane, appends: lane.appends - 1 },
    ],
    event,
  );
}

/** Its call is done (or held back), and answered (or is not). */
export function settle(
  [world, lane]: LaneStep,
  way: "done" | "answer lost" | "primary alone" | "late",
): LaneStep {
  const call = must(lane.log?.call, "its call");
  const map = generationMapName(lane.generation);
  const unknown: LogEvent = { kind: "answer", answer: { known: false }, wallMs: 0 };
  if (way === "late") return step([world, lane], unknown);
  const done = onStore(world, map, call, way !== "primary alone");
  if (way !== "done") return step([done.world, lane], unknown);
  const answer: LogAnswer = { known: true, value: done.value };
  return runOn(step([done.world, lane], { kind: "answer", answer, wallMs: 0 }));
}

/** Calls that others can see, or that see what others did: each is a step of its own. */
const isStep = /^(?:claim|append|headAfterClaim|headAfterLoad|headWhenBeaten)$/;

function runOn(at: LaneStep): LaneStep {
  let [world, lane] = at;
  for (let steps = 0; lane.log !== null && lane.log.call !== null; steps++) {
    if (isStep.test(lane.log.phase.name)) break;
    assert(steps < 100, "a lane that runs on comes to an end");
    const done = onStore(world, generationMapName(lane.generation), lane.log.call);
    const answer: LogAnswer = { known: true, value: done.value };
    [world, lane] = step([done.world, lane], { kind: "answer", answer, wallMs: 0 });
  }
  return [world, lane];
}

function step([world, lane]: LaneStep, event: LogEvent): LaneStep {
  const { state, outputs } = stepLog(must(lane.log, "a lane that joined"), event);
  let next: LaneStep = [world, { ...lane, log: state }];
  for (const output of outputs) next = hear(next, output);
  return next;
}

function hear([world, lane]: LaneStep, output: LogOutput): LaneStep {
  switch (output.kind) {
    case "reset":
      return [world, { ...lane, entries: [], records: [], endsFinal: false }];
    case "segment": {
      const changes = must(decodeSegment(output.stored), "its format");
      return [world, { ...lane, entries: [...lane.entries, ...listOf(changes)] }];
    }
    case "loaded":
      return [world, folded(lane, output.record)];
    case "serving":
      return [judgeLoaded(world, lane.generation, lane.entries), lane];
    case "durable": {
      const { position, body } = output.record;
      const entry = entriesOf(body)[0]?.number;
      if (entry === undefined) return [world, folded(lane, output.record)]; // its release
      const one = { generation: lane.generation, entry, position };
      return [acknowledge(world, one), folded(lane, output.record)];
    }
    default:
      return [world, lane];
  }
}

function folded(before: LaneActor, record: LogRecord): LaneActor {
  const lane = { ...before, endsFinal: staysFinal(record, before.endsFinal) };
  const entry = entriesOf(record.body)[0]?.number;
  if (entry === undefined) return lane;
  const records = [...lane.records, [record.position, entry] as const];
  return { ...lane, entries: [...lane.entries, entry], records };
}

// The database, one transaction at a time (docs/log-protocol.md, steps 9 and 10).

export function mayPump(world: RebuildWorld, lane: LaneActor): boolean {
  const { log, pumps, claimed } = lane;
  if (pumps === 0 || log === null || log.epoch === 0) return false;
  if (log.phase.name !== "serving" && log.phase.name !== "append") return false;
  return !claimed || !isMine(world, lane) || world.tables.seq < log.next - 1;
}

function isMine({ tables, rules }: RebuildWorld, { generation, log }: LaneActor): boolean {
  const isGeneration = tables.generation === generation || !rules.pumpGeneration;
  return isGeneration && tables.epoch === log?.epoch;
}

/** Claims its epoch, or writes all that is durable and not written; else it stops. */
export function pump([world, lane]: LaneStep): LaneStep {
  const { log, generation } = lane;
  assert(log !== null, "a lane that serves");
  const { tables, rules } = world;
  const rest = { ...lane, pumps: lane.pumps - 1 };
  const stops: LaneStep = [world, { ...rest, log: null }];
  if (rules.pumpGeneration && tables.generation !== generation) return stops;
  if (!lane.claimed) {
    if (tables.epoch > log.epoch) return stops;
    const claimed = { ...world, tables: { ...tables, epoch: log.epoch, complete: false } };
    return [judgeWrite(claimed, world, generation), { ...rest, claimed: true }];
  }
  if (!isMine(world, lane)) return stops;
  const due = lane.records.filter(([position]) => position > tables.seq);
  const entries = [...tables.entries, ...due.map(([, entry]) => entry)];
  const written = { ...world, tables: { ...tables, entries, seq: log.next - 1 } };
  return [judgeWrite(written, world, generation), rest];
}

function judgeWrite(after: RebuildWorld, before: RebuildWorld, generation: number): RebuildWorld {
  const row = before.tables.generation;
  if (row === generation) return after;
  return violated(after, `an owner of ${String(generation)} wrote rows of ${String(row)}`);
}
