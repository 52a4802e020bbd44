// Timers for tests: nothing happens by time. A test fires what waits, or lets it fire at once.
import type { Clock } from "../../src/base/clock.ts";
import type { TimerHandle, Timers } from "../../src/base/timers.ts";

/** Delays wait for `fireAll`; the end of the tick is the system's. */
export class ManualTimers implements Timers {
  readonly #waiting = new Set<() => void>();

  get waiting(): number {
    return this.#waiting.size;
  }

  after(_delayMs: number, callback: () => void): TimerHandle {
    this.#waiting.add(callback);
    return { cancel: () => void this.#waiting.delete(callback) };
  }

  every(intervalMs: number, callback: () => void): TimerHandle {
    return this.after(intervalMs, callback);
  }

  endOfTick(callback: () => void): void {
    setImmediate(callback);
  }

  /** Fires all delays that wait now. */
  fireAll(): void {
    // One that another one cancels is not fired.
    for (const callback of [...this.#waiting]) if (this.#waiting.delete(callback)) callback();
  }
}

/** Time that passes only by waiting: a delay ends at once, and its length has passed then. */
export class InstantTime implements Timers, Clock {
  #nowMs = 0;

  wallMs(): number {
    return Math.floor(this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    let cancelled = false;
    queueMicrotask(() => {
      if (cancelled) return;
      this.#nowMs += delayMs;
      callback();
    });
    return {
      cancel: () => {
        cancelled = true;
      },
    };
  }

  every(intervalMs: number, callback: () => void): TimerHandle {
    return this.after(intervalMs, callback);
  }

  endOfTick(callback: () => void): void {
    queueMicrotask(callback);
  }
}
