// LMDB waker: wakes a writer that sleeps at the lock of its folder although nobody holds it.
// Owns: seeing that writes stand still, the processes that wake. Does not own: the writes.
//
// lmdb's lock between processes is a robust mutex of the C library. Whoever gives it back wakes one
// that waits, if a bit in it says that anybody does; who is woken sets the bit again, for those
// behind it. One that is killed in between (kill -9 of a unit) has used up the wake-up and not set
// the bit: who waits behind it sleeps on, while others take and give the lock, until two of them
// happen to meet at it. So where no write came to an end for a while, two processes are made to
// meet there: the one that gives it back wakes who has waited longest. They must open the folder
// for it, which they cannot as long as this process may write: it lets them, asleep as it is.
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { limits } from "../../base/limits.ts";
import type { TimerHandle, Timers } from "../../base/timers.ts";
import type { SharedWrites } from "./lmdb-opening.ts";

const program = fileURLToPath(new URL("./lmdb-waker-process.ts", import.meta.url));

export class LmdbWaker {
  readonly #folder: string;
  readonly #timer: TimerHandle;
  readonly #writes: SharedWrites;
  #running: ChildProcess | null = null;
  #writing = 0;
  #ended = 0;
  #endedBefore = 0;

  constructor(folder: string, timers: Timers, writes: SharedWrites) {
    this.#folder = folder;
    this.#writes = writes;
    this.#timer = timers.every(limits.lmdbStillMs, () => {
      const isStill = this.#writing > 0 && this.#ended === this.#endedBefore;
      this.#endedBefore = this.#ended;
      if (isStill && this.#running === null) this.#wake();
    });
  }

  /** A write of this process, from its call to its end. */
  async watch(write: Promise<boolean>): Promise<boolean> {
    this.#writing++;
    try {
      return await write;
    } finally {
      this.#writing--;
      this.#ended++;
    }
  }

  close(): void {
    this.#timer.cancel();
  }

  #wake(): void {
    this.#writes.giveUp();
    const stdio = ["ignore", "ignore", "ignore", "ipc"] as const;
    const child = spawn(process.execPath, [program, this.#folder], { stdio: [...stdio] });
    this.#running = child;
    const goOn = (): void => {
      this.#writes.resume();
    };
    const over = (): void => {
      this.#running = null;
      goOn();
    };
    child.once("message", goOn); // both have opened, and keep others from it
    child.once("exit", over);
    child.once("error", over); // no process can be had now; it is tried again
    child.unref();
    child.channel?.unref();
  }
}
