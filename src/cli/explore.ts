// Explore: every schedule of the log within bounds, one set of bounds after the other.
// Owns: what is printed. Does not own: the bounds (log-bounds.ts), the exploration.
import { systemClock } from "../base/clock.ts";
import { failure, FailureError } from "../base/failure.ts";
import { delay, systemTimers } from "../base/timers.ts";
import { everyRule } from "../grid/log-rules.ts";
import { boundsOf, smallBounds, wideBounds } from "../simulation/log-bounds.ts";
import { exploreLog } from "../simulation/log-explorer.ts";
import { onStopSignal } from "./stop-signals.ts";

/** Above so many worlds the wide bounds are wanted, too. */
const wideFrom = 1_000_000;

/**
 * Explores the small bounds and, with `worldsMax` of a million and more, the wide ones; ends
 * between two of them after Ctrl-C. Fails with SIMULATION_FAILED at the first violation.
 */
export async function explore(worldsMax: number): Promise<void> {
  const stop = new AbortController();
  onStopSignal(systemClock, () => {
    stop.abort();
  });
  const all = worldsMax < wideFrom ? smallBounds : [...smallBounds, ...wideBounds];
  for (const [name, shape] of all) {
    const startedMs = systemClock.monotonicMs();
    const { worlds, complete, violation } = exploreLog(boundsOf(shape, everyRule, worldsMax));
    const seconds = ((systemClock.monotonicMs() - startedMs) / 1000).toFixed(1);
    const state = violation !== null ? "VIOLATED" : complete ? "complete" : "cut off";
    process.stdout.write(`${state}, ${String(worlds)} worlds, ${seconds} s: ${name}\n`);
    if (violation !== null) {
      process.stdout.write(`  ${violation.what}\n  ${violation.steps.join("\n  ")}\n`);
      throw new FailureError(failure("SIMULATION_FAILED", `a schedule breaks the log: ${name}`));
    }
    await delay(systemTimers, 0); // Ctrl-C is heard here
    if (stop.signal.aborted) return;
  }
}
