// Microtasks: the way to let every promise that is ready run before going on.
// Owns: that one call of the system. Used where time is simulated: an event is over when all that
// it set going has come to rest.

/** Calls back once no microtask is left, before any timer or I/O of the system is handled. */
export function afterMicrotasks(callback: () => void): void {
  // A tick asked for in a tick runs before the microtasks; one asked for in a microtask after all.
  queueMicrotask(() => {
    process.nextTick(callback);
  });
}
