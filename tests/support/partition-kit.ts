// Partition kit: real partitions on a memory store, for tests of what a partition promises.
import { systemClock, type Clock } from "../../src/base/clock.ts";
import type { Outcome } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { generationMapName } from "../../src/grid/grid-keys.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import {
  Partition,
  type PartitionEvents,
  type PartitionOptions,
} from "../../src/processing-units/partition.ts";
import type { PartitionRequest } from "../../src/processing-units/partition-request.ts";
import { counterApplication } from "./counter-application.ts";
import { newMemoryGrid } from "./memory-grid.ts";

export interface PartitionGrid {
  readonly identity: GridIdentity;
  readonly map: ByteMap;
}

export async function newPartitionGrid(clock: Clock = systemClock): Promise<PartitionGrid> {
  const { store, identity } = await newMemoryGrid(1, clock);
  return { identity, map: store.map(generationMapName(1)) };
}

export interface OpenedPartition {
  readonly partition: Partition;
  readonly served: Promise<void>;
  readonly released: Promise<void>;
  /** Code of the reason for which it stopped for good. */
  readonly ended: Promise<string>;
}

let incarnations = 0;

/** Opens partition 0 of the counter application under a fresh incarnation. */
export function openPartition(
  grid: PartitionGrid,
  events: Partial<PartitionEvents> = {},
  options: Partial<PartitionOptions> = {},
): OpenedPartition {
  const serving = Promise.withResolvers<void>();
  const releasing = Promise.withResolvers<void>();
  const ending = Promise.withResolvers<string>();
  const partition = new Partition({
    partition: 0,
    application: counterApplication,
    identity: grid.identity,
    lane: "lane-0",
    incarnation: String(incarnations++),
    map: grid.map,
    clock: systemClock,
    timers: systemTimers,
    random: seededRandom(incarnations),
    events: {
      loaded: () => undefined,
      serving: () => {
        serving.resolve();
      },
      journaled: () => undefined,
      released: () => {
        releasing.resolve();
      },
      stopped: (which, reason) => {
        if (which.phase !== "starting") ending.resolve(reason.code);
      },
      ...events,
    },
    acknowledged: () => 0,
    mayServeLocal: () => true,
    confirmWritten: () => Promise.resolve(Infinity),
    hasDatabase: true,
    isBacklogFull: () => false,
    hasDeadLetters: () => false,
    gridBytesMax: 2 ** 30,
    ...options,
  });
  partition.open();
  return {
    partition,
    served: serving.promise,
    released: releasing.promise,
    ended: ending.promise,
  };
}

/** Gives a command to a partition: by default one that nobody numbers, and that has no deadline. */
export function run(
  partition: Partition,
  name: string,
  input: Value,
  options: Partial<PartitionRequest> = {},
): Promise<Outcome<Value>> {
  return new Promise((respond) => {
    partition.execute({
      command: name,
      input,
      ack: "journal",
      read: "local",
      origin: null,
      keepsReply: true,
      idempotencyKey: null,
      deadlineAtMs: Number.POSITIVE_INFINITY,
      respond,
      ...options,
    });
  });
}

/** An outcome in a word: the value, or the failure's code. */
export function code(outcome: Outcome<Value>): string {
  return outcome.ok ? `value ${JSON.stringify(outcome.value)}` : outcome.failure.code;
}
