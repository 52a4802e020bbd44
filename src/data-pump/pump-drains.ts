// Pump drains: who waits until everything is in the database.
// Owns: their deadlines and their answers. Does not own: when everything is (pump.ts).
import type { TimerHandle, Timers } from "../base/timers.ts";

interface Drain {
  readonly timer: TimerHandle;
  readonly resolve: (done: boolean) => void;
}

export class PumpDrains {
  readonly #timers: Timers;
  readonly #drains = new Set<Drain>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  get isAny(): boolean {
    return this.#drains.size > 0;
  }

  /** Resolves with what it is settled with, or with false after so long. */
  add(deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#timers.after(deadlineMs, () => {
        this.#drains.delete(drain);
        resolve(false);
      });
      const drain = { timer, resolve };
      this.#drains.add(drain);
    });
  }

  settle(done: boolean): void {
    for (const { timer, resolve } of this.#drains) {
      timer.cancel();
      resolve(done);
    }
    this.#drains.clear();
  }
}
