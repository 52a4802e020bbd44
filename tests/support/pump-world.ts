// A world for the pump: logs of partitions in memory, owners that take over from one another, a
// database in memory, and the comparison of what it holds with the fold of the logs.
import { ok, failed, type Failure, type Outcome } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Database, DeadLetter } from "../../src/data-pump/database.ts";
import { Pump, type PumpSource } from "../../src/data-pump/pump.ts";
import { changesOf } from "../../src/data-pump/rows.ts";
import type { Table } from "../../src/data-pump/table.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { checksum, encodeRecord, type Change, type RecordBody } from "../../src/grid/log-record.ts";
import type { ChainedRecord } from "../../src/grid/partition-log.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { DatabaseServer } from "../../src/simulation/database-server.ts";
import { MemoryDatabase, type MemoryDatabaseOptions } from "./memory-database.ts";

export const itemsTable: Table = { name: "items", key: "key", columns: { count: "bigint" } };
const events: Table = { name: "events", key: "key", columns: { count: "bigint" }, kind: "append" };
const tables = new Map([
  ["items", itemsTable],
  ["events", events],
]);

/** One partition's log: what is in it is durable. Positions begin with genesis at 0. */
export class MemoryLog {
  readonly partition: number;
  records: ChainedRecord[] = [];
  /** Positions that are gone from the log (trimmed, or lost). */
  readonly gone = new Set<number>();
  /** What the next reads answer, instead of the records. */
  readonly readFailures: Failure[] = [];
  reads = 0;

  constructor(partition: number) {
    this.partition = partition;
    const genesis = { gridId: "grid", generation: 1, partitions: 1, partition };
    this.append({ type: "genesis", genesis }, 0);
  }

  get tail(): number {
    return this.records.length - 1;
  }

  append(body: RecordBody, epoch: number): ChainedRecord {
    const position = this.records.length;
    const previous = this.records.at(-1)?.checksum ?? Buffer.alloc(0);
    const record = { position, epoch, token: "t", timeMs: 0, previous, body };
    const chained = { record, checksum: checksum(encodeRecord(record)) };
    this.records.push(chained);
    return chained;
  }

  /** A take-over: a claim at the tail; its position is the epoch. */
  claim(): number {
    return this.append({ type: "claim", lane: "lane" }, this.records.length).record.position;
  }

  change(epoch: number, changes: readonly Change[]): ChainedRecord {
    const entry = { sender: null, number: 0, confirmed: 0, attempt: 0, changes, reply: null };
    return this.append({ type: "changes", entries: [entry] }, epoch);
  }

  /** The log as an owner sees it that claimed at `epoch`, up to `tail`. */
  source(epoch: number, tail: () => number = () => this.tail): PumpSource {
    const { records } = this;
    return {
      partition: this.partition,
      epoch,
      tail,
      trimmedTo: () => 0,
      bytesAfter: (position) => 100 * Math.max(0, tail() - position),
      read: (from, to) => this.#read(records, from, to),
    };
  }

  #read(
    all: readonly ChainedRecord[],
    from: number,
    to: number,
  ): Promise<Outcome<ChainedRecord[]>> {
    this.reads++;
    const failure = this.readFailures.shift();
    if (failure !== undefined) return Promise.resolve({ ok: false, failure });
    const records = all.slice(from, to + 1);
    const isWhole = records.length === to - from + 1;
    if (isWhole && !records.some(({ record }) => this.gone.has(record.position))) {
      return Promise.resolve(ok(records));
    }
    return Promise.resolve(failed("GRID_LOST", `record ${from} or one after it is missing`));
  }

  /** The grid lost what is behind that position; who read it before still has it. */
  rewind(to: number): void {
    this.records = this.records.slice(0, to + 1);
    for (const position of this.gone) if (position > to) this.gone.delete(position);
  }

  /**
   * What the database must hold with the records 1 to `seq`, where these letters are the first of
   * their keys: the row of such a key is as it was before, all changes since are letters.
   */
  fold(seq: number, first: readonly DeadLetter[]): Folded {
    const items: Items = new Map<string, unknown>();
    const appends: Items = new Map<string, unknown[]>();
    const letters: string[] = [];
    const parked = new Set<string>();
    for (const { record } of this.records.slice(1, seq + 1)) {
      const { position } = record;
      for (const [index, { space, key, value }] of changesOf(record).entries()) {
        if (!tables.has(space)) continue;
        const name = `${space}/${key}`;
        if (first.some((letter) => letter.position === position && letter.change === index)) {
          parked.add(name);
        }
        if (parked.has(name)) letters.push(nameOf({ position, space, key, value }));
        else if (space === "events") push(appends, key, value);
        else if (value === null) items.delete(key);
        else items.set(key, value);
      }
    }
    return { items, appends, letters };
  }
}

type Items = Map<string, unknown>;

/** Appended values of a key, in order, stand in a list. */
interface Folded {
  readonly items: Items;
  readonly appends: Items;
  readonly letters: string[];
}

function nameOf(letter: Pick<DeadLetter, "position" | "space" | "key" | "value">): string {
  const { position, space, key, value } = letter;
  return `${position} ${space}/${key} ${JSON.stringify(value)}`;
}

function push(lists: Items, key: string, value: unknown): void {
  const list: unknown = lists.get(key);
  if (Array.isArray(list)) list.push(value);
  else lists.set(key, [value]);
}

/** A lane reduced to its pump, and what it told. */
export interface WorldLane {
  readonly pump: Pump;
  readonly database: MemoryDatabase;
  readonly halted: Map<number, Failure>;
  readonly written: Map<number, number>;
  /** Records with a change that became a dead letter, as "partition:position". */
  readonly lettered: string[];
}

interface LaneOptions extends Partial<MemoryDatabaseOptions> {
  /** What its pump tells to be written. */
  readonly onWritten?: (partition: number, position: number) => void;
}

export class PumpWorld {
  readonly tables = tables;
  readonly time = new VirtualTime();
  readonly logs: readonly MemoryLog[];
  readonly server: DatabaseServer;
  readonly #identity: GridIdentity;

  constructor(partitions = 1) {
    this.logs = Array.from({ length: partitions }, (_, partition) => new MemoryLog(partition));
    this.server = new DatabaseServer(partitions);
    this.#identity = { gridId: "grid", generation: 1, partitions };
  }

  /** Over a connection whose faults a test chooses, or over another one. */
  lane(options: LaneOptions = {}, other?: Database): WorldLane {
    const { timers, clock } = this.time;
    const database = new MemoryDatabase({ server: this.server, timers, ...options });
    const halted = new Map<number, Failure>();
    const written = new Map<number, number>();
    const lettered: string[] = [];
    const pump = new Pump({
      database: other ?? database,
      identity: this.#identity,
      spaces: tables,
      clock,
      timers,
      random: seededRandom(1),
      listener: {
        written: (partition, position) => {
          written.set(partition, position);
          options.onWritten?.(partition, position);
        },
        halted: (partition, reason) => halted.set(partition, reason),
        deadLettered: ({ partition, position }) => lettered.push(`${partition}:${position}`),
      },
    });
    return { pump, database, halted, written, lettered };
  }

  /** A record with one change, durable and told to its owner's pump. */
  put(
    lane: WorldLane,
    log: MemoryLog,
    epoch: number,
    changes: readonly Change[],
    bytes = 100,
  ): void {
    lane.pump.durable(log.partition, log.change(epoch, changes), bytes);
  }

  /** Lets virtual time pass. */
  async pass(durationMs: number): Promise<void> {
    await this.time.run({ untilMs: this.time.nowMs + durationMs, eventsMax: 1_000_000 });
  }

  /** Lets time pass until the pump has written everything; false where it cannot. */
  async drain(lane: WorldLane, deadlineMs = 60_000): Promise<boolean> {
    const drained: { done: boolean | null } = { done: null };
    void lane.pump.drain(deadlineMs).then((done) => (drained.done = done));
    await this.time.run({
      untilMs: this.time.nowMs + 2 * deadlineMs,
      eventsMax: 1_000_000,
      isDone: () => drained.done !== null,
    });
    return drained.done === true;
  }

  /** Where the database is not the fold of records 1 to seq (D1): how; empty where it is. */
  differences(): string[] {
    const problems: string[] = [];
    const expected = new Map<string, unknown>();
    const expectedAppends = new Map<string, unknown>();
    for (const log of this.logs) {
      const row = this.server.row(log.partition);
      const seq = row?.seq ?? 0;
      const found = this.server.letters(log.partition);
      const first = found.filter(({ reason }) => reason !== null);
      const { items, appends, letters } = log.fold(seq, first);
      for (const [key, value] of items) expected.set(key, value);
      for (const [key, values] of appends) expectedAppends.set(key, values);
      if (JSON.stringify(letters) !== JSON.stringify(found.map(nameOf))) {
        const shown = `${found.map(nameOf).join()}, not ${letters.join()}`;
        problems.push(`letters of ${log.partition}: ${shown}`);
      }
      const chain = seq === 0 ? undefined : log.records[seq]?.checksum;
      if (chain !== undefined && row?.chain?.equals(chain) !== true) {
        problems.push(`chain of partition ${log.partition} at ${seq}`);
      }
    }
    const appended: Items = new Map<string, unknown>();
    for (const [key, value] of this.server.appended("events")) push(appended, key, value);
    return [
      ...problems,
      ...differencesOf(expected, this.server.table("items")),
      ...differencesOf(expectedAppends, appended),
    ];
  }
}

function differencesOf(expected: Items, found: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...expected.keys(), ...found.keys()])].flatMap((key) => {
    const [want, have] = [expected.get(key), found.get(key)].map((each) => JSON.stringify(each));
    return want === have ? [] : [`${key}: ${String(have)}, not ${String(want)}`];
  });
}

/** One change of space items. */
export function item(key: string, count: number | null): Change {
  return { space: "items", key, value: count === null ? null : { count } };
}
