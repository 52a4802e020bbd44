// LMDB opening: while a process opens a folder, nobody writes to it.
// Owns: the lock between those who write (shared) and the one who opens (alone), in the folder's
// file `opening`. Does not own: the environment (lmdb-store.ts), who writes when.
//
// Why: lmdb's open sets the number of the last transaction, which all processes share, to what it
// read from the file a moment before, and does so without the lock of writers (mdb_env_open2 in
// liblmdb's development branch, in every version of this package). What another process committed
// in between is overwritten by the next transaction: an acknowledged write is lost, or pages are
// used twice. Its close destroys the lock of writers where nobody else has the folder open,
// which must not meet an open either.
//
// The lock is the operating system's, taken through SQLite as in data-lock.ts: it ends with its
// process. To take it costs more than a write, so it is kept for some milliseconds and all writes
// of that time; who waits to be alone keeps others from taking it anew.
//
// Invariants (docs/invariants.md):
//   S3. What was acknowledged stays, whoever opens the folder.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { assert } from "../../base/assert.ts";
import { limits } from "../../base/limits.ts";
import type { TimerHandle, Timers } from "../../base/timers.ts";

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === sqliteBusy;
}

function openLock(folder: string, timeout: number): DatabaseSync {
  return new DatabaseSync(join(folder, "opening"), { timeout });
}

/**
 * Waits until nobody writes, and nobody will until `release` is called or this process ends.
 * Makes the folder where it is missing. Throws where somebody keeps the lock longer than
 * `limits.lmdbAloneMs`.
 */
export async function lockAlone(folder: string, timers: Timers): Promise<{ release(): void }> {
  mkdirSync(folder, { recursive: true });
  const file = openLock(folder, limits.lmdbAloneTryMs);
  for (let waitedMs = 0; ; waitedMs += limits.lmdbAloneTryMs + limits.lmdbAlonePauseMs) {
    try {
      // Longer than writers keep the lock: it keeps them from taking it anew.
      file.exec("BEGIN EXCLUSIVE");
      break;
    } catch (error) {
      if (isBusy(error) && waitedMs < limits.lmdbAloneMs) {
        await new Promise<void>((resolve) => {
          timers.after(limits.lmdbAlonePauseMs, resolve);
        });
        continue;
      }
      file.close();
      if (!isBusy(error)) throw error;
      throw new Error("a process that writes to it stands still: wake it, or stop it", {
        cause: error,
      });
    }
  }
  return {
    release: () => {
      file.close();
    },
  };
}

/** What one handle on a folder writes, kept apart from whoever opens the folder. */
export class SharedWrites {
  readonly #file: DatabaseSync;
  readonly #timers: Timers;
  #isHeld = false;
  /** Nothing begins any more until what was begun has ended, and the lock was given back. */
  #isEnding = false;
  /** Who sleeps at lmdb's lock of writers lets others open, who wake him (lmdb-waker.ts). */
  #isGivenUp = false;
  #begun = 0;
  #waiting: (() => void)[] = [];
  #timer: TimerHandle | null = null;

  constructor(folder: string, timers: Timers) {
    this.#file = openLock(folder, 0);
    this.#timers = timers;
  }

  /** Begins a write: at once, unless somebody opens the folder or waits to. */
  async begin<T>(write: () => Promise<T>): Promise<T> {
    while (!this.#mayBegin()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#begun++;
    try {
      return await write();
    } finally {
      this.#begun--;
      if (this.#isEnding && this.#begun === 0) this.#giveBack();
    }
  }

  /** Gives the lock back under writes that sleep: they wake by a write of somebody else only. */
  giveUp(): void {
    this.#isGivenUp = true;
    if (this.#isHeld) this.#giveBack();
  }

  /** Takes the lock again, and goes on. */
  resume(): void {
    this.#isGivenUp = false;
    this.#goOn();
  }

  /** Call it when nothing is under way. */
  close(): void {
    this.#timer?.cancel();
    this.#file.close();
  }

  #mayBegin(): boolean {
    if (this.#isEnding || this.#isGivenUp) return false;
    return this.#isHeld || this.#take();
  }

  /** False: somebody is alone, or waits to be; whoever waits here hears of it later. */
  #take(): boolean {
    assert(!this.#isHeld, "it is taken once");
    this.#timer?.cancel();
    try {
      this.#file.exec("BEGIN; SELECT 1 FROM sqlite_schema");
    } catch (error) {
      this.#file.exec("ROLLBACK");
      if (!isBusy(error)) throw error;
      this.#timer = this.#timers.after(limits.lmdbSharedRetryMs, () => {
        this.#goOn();
      });
      return false;
    }
    this.#isHeld = true;
    this.#timer = this.#timers.after(limits.lmdbSharedMs, () => {
      this.#isEnding = true;
      if (this.#begun === 0) this.#giveBack();
    });
    return true;
  }

  #giveBack(): void {
    this.#timer?.cancel();
    this.#file.exec("COMMIT");
    this.#isHeld = false;
    this.#isEnding = false;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#isGivenUp || (this.#waiting.length === 0 && this.#begun === 0)) return;
    try {
      if (!this.#isHeld && !this.#take()) return;
    } catch {
      // Each who waits meets it himself, and answers with it.
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const proceed of waiting) proceed();
  }
}
