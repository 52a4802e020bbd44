// An owner of one partition whose log has checkpoints, over a store whose keys can be looked at,
// for the tests of checkpointer.ts.
import { expect } from "vitest";
import { failure, type Failure } from "../../src/base/failure.ts";
import { Checkpointer, type CheckpointSizes } from "../../src/grid/checkpointer.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { generationMapName } from "../../src/grid/grid-keys.ts";
import {
  decodeRecord,
  entriesOf,
  type CommandEntry,
  type LogRecord,
  type Value,
} from "../../src/grid/log-record.ts";
import { everyRule, type LogRules } from "../../src/grid/log-rules.ts";
import { PartitionLog } from "../../src/grid/partition-log.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { space } from "../../src/processing-units/space.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import { InstantTime } from "./manual-timers.ts";

export const partition = 1;
const stock = space({ name: "stock" });

/** Small: a few entries make a segment, a few records a checkpoint. */
export const smallSizes: CheckpointSizes = {
  logBytesMin: 1000,
  handOverBytesMin: 200,
  segmentBytes: 100,
  deltaBytesMax: 400,
  sharedTimesMax: 2,
};

/** A map that knows which keys it holds. */
export class SeenMap implements ByteMap {
  readonly #map: ByteMap;
  readonly values = new Map<string, Buffer>();
  /** Bytes written under segment keys. */
  segmentBytes = 0;

  constructor(map: ByteMap) {
    this.#map = map;
  }

  get(key: Buffer, deadlineMs: number) {
    return this.#map.get(key, deadlineMs);
  }

  getMany(keys: readonly Buffer[], deadlineMs: number) {
    return this.#map.getMany(keys, deadlineMs);
  }

  put(key: Buffer, value: Buffer, deadlineMs: number) {
    this.#keep(key, value);
    return this.#map.put(key, value, deadlineMs);
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number) {
    if (!this.values.has(key.toString("hex"))) this.#keep(key, value);
    return this.#map.putIfAbsent(key, value, deadlineMs);
  }

  replaceIfSame(key: Buffer, expected: Buffer, value: Buffer, deadlineMs: number) {
    return this.#map.replaceIfSame(key, expected, value, deadlineMs);
  }

  delete(key: Buffer, deadlineMs: number) {
    this.values.delete(key.toString("hex"));
    return this.#map.delete(key, deadlineMs);
  }

  /** Positions of the records that are stored. */
  get records(): number[] {
    return this.#of(1).map(([key]) => Number.parseInt(key.slice(6), 16));
  }

  record(position: number): LogRecord {
    const [, value] =
      this.#of(1).find(([key]) => Number.parseInt(key.slice(6), 16) === position) ?? [];
    const record = value === undefined ? null : decodeRecord(value);
    if (record === null) throw new Error(`no record ${String(position)}`);
    return record;
  }

  get segments(): number {
    return this.#of(2).length;
  }

  #of(kind: number): [string, Buffer][] {
    const prefix = `${partition.toString(16).padStart(4, "0")}0${String(kind)}`;
    return [...this.values].filter(([key]) => key.startsWith(prefix)).sort();
  }

  #keep(key: Buffer, value: Buffer): void {
    if (key[2] === 2) this.segmentBytes += value.length;
    this.values.set(key.toString("hex"), value);
  }
}

export async function newCheckpointGrid(): Promise<{ map: SeenMap; identity: GridIdentity }> {
  const { store, identity } = await newMemoryGrid(2);
  return { map: new SeenMap(store.map(generationMapName(identity.generation))), identity };
}

interface OwnerOptions {
  readonly map: ByteMap;
  /** Where the log goes, if that is to be held by itself. */
  readonly logMap?: ByteMap;
  readonly identity: GridIdentity;
  readonly token: string;
  readonly rules?: LogRules;
  readonly sizes?: CheckpointSizes;
  readonly confirmWritten?: () => Promise<number | null>;
  readonly gridBytesMax?: number;
}

export class CheckpointOwner {
  readonly log: PartitionLog<CommandEntry>;
  readonly checkpointer: Checkpointer;
  readonly durable: LogRecord[] = [];
  readonly serving = Promise.withResolvers<null>();
  memory = new PartitionMemory([stock]);
  stopped: Failure | null = null;
  settled = 0;

  constructor(options: OwnerOptions) {
    const { map, identity, token, rules = everyRule, sizes = smallSizes } = options;
    const { confirmWritten = () => Promise.resolve(Infinity), gridBytesMax = Infinity } = options;
    const time = new InstantTime();
    this.log = new PartitionLog<CommandEntry>({
      map: options.logMap ?? map,
      timers: time,
      clock: time,
      config: { ...identity, partition, lane: token, token, rules },
      listener: {
        reset: () => {
          this.memory = new PartitionMemory([stock]);
          this.checkpointer.reset();
        },
        segment: (changes) => this.memory.loadSegment(changes),
        loaded: (record, bytes) => {
          const { body } = record.record;
          if (body.type === "checkpoint") this.memory.loadCheckpoint(body.delta);
          this.memory.fold(entriesOf(body));
          this.checkpointer.loaded(record, bytes);
        },
        serving: (claim) => {
          this.checkpointer.serving(claim);
          this.serving.resolve(null);
        },
        durable: (record, entries, bytes) => {
          this.durable.push(record.record);
          this.settled += entries.length;
          this.checkpointer.durable(record, bytes);
        },
        stopped: (reason) => {
          this.stopped = reason;
          this.checkpointer.close();
          this.serving.resolve(null);
        },
      },
    });
    this.checkpointer = new Checkpointer({
      log: this.log,
      map,
      memory: () => this.memory,
      timers: time,
      partition,
      rules,
      confirmWritten,
      gridBytesMax,
      broken: (reason) => this.log.close(reason),
      sizes,
    });
  }

  /** Changes one entry, as a command does: memory first, then the log. */
  put(key: string, value: Value): void {
    const changes = [{ space: stock.name, key, value }];
    this.memory.apply(changes);
    const entry = { sender: null, number: 0, confirmed: 0, attempt: 0, changes, reply: null };
    this.log.append(entry, 200);
  }

  get contents(): Record<string, unknown> {
    return Object.fromEntries([...this.memory.entries(stock.name)].sort());
  }

  /** Resolves when nothing is under way any more. */
  async rest(): Promise<void> {
    await until(() => {
      const name = this.checkpointer.state?.phase.name;
      const isIdle = name === "idle" || name === "ended";
      return this.stopped !== null || (isIdle && this.log.unsettled === 0);
    });
  }

  /** Ends like a lane that dies, as far as one object can: nothing more comes from it. */
  kill(): void {
    this.log.close(failure("SHUTTING_DOWN", "killed"));
  }
}

/** Lets everything run that is ready, until that is so. */
export async function until(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    await new Promise(setImmediate);
    if (isDone()) {
      await new Promise(setImmediate);
      if (isDone()) return;
    }
  }
  expect.unreachable("it does not come to rest");
}

/** An owner that serves. */
export async function newCheckpointOwner(options: OwnerOptions): Promise<CheckpointOwner> {
  for (let attempt = 1; ; attempt++) {
    const owner = new CheckpointOwner({ ...options, token: `${options.token}.${String(attempt)}` });
    owner.log.open();
    await owner.serving.promise;
    if (owner.stopped === null) return owner;
    expect(owner.stopped.code).toBe("CLAIM_BEATEN");
  }
}
