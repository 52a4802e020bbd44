// Rebuild world: a store, a database's row and what happened so far, as a rebuild is explored: one
// partition, and whoever rebuilds or owns it beside it (rebuild-run.ts, rebuild-lane.ts).
// Owns: how calls meet store and database, what is right of them. Does not own: who calls when
// (rebuild-explorer.ts).
// A world is never changed in place: every step makes another.
import { must } from "../base/assert.ts";
import { decodePointer, encodeDirectory } from "../grid/generation-pointer.ts";
import {
  directoryMapName,
  generationMapName,
  gridIdKey,
  headKey,
  pointerKey,
  recordKey,
  segmentKey,
} from "../grid/grid-keys.ts";
import { decodeRecord, decodeSegment, encodeHead, encodeRecord } from "../grid/log-record.ts";
import type { LogCall } from "../grid/log-write.ts";
import type { DatabaseRow, GenerationMark } from "../grid/rebuild-ports.ts";
import { ReplicaStore, storedKey, type StoreValue } from "./replica-store.ts";

export const gridId = "explored";
export const partition = 0;

/** The rules of whoever speaks to the database that tests leave out one by one. */
export interface TableRules {
  /** A fence compares generation and token with what was read; else "generation is lower". */
  readonly exactFence: boolean;
  /** The row has the token of the run that fenced it. */
  readonly rowToken: boolean;
  /** The pump's statements name the generation. */
  readonly pumpGeneration: boolean;
  /** Behind a final release or a rebuild an owner changes nothing before its claim is there. */
  readonly claimFirst: boolean;
}

export const everyTableRule: TableRules = {
  exactFence: true,
  rowToken: true,
  pumpGeneration: true,
  claimFirst: true,
};

/** What the database has: its row, the progress of the partition, the entries in its tables. */
export interface Tables extends GenerationMark {
  readonly seq: number;
  readonly epoch: number;
  /** Whether it says that nothing was acknowledged behind `seq`. */
  readonly complete: boolean;
  readonly base: number;
  readonly baseSeq: number;
  readonly baseComplete: boolean;
  readonly entries: readonly number[];
}

export interface Acknowledged {
  readonly generation: number;
  readonly entry: number;
  readonly position: number;
}

/** What a generation began with; records of older logs at its opening, as generation.position. */
export interface Opened {
  readonly generation: number;
  readonly entries: readonly number[];
  readonly olderRecords: readonly string[];
}

export interface Facts {
  /** Entries given so far: each has a number of its own. */
  readonly entries: number;
  readonly acknowledged: readonly Acknowledged[];
  readonly opened: readonly Opened[];
  readonly pointer: Buffer | null;
  readonly wiped: boolean;
  readonly restored: boolean;
  readonly violation: string | null;
}

/** A call held back, to arrive at any later moment. */
export type LateCall =
  | { readonly kind: "store"; readonly map: string; readonly call: LogCall }
  | { readonly kind: "fence"; readonly expected: GenerationMark; readonly next: GenerationMark };

export interface RebuildWorld {
  readonly copies: ReplicaStore;
  readonly tables: Tables;
  readonly rules: TableRules;
  readonly late: LateCall | null;
  readonly facts: Facts;
}

/** A grid of one partition whose owner claimed at 1 and has pumped it: a lane may go on at 2. */
export function firstWorld(rules: TableRules, copies: number): RebuildWorld {
  const store = new ReplicaStore(copies);
  const put = (map: string, key: Buffer, value: Buffer): void => {
    store.execute(map, { op: "put", key, value }, () => true);
  };
  const pointer = encodeDirectory({ generation: 1, state: "open", token: "first", base: 0 });
  put(directoryMapName, gridIdKey, encodeDirectory({ gridId, partitions: 1 }));
  put(directoryMapName, pointerKey, pointer);
  put(generationMapName(1), headKey(partition), encodeHead(0));
  const genesis = { gridId, generation: 1, partitions: 1, partition };
  const header = { position: 0, epoch: 0, token: "", timeMs: 0, previous: Buffer.alloc(0) };
  const record = encodeRecord({ ...header, body: { type: "genesis", genesis } });
  put(generationMapName(1), recordKey(partition, 0), record);
  return {
    copies: store,
    tables: {
      ...{ generation: 1, token: "", entries: [] },
      ...{ seq: 0, epoch: 0, complete: false },
      ...{ base: 1, baseSeq: 0, baseComplete: false },
    },
    rules,
    late: null,
    facts: {
      entries: 0,
      acknowledged: [],
      opened: [{ generation: 1, entries: [], olderRecords: [] }],
      pointer,
      wiped: false,
      restored: false,
      violation: null,
    },
  };
}

export function violated<W extends RebuildWorld>(world: W, what: string): W {
  return { ...world, facts: { ...world.facts, violation: world.facts.violation ?? what } };
}

/** Executes a call at the store, on every copy or on the primary alone. */
export function onStore<W extends RebuildWorld>(
  world: W,
  map: string,
  call: LogCall,
  everywhere = true,
): { readonly world: W; readonly value: StoreValue } {
  if (call.op === "get" || call.op === "getMany") {
    return { world, value: world.copies.execute(map, call, () => true).value };
  }
  const copies = world.copies.clone();
  const { value } = copies.execute(map, call, () => everywhere);
  return { world: judgePointer({ ...world, copies }), value };
}

/** What the primary has under a key. */
function stored(world: RebuildWorld, map: string, key: Buffer): Buffer | null {
  return world.copies.replicas[0]?.get(storedKey(map, key)) ?? null;
}

/** The generation that lanes may join, by the pointer as it is now. */
export function openGeneration(world: RebuildWorld): number | null {
  const found = stored(world, directoryMapName, pointerKey);
  const pointer = found === null ? null : decodePointer(found);
  return pointer?.state === "open" ? pointer.generation : null;
}

// The database.

/** The row as a run sees it. Without a token in it, a run knows its own generation only. */
export function rowFor(world: RebuildWorld, mine: GenerationMark | null): DatabaseRow {
  const { rules, tables } = world;
  const { generation, base, epoch } = tables;
  const isMine = mine?.generation === generation;
  const token = rules.rowToken ? tables.token : isMine ? mine.token : "";
  const isClaimed = epoch > 0;
  const own = { partition, seq: tables.seq, complete: tables.complete };
  const before = { partition, seq: tables.baseSeq, complete: tables.baseComplete };
  const written = [isClaimed ? own : before];
  return { gridId, generation, token, base: isClaimed ? generation : base, written };
}

/** One transaction; false: nothing was changed. */
export function fence<W extends RebuildWorld>(
  world: W,
  expected: GenerationMark,
  next: GenerationMark,
): W {
  const { tables, rules } = world;
  const isSame = tables.generation === expected.generation;
  const fits = rules.exactFence
    ? isSame && (!rules.rowToken || tables.token === expected.token)
    : tables.generation < next.generation;
  if (!fits) return world;
  const { generation, token } = next;
  const { seq: baseSeq, complete: baseComplete } = tables;
  const kept = tables.epoch > 0 ? { base: tables.generation, baseSeq, baseComplete } : {};
  const made = { ...tables, ...kept, generation, token, seq: 0, epoch: 0, complete: true };
  return judgePointer({ ...world, tables: made });
}

/** Whether a run may read the tables as its own. */
export function isFencedBy({ rules, tables }: RebuildWorld, mine: GenerationMark): boolean {
  if (tables.generation !== mine.generation) return false;
  return !rules.rowToken || tables.token === mine.token;
}

// What is right.

/** An owner was told that its record is durable. */
export function acknowledge<W extends RebuildWorld>(world: W, one: Acknowledged): W {
  const { facts } = world;
  const acknowledged = [...facts.acknowledged, one];
  const next = { ...world, facts: { ...facts, acknowledged } };
  const open = openGeneration(world);
  // A store that lost everything has lost what its owners were known to have had: only the look at
  // the pointer stops them.
  if (facts.wiped || open === null || open <= one.generation) return next;
  // A record that lay in the log before it was ended may be acknowledged late.
  const { generation, position } = one;
  const since = facts.opened.find((opened) => opened.generation > generation);
  if (since?.olderRecords.includes(`${String(generation)}.${String(position)}`) === true)
    return next;
  return violated(next, `acknowledged under ${String(generation)}, ${String(open)} is open`);
}

/** A lane loaded its partition: it must have what its generation began with, and all since. */
export function judgeLoaded<W extends RebuildWorld>(
  world: W,
  generation: number,
  entries: readonly number[],
): W {
  const { opened, acknowledged, wiped } = world.facts;
  const begun = opened.find((one) => one.generation === generation)?.entries ?? [];
  const since = acknowledged.filter((one) => one.generation === generation);
  const missing = [...begun, ...since.map(({ entry }) => entry)].find((entry) => {
    return !entries.includes(entry);
  });
  if (missing === undefined || wiped) return world;
  return violated(world, `a lane of ${String(generation)} lacks entry ${String(missing)}`);
}

/** P12: a run says that nothing that was acknowledged is missing in the generation it made. */
export function judgeComplete<W extends RebuildWorld>(world: W, generation: number): W {
  const { opened, acknowledged, restored } = world.facts;
  const entries = opened.find((one) => one.generation === generation)?.entries ?? [];
  const before = acknowledged.filter((one) => one.generation < generation);
  const missing = before.find(({ entry }) => !entries.includes(entry));
  if (missing === undefined || restored) return world;
  const name = `generation ${String(generation)} is called complete`;
  return violated(world, `${name} without entry ${String(missing.entry)}`);
}

/** Looks at the pointer whenever store or row changed. */
function judgePointer<W extends RebuildWorld>(world: W): W {
  const found = stored(world, directoryMapName, pointerKey);
  const { facts, tables } = world;
  const pointer = found === null ? null : decodePointer(found);
  const isNew = found !== null && facts.pointer?.equals(found) !== true;
  let next: W = isNew ? { ...world, facts: { ...facts, pointer: found } } : world;
  if (pointer?.state !== "open" || pointer.generation === 1) return next;
  const { generation, token } = pointer;
  const name = `generation ${String(generation)} is open`;
  const isRow = tables.generation === generation && tables.token === token;
  if (!isRow && !facts.restored) next = violated(next, `${name}, the database is another's`);
  if (!isNew) return next;
  const entries = entriesOfMap(world, generation, token);
  if (entries === null) return violated(next, `${name}, its map is not whole, or another run's`);
  const olderRecords = recordsBefore(world, generation);
  const opened = [...facts.opened, { generation, entries, olderRecords }];
  next = { ...next, facts: { ...next.facts, opened } };
  const isSame = entries.join() === tables.entries.join();
  return isSame || facts.restored ? next : violated(next, `${name}, the tables have other entries`);
}

/** The entries that a map begins with; null where a part is missing or another run's. */
function entriesOfMap(
  world: RebuildWorld,
  generation: number,
  token: string,
): readonly number[] | null {
  const map = generationMapName(generation);
  const head = stored(world, map, headKey(partition));
  const records = [0, 1].map((at) => stored(world, map, recordKey(partition, at)));
  if (head === null || records.some((record) => record === null)) return null;
  const [genesis, checkpoint] = records.map((record) => decodeRecord(must(record, "it is there")));
  if (genesis?.token !== token || checkpoint?.token !== token) return null;
  if (checkpoint.body.type !== "checkpoint") return null;
  const entries: number[] = [];
  for (const { epoch, checkpoint: number, segment } of checkpoint.body.segments) {
    const found = stored(world, map, segmentKey(partition, epoch, number, segment));
    const changes = found === null ? null : decodeSegment(found);
    if (changes === null) return null;
    entries.push(...listOf(changes));
  }
  return entries;
}

/** The records of all older generations' logs, without ENDs. */
function recordsBefore(world: RebuildWorld, generation: number): string[] {
  const records: string[] = [];
  for (let older = 1; older < generation; older++) {
    for (let position = 1; position <= 8; position++) {
      const found = stored(world, generationMapName(older), recordKey(partition, position));
      const isEnd = found === null || decodeRecord(found)?.body.type === "end";
      if (!isEnd) records.push(`${String(older)}.${String(position)}`);
    }
  }
  return records;
}

/** The entries of the one change that says all of them. */
export function listOf(changes: readonly { readonly value: unknown }[]): readonly number[] {
  return changes.flatMap(({ value }) => value as number[]);
}
