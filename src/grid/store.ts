// Store: the only thing that a grid engine must offer, a partitioned map of bytes.
// Owns: the contract, in words and types. Does not own: any engine (stores/), logs, keys' meaning.
// Everything else of the data grid is built on this once, so a new engine is one small file.
// The contract is executed by tests/grid/store-contract.ts against every engine.
// Invariants (docs/invariants.md):
//   S1. A key is bytes; its first two are the partition (u16, big-endian). All keys of a partition
//       lie together; every operation is atomic by itself; nothing is atomic over two keys.
//   S2. Each call has a deadline and settles soon after it. An outcome is *definite* (`ok`), or its
//       failure has kind `unknown`: the operation may have happened, or may happen later, once or
//       twice. There is no third case: a store that refuses says unknown, and is asked again.
//       A promise never rejects.
//   S3. A definite write is on every copy that the engine promises (memory: the process; LMDB: the
//       disk, or the operating system with sync=off; Hazelcast: primary and backups).
//       One exception, and the reason for the log's confirm rule: `putIfAbsent` that *found* a
//       value says nothing about where that one is stored. `replaceIfSame(key, v, v)` → true does.
//   S4. Values and keys given are not changed afterwards, by the caller or by the store. Values
//       returned belong to the caller and are never a view on memory that the engine reuses.
//   S5. Reads show what was written by any definite write before the read began.
import type { Outcome } from "../base/failure.ts";

/** One named map of bytes. All Buffers; null means that the key has no value. */
export interface ByteMap {
  get(key: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>>;
  /** Values in the order of the keys, which all lie in one partition. Not atomic. */
  getMany(keys: readonly Buffer[], deadlineMs: number): Promise<Outcome<(Buffer | null)[]>>;
  put(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<null>>;
  /** Stores where the key has no value: null. Otherwise changes nothing: the value it found. */
  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>>;
  /** Stores `value` where the key's value is, byte for byte, `expected`: true. Otherwise false. */
  replaceIfSame(
    key: Buffer,
    expected: Buffer,
    value: Buffer,
    deadlineMs: number,
  ): Promise<Outcome<boolean>>;
  delete(key: Buffer, deadlineMs: number): Promise<Outcome<null>>;
}

export interface Store {
  /** The map of that name; maps come into being with their first value. */
  map(name: string): ByteMap;
  /** Calls under way settle (as unknown, if need be); later calls are answered unknown. */
  close(): Promise<void>;
}
