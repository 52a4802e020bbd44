// Clock: the port through which every module reads time, so that a simulation can decide it.
// Owns: the system's clock. Does not own: timers (timers.ts).

export interface Clock {
  /** Wall clock, milliseconds since 1970, whole. May jump, also backwards. For people and rows. */
  wallMs(): number;
  /** Monotonic milliseconds with fractions, from an arbitrary zero. For durations and deadlines. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * The same, whose monotonic zero is one for all processes of a machine: for times that are compared
 * with another process's. Three times as dear to read.
 */
export const machineClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1_000_000;
  },
};
