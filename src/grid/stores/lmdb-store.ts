// LMDB store: the embedded engine, one folder on a disk of this machine.
// Owns: one thread's handle on the folder's environment; the layout of keys and versions in it.
// Does not own: who may use the folder (data-lock.ts). Several threads of a process may open the
// same folder: they share one environment, and the operating system's lock orders their writes.
// But a thread that is terminated from outside in the middle of a native call of lmdb ends the
// whole process (1 in about 200 under full load): open the store in a thread that nobody
// terminates, and serve it to the others (port-store.ts).
//
// Layout: one database; a key is the map's name, a zero byte, the key. (A database for each map
// would need a transaction of its own before the first call to that map.) Each value carries a
// version number that no other write has: `replaceIfSame` is a write on condition of a version.
//
// Two settings keep the engine's promises, and both are not lmdb's defaults:
// - `overlappingSync: false`: with it on, a write resolves before it is on the disk.
// - `eventTurnBatching: false`: with it on, lmdb's writer holds the lock that all threads share
//   until the JavaScript turn that wrote has ended. A lane in an endless loop then stops every
//   other lane, and is never seen to die. For the same reason nothing here uses transactions with
//   callbacks: no write ever waits for JavaScript.
// One saves time: `txnStartThreshold: Infinity`. Without it the sixth write of a tick begins a
// transaction, and what comes behind it often needs a second one. (It holds no lock meanwhile.)
import { randomInt } from "node:crypto";
import { accessSync, closeSync, constants, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { getLastVersion, open } from "lmdb";
import { failed, ok, type Outcome } from "../../base/failure.ts";
import { limits } from "../../base/limits.ts";
import { withDeadline, type Timers } from "../../base/timers.ts";
import type { ByteMap, Store } from "../store.ts";
import { lockAlone, SharedWrites } from "./lmdb-opening.ts";
import { LmdbWaker } from "./lmdb-waker.ts";

/** What is used of lmdb. `ifVersion`: null = only where there is no value. */
interface Database {
  get(key: Buffer): Uint8Array | undefined;
  put(key: Buffer, value: Buffer, version: number, ifVersion?: number | null): Promise<boolean>;
  remove(key: Buffer): Promise<boolean>;
  resetReadTxn(): void;
  close(): Promise<void>;
}

/** Reads are synchronous; after about this many bytes other work of the thread has its turn. */
const readSliceBytes = 1024 * 1024;
/** What a read costs at least, in those bytes. */
const readCostBytes = 4096;
const versionMax = 2 ** 52;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a write that lmdb refused means: unknown, as the store is simply asked again. */
async function refused(error: unknown): Promise<Outcome<never>> {
  // lmdb gives the reason as another promise that rejects; nobody else would handle it.
  const reason: unknown =
    error instanceof Error && "commitError" in error
      ? await Promise.resolve(error.commitError).catch((cause: unknown) => cause)
      : error;
  const advice = "look at the free space of the disk and at the folder's permissions";
  return failed("STORE_UNAVAILABLE", `the LMDB store failed: ${messageOf(reason)}; ${advice}`);
}

class LmdbMap implements ByteMap {
  readonly #store: LmdbStore;
  readonly #prefix: Buffer;

  constructor(store: LmdbStore, name: string) {
    this.#store = store;
    this.#prefix = Buffer.from(`${name}\0`);
  }

  get(key: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    return this.#store.run(deadlineMs, () => Promise.resolve(this.#store.read(this.#at(key))));
  }

  getMany(keys: readonly Buffer[], deadlineMs: number): Promise<Outcome<(Buffer | null)[]>> {
    const stored = keys.map((key) => this.#at(key));
    return this.#store.run(deadlineMs, () => this.#store.readMany(stored));
  }

  put(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#store.run(deadlineMs, async () => {
      await this.#store.write(this.#at(key), value);
      return null;
    });
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    const stored = this.#at(key);
    return this.#store.run(deadlineMs, async () => {
      for (;;) {
        if (await this.#store.write(stored, value, null)) return null;
        const found = this.#store.read(stored);
        if (found !== null) return found; // else it was deleted in between
      }
    });
  }

  replaceIfSame(
    key: Buffer,
    expected: Buffer,
    value: Buffer,
    deadlineMs: number,
  ): Promise<Outcome<boolean>> {
    const stored = this.#at(key);
    return this.#store.run(deadlineMs, async () => {
      for (;;) {
        const found = this.#store.read(stored);
        if (found?.equals(expected) !== true) return false;
        if (await this.#store.write(stored, value, getLastVersion())) return true;
        // Somebody wrote since the read, perhaps the same bytes: compare again.
      }
    });
  }

  delete(key: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#store.run(deadlineMs, async () => {
      await this.#store.remove(this.#at(key));
      return null;
    });
  }

  #at(key: Buffer): Buffer {
    return Buffer.concat([this.#prefix, key]);
  }
}

class LmdbStore implements Store {
  readonly #database: Database;
  readonly #timers: Timers;
  readonly #writes: SharedWrites;
  readonly #waker: LmdbWaker;
  // The sequences of two handles meet with a chance of about 2^-40. (Never part of a replay.)
  #version = randomInt(1, 2 ** 48 - 1);
  #underWay = 0;
  #idle: (() => void) | null = null;
  #closing: Promise<void> | null = null;

  constructor(database: Database, folder: string, timers: Timers) {
    this.#database = database;
    this.#timers = timers;
    this.#writes = new SharedWrites(folder, timers);
    this.#waker = new LmdbWaker(folder, timers, this.#writes);
  }

  map(name: string): ByteMap {
    return new LmdbMap(this, name);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** One call: settles by its deadline, never rejects. */
  run<T>(deadlineMs: number, operation: () => Promise<T>): Promise<Outcome<T>> {
    if (this.#closing !== null) {
      return Promise.resolve(failed("STORE_UNAVAILABLE", "the LMDB store is closed"));
    }
    this.#underWay++;
    return withDeadline(this.#timers, deadlineMs, this.#settle(operation), () =>
      failed("STORE_TIMEOUT", `the LMDB store did not answer within ${deadlineMs} ms`),
    );
  }

  /** The value of a key now: what other threads have written by now, too. */
  read(key: Buffer): Buffer | null {
    this.#database.resetReadTxn();
    return this.#readOn(key);
  }

  async readMany(keys: readonly Buffer[]): Promise<(Buffer | null)[]> {
    const values: (Buffer | null)[] = [];
    let sliceBytes = readSliceBytes;
    for (const key of keys) {
      if (sliceBytes >= readSliceBytes) {
        if (values.length > 0) {
          await new Promise<void>((resolve) => {
            this.#timers.endOfTick(resolve);
          });
        }
        this.#database.resetReadTxn();
        sliceBytes = 0;
      }
      const value = this.#readOn(key);
      sliceBytes += readCostBytes + (value?.length ?? 0);
      values.push(value);
    }
    return values;
  }

  /** Stores under a new version; false where the condition did not hold. */
  write(key: Buffer, value: Buffer, ifVersion?: number | null): Promise<boolean> {
    return this.#writes.begin(() => {
      this.#version = (this.#version + 1) % versionMax;
      return this.#waker.watch(this.#database.put(key, value, this.#version, ifVersion));
    });
  }

  remove(key: Buffer): Promise<boolean> {
    return this.#writes.begin(() => this.#waker.watch(this.#database.remove(key)));
  }

  async #settle<T>(operation: () => Promise<T>): Promise<Outcome<T>> {
    try {
      return ok(await operation());
    } catch (error) {
      return await refused(error);
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#idle?.();
    }
  }

  /** lmdb copies the value out of the memory map, into a buffer of its own. */
  #readOn(key: Buffer): Buffer | null {
    const bytes = this.#database.get(key);
    if (bytes === undefined) return null;
    if (Buffer.isBuffer(bytes)) return bytes;
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async #close(): Promise<void> {
    if (this.#underWay > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      await withDeadline(this.#timers, limits.storeReadMs, idle, () => undefined);
    }
    this.#waker.close();
    // A disk that does not answer: the environment under a running write is left to the end of
    // the process, as closing it would end the process at once.
    if (this.#underWay > 0) return;
    await this.#writes.begin(() => this.#database.close());
    this.#writes.close();
  }
}

// An LMDB data file begins so: a page header of 24 bytes, the magic number, the format version.
const magicAt = 24;
const magic = 0xbeefc0de;
const dataVersion = 2;

/** Throws where lmdb could not open the folder: it ends the process on some of these. */
function checkFolder(folder: string): void {
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  for (const name of ["data.mdb", "lock.mdb"]) {
    const file = join(folder, name);
    if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
  }
  const data = join(folder, "data.mdb");
  if (!existsSync(data)) return;
  const head = Buffer.alloc(magicAt + 8);
  const file = openSync(data, "r");
  const length = readSync(file, head);
  closeSync(file);
  if (length === 0) return; // made, and nothing written yet
  const known =
    head.readUInt32LE(magicAt) === magic && head.readUInt32LE(magicAt + 4) === dataVersion;
  if (length < head.length || !known) throw new Error(`${data} is no LMDB file of this version`);
}

/**
 * Opens the store in `folder`, which is created where it is missing. With `sync` a definite write
 * is on the disk; without, it is with the operating system: it survives the process, not a power
 * cut. All who open a folder at the same time must agree on it. Fails with DATA_UNUSABLE.
 */
export async function openLmdbStore(options: {
  folder: string;
  sync: boolean;
  timers: Timers;
}): Promise<Outcome<Store>> {
  const { folder, timers } = options;
  try {
    const alone = await lockAlone(folder, timers);
    try {
      return ok(openAlone(options));
    } finally {
      alone.release();
    }
  } catch (error) {
    const advice = "choose a folder that can be written, with --store lmdb:FOLDER";
    return failed(
      "DATA_UNUSABLE",
      `cannot open the store in ${folder}: ${messageOf(error)}; ${advice}`,
    );
  }
}

function openAlone(options: { folder: string; sync: boolean; timers: Timers }): Store {
  const { folder, sync, timers } = options;
  checkFolder(folder);
  // Not given to `open` as they stand: its types lack the threshold, which its manual has.
  const settings = {
    path: folder,
    noSubdir: false, // a folder, also where its name has a dot
    encoding: "binary",
    keyEncoding: "binary",
    useVersions: true,
    cache: false,
    eventTurnBatching: false,
    txnStartThreshold: Infinity,
    ...(sync ? { overlappingSync: false } : { noSync: true }),
  } as const;
  const database: Database = open<Buffer, Buffer>(settings);
  return new LmdbStore(database, folder, timers);
}
