// Event loop: how busy this thread's event loop is.
// Owns: reading node's own measurement. Does not own: what a busy lane does about it.
import { performance, type EventLoopUtilization } from "node:perf_hooks";

/** A meter: each call gives the share (0 to 1) of the time since the last in which it worked. */
export function utilizationMeter(): () => number {
  let last: EventLoopUtilization = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
