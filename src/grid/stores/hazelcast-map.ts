// Hazelcast map: the six calls of a byte map, in terms of the client's map proxy.
// Owns: pinned keys, slices of reads, values that belong to whoever gets them.
// Does not own: deadlines, outcomes, clients (hazelcast-store.ts).
// Invariants (docs/invariants.md): S1, S4.
import { must } from "../../base/assert.ts";
import { ok, type Outcome } from "../../base/failure.ts";
import { limits } from "../../base/limits.ts";
import { partitionOfKey } from "../grid-keys.ts";
import type { ByteMap } from "../store.ts";
import type { BytesMap } from "./hazelcast-session.ts";
import { gridSettings } from "./hazelcast-settings.ts";

const hazelcastPartitions = Number(gridSettings["partition-count"]);
/** What a call costs on the wire besides key and value. */
const callBytes = 128;

interface Pinned extends Buffer {
  getPartitionHash?: () => number;
}

/** The Hazelcast partition that all keys of a partition of ours lie in. */
export function hazelcastPartitionOf(key: Buffer): number {
  return partitionOfKey(key) % hazelcastPartitions;
}

/** Read by the client's serializer. 0 would mean "none": the same partition has another name. */
function pin(this: Buffer): number {
  return hazelcastPartitionOf(this) || hazelcastPartitions;
}

/** A key that the client puts into our Hazelcast partition; the caller's Buffer stays as it is. */
function pinned(key: Buffer): Buffer {
  const own: Pinned = key.subarray();
  own.getPartitionHash = pin;
  return own;
}

/** A value of the caller's own: the client gives views on what it received. */
function owned(value: Buffer | null): Buffer | null {
  return value === null ? null : Buffer.from(value);
}

/** One call to a map of the members. */
export interface HazelcastCall<T> {
  readonly map: string;
  /** All keys of a call lie in the partition of this one. */
  readonly key: Buffer;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly writes: boolean;
  run(map: BytesMap): Promise<T>;
}

/** Whoever performs them: definite, or unknown at the deadline at the latest. */
interface Calls {
  call<T>(call: HazelcastCall<T>): Promise<Outcome<T>>;
}

export class HazelcastMap implements ByteMap {
  readonly #calls: Calls;
  readonly #name: string;

  constructor(calls: Calls, name: string) {
    this.#calls = calls;
    this.#name = name;
  }

  get(key: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    const own = pinned(key);
    return this.#read(key, key.length, deadlineMs, async (map) => {
      return owned(await map.get(own));
    });
  }

  async getMany(keys: readonly Buffer[], deadlineMs: number): Promise<Outcome<(Buffer | null)[]>> {
    const slices: Buffer[][] = [];
    for (let from = 0; from < keys.length; from += limits.hazelcastReadKeys) {
      slices.push(keys.slice(from, from + limits.hazelcastReadKeys));
    }
    const values: (Buffer | null)[] = [];
    for (const slice of await Promise.all(slices.map((some) => this.#getSlice(some, deadlineMs)))) {
      if (!slice.ok) return slice;
      values.push(...slice.value);
    }
    return ok(values);
  }

  put(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#write(key, value.length, deadlineMs, async (map) => {
      await map.set(pinned(key), value);
      return null;
    });
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    return this.#write(key, value.length, deadlineMs, async (map) => {
      return owned(await map.putIfAbsent(pinned(key), value));
    });
  }

  replaceIfSame(
    key: Buffer,
    expected: Buffer,
    value: Buffer,
    deadlineMs: number,
  ): Promise<Outcome<boolean>> {
    const bytes = expected.length + value.length;
    return this.#write(key, bytes, deadlineMs, (map) => {
      return map.replaceIfSame(pinned(key), expected, value);
    });
  }

  delete(key: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#write(key, 0, deadlineMs, async (map) => {
      await map.delete(pinned(key));
      return null;
    });
  }

  /** Keys that come back have lost their pin, and come in any order: they are matched by bytes. */
  #getSlice(keys: Buffer[], deadlineMs: number): Promise<Outcome<(Buffer | null)[]>> {
    const [first] = keys;
    const bytes = keys.reduce((sum, key) => sum + key.length, 0);
    return this.#read(must(first, "a slice has a key"), bytes, deadlineMs, async (map) => {
      const found = new Map<string, Buffer>();
      for (const [key, value] of await map.getAll(keys.map(pinned))) {
        found.set(key.toString("latin1"), value);
      }
      return keys.map((key) => owned(found.get(key.toString("latin1")) ?? null));
    });
  }

  #read<T>(
    key: Buffer,
    bytes: number,
    deadlineMs: number,
    run: (map: BytesMap) => Promise<T>,
  ): Promise<Outcome<T>> {
    const call = { map: this.#name, key, bytes: bytes + callBytes, deadlineMs, run };
    return this.#calls.call({ ...call, writes: false });
  }

  #write<T>(
    key: Buffer,
    valueBytes: number,
    deadlineMs: number,
    run: (map: BytesMap) => Promise<T>,
  ): Promise<Outcome<T>> {
    const bytes = key.length + valueBytes + callBytes;
    const call = { map: this.#name, key, bytes, deadlineMs, run };
    return this.#calls.call({ ...call, writes: true });
  }
}
