// Generation cleanup: what earlier generations of a grid left in its store is deleted.
// Owns: when that may be, and finding what is there: a store cannot list its keys.
// Does not own: trimming within a generation (checkpoint-trim.ts); when it is tried (the lane).
// What is not found stays, and is small: claims below an old log's last checkpoint, segments that
// no checkpoint names, END records far behind a log that was cut.
// Invariants (docs/invariants.md):
//   G9. Nothing of a generation is deleted before a younger one is open and nobody was heard of in
//       the old one for long: its END records may be what stops an owner that sleeps.
import type { Clock } from "../base/clock.ts";
import { ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import { decodePointer } from "./generation-pointer.ts";
import {
  directoryMapName,
  generationMapName,
  headKey,
  pointerKey,
  recordKey,
  segmentKey,
  slotKey,
} from "./grid-keys.ts";
import { decodeHead, decodeRecord, type CheckpointBody } from "./log-record.ts";
import type { Definite } from "./log-moves.ts";
import { askPatiently, type PatiencePorts } from "./patient-store.ts";
import { rebuiltSegment } from "./rebuild-fill.ts";
import { readRoster } from "./roster.ts";
import type { ByteMap, Store } from "./store.ts";

export interface CleanupOptions {
  readonly store: Store;
  readonly timers: Timers;
  readonly clock: Clock;
  /** The generation that this lane works in. */
  readonly generation: number;
}

const keysPerCall = 64;
/** END records stand in rows of this length; beyond so many empty positions there is nothing. */
const emptyMax = 2 * limits.endRecordsBeyond;

/**
 * Deletes what earlier generations left, where nobody was heard of in them for ten minutes; how
 * many values that were. May be called again at any time. Fails as the store does.
 */
export async function deleteOldGenerations(options: CleanupOptions): Promise<Outcome<number>> {
  const { store, generation } = options;
  const directory = store.map(directoryMapName);
  const read = await askPatiently(options, directory, { op: "get", key: pointerKey });
  if (!read.ok) return read;
  const pointer = read.value === null ? null : decodePointer(read.value as Buffer);
  if (pointer?.state !== "open" || pointer.generation !== generation) return ok(0); // G9
  const { partitions = 1, basePartitions = 1 } = pointer;
  const count = Math.max(partitions, basePartitions);
  let deleted = 0;
  for (let older = 1; older < generation; older++) {
    const map = store.map(generationMapName(older));
    const abandoned = await isAbandoned(map, options);
    if (!abandoned.ok) return abandoned;
    if (!abandoned.value) continue;
    const cleaned = await new MapCleanup(map, options).run(count);
    if (!cleaned.ok) return cleaned;
    deleted += cleaned.value;
  }
  return ok(deleted);
}

/** G9 */
async function isAbandoned(map: ByteMap, { clock }: CleanupOptions): Promise<Outcome<boolean>> {
  const roster = await readRoster(map);
  if (!roster.ok) return roster;
  const nowMs = clock.wallMs();
  const isGone = ({ state, wallMs }: { state: string; wallMs: number }): boolean =>
    state === "left" || nowMs - wallMs > limits.slotForgottenMs;
  return ok(roster.value.every(({ card }) => isGone(card)));
}

class MapCleanup {
  readonly #map: ByteMap;
  readonly #ports: PatiencePorts;
  #deleted = 0;

  constructor(map: ByteMap, ports: PatiencePorts) {
    this.#map = map;
    this.#ports = ports;
  }

  /** The last partition first: as long as anything is left, partition 0 shows it. */
  async run(partitions: number): Promise<Outcome<number>> {
    const isThere = await this.#anyOf([headKey(0), recordKey(0, 0), recordKey(0, 1), slotKey(0)]);
    const first = await this.#anyOf([rebuiltSegment(0, 0, 0).key]);
    if (!isThere.ok) return isThere;
    if (!first.ok) return first;
    if (!isThere.value && !first.value) return ok(0);
    for (let partition = partitions - 1; partition >= 0; partition--) {
      const cleaned = await this.#partition(partition);
      if (!cleaned.ok) return cleaned;
      if (partition > 0) continue;
      const slots = await this.#deleteWhile((index) => slotKey(index));
      if (!slots.ok) return slots;
    }
    return ok(this.#deleted);
  }

  async #partition(partition: number): Promise<Outcome<null>> {
    const checkpoint = await this.#newestCheckpoint(partition);
    if (!checkpoint.ok) return checkpoint;
    const names = checkpoint.value?.segments ?? [];
    const named = await this.#deleteAll(
      names.map((one) => segmentKey(partition, one.epoch, one.checkpoint, one.segment)),
    );
    if (!named.ok) return named;
    // Those of a rebuild that was given up are named by nothing.
    const begun = await this.#deleteWhile((index) => rebuiltSegment(partition, index, 0).key);
    if (!begun.ok) return begun;
    const log = await this.#log(partition, checkpoint.value?.trimmedTo ?? 1);
    if (!log.ok) return log;
    return this.#deleteAll([headKey(partition), recordKey(partition, 0)]);
  }

  async #newestCheckpoint(partition: number): Promise<Outcome<CheckpointBody | null>> {
    const head = await this.#get(headKey(partition));
    const position = head.ok && head.value !== null ? decodeHead(head.value) : null;
    if (!head.ok || position === null) return head.ok ? ok(null) : head;
    const stored = await this.#get(recordKey(partition, position));
    if (!stored.ok) return stored;
    const body = stored.value === null ? null : (decodeRecord(stored.value)?.body ?? null);
    return ok(body?.type === "checkpoint" ? body : null);
  }

  /** The records from there on, to the end of the log and the ENDs behind it. */
  async #log(partition: number, from: number): Promise<Outcome<null>> {
    for (let empty = 0, at = from; empty < emptyMax; at += keysPerCall) {
      const keys = Array.from({ length: keysPerCall }, (_, index) =>
        recordKey(partition, at + index),
      );
      const left = await this.#deleteFound(keys);
      if (!left.ok) return left;
      empty = left.value === 0 ? empty + keysPerCall : 0;
    }
    return ok(null);
  }

  async #deleteWhile(keyOf: (index: number) => Buffer): Promise<Outcome<null>> {
    for (let from = 0; ; from += keysPerCall) {
      const keys = Array.from({ length: keysPerCall }, (_, index) => keyOf(from + index));
      const found = await this.#deleteFound(keys);
      if (!found.ok) return found;
      if (found.value < keysPerCall) return ok(null);
    }
  }

  async #deleteFound(keys: readonly Buffer[]): Promise<Outcome<number>> {
    const read = await this.#ask({ op: "getMany", keys });
    if (!read.ok) return read;
    const values = read.value as readonly (Buffer | null)[];
    const found = keys.filter((_, index) => values[index] !== null);
    const deleted = await this.#deleteAll(found);
    return deleted.ok ? ok(found.length) : deleted;
  }

  async #deleteAll(keys: readonly Buffer[]): Promise<Outcome<null>> {
    const outcomes = await Promise.all(
      keys.map((key) => this.#map.delete(key, limits.storeReadMs)),
    );
    this.#deleted += keys.length;
    return outcomes.find((outcome) => !outcome.ok) ?? ok(null);
  }

  async #anyOf(keys: readonly Buffer[]): Promise<Outcome<boolean>> {
    const read = await this.#ask({ op: "getMany", keys });
    if (!read.ok) return read;
    return ok((read.value as readonly (Buffer | null)[]).some((value) => value !== null));
  }

  async #get(key: Buffer): Promise<Outcome<Buffer | null>> {
    return (await this.#ask({ op: "get", key })) as Outcome<Buffer | null>;
  }

  #ask(call: Parameters<typeof askPatiently>[2]): Promise<Outcome<Definite>> {
    return askPatiently(this.#ports, this.#map, call);
  }
}
