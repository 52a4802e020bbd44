// Timers: the port through which every module waits, so that a simulation can decide the order.
// Owns: the system's timers. Does not own: time itself (clock.ts).

export interface TimerHandle {
  cancel(): void;
}

export interface Timers {
  /** Calls back once after at least `delayMs`. */
  after(delayMs: number, callback: () => void): TimerHandle;
  /** Calls back every `intervalMs` until cancelled. */
  every(intervalMs: number, callback: () => void): TimerHandle;
  /**
   * Calls back at the end of the current tick, after the I/O that is ready now was handled:
   * the place where everything that one tick brought together leaves as one batch.
   */
  endOfTick(callback: () => void): void;
}

export const systemTimers: Timers = {
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs);
    return {
      cancel: () => {
        clearInterval(timer);
      },
    };
  },
  endOfTick(callback) {
    setImmediate(callback);
  },
};

/** Resolves after at least `delayMs`. */
export function delay(timers: Timers, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(delayMs, resolve);
  });
}

/**
 * `promise`, or `fallback()` once `deadlineMs` have passed. What the promise does later is
 * ignored, a rejection included: the caller has already been told that it does not know.
 */
export function withDeadline<T>(
  timers: Timers,
  deadlineMs: number,
  promise: Promise<T>,
  fallback: () => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = timers.after(deadlineMs, () => {
      resolve(fallback());
    });
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
