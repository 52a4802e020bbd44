// Thread pacer: a timer that keeps its time to a tenth of a millisecond, for a load generator.
// Owns: the thread that sleeps. Does not own: what is due (open-loop.ts).
//
// The timers of an event loop have whole milliseconds: on average a request would be half of one
// late, as much as a fast server takes. A thread that sleeps in Atomics.wait is woken by the system
// within about 0.1 ms, and the event loop stays free to read answers at the moment they come:
// sleeping in it, for as little as it may be, would add to each service time. Price: about 30 µs of
// processor time for each time it wakes the loop.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { TimerHandle } from "../base/timers.ts";
import { PacerSlot } from "./pacer-slot.ts";

export class ThreadPacer {
  readonly #worker: Worker;
  readonly #slot: PacerSlot;
  #callback: (() => void) | undefined;

  private constructor(worker: Worker, slot: PacerSlot) {
    this.#worker = worker;
    this.#slot = slot;
    worker.on("message", () => {
      const callback = this.#callback;
      this.#callback = undefined;
      callback?.();
    });
  }

  /** Resolves when its thread runs. */
  static async start(): Promise<ThreadPacer> {
    const slot = new PacerSlot();
    const url = new URL("./pacer-worker.ts", import.meta.url);
    const worker = new Worker(url, { workerData: slot.shared });
    await once(worker, "online");
    return new ThreadPacer(worker, slot);
  }

  /**
   * Calls back once, after about `delayMs`; perhaps earlier, after another was cancelled. One at a
   * time.
   */
  after(delayMs: number, callback: () => void): TimerHandle {
    assert(this.#callback === undefined, "one time is kept at a time");
    this.#callback = callback;
    this.#slot.ask(delayMs);
    return {
      cancel: () => {
        if (this.#callback === callback) this.#callback = undefined;
      },
    };
  }

  async close(): Promise<void> {
    this.#callback = undefined;
    this.#slot.end();
    await this.#worker.terminate();
  }
}
