// Explore: every schedule of the log, and of a rebuild, within bounds, one set of them after the
// other.
// Owns: what is printed. Does not own: the bounds (log-bounds.ts, rebuild-bounds.ts), exploring.
import { systemClock } from "../base/clock.ts";
import { failure, FailureError } from "../base/failure.ts";
import { delay, systemTimers } from "../base/timers.ts";
import { everyRule } from "../grid/log-rules.ts";
import { boundsOf, smallBounds, wideBounds } from "../simulation/log-bounds.ts";
import { exploreLog } from "../simulation/log-explorer.ts";
import { smallRebuilds, wideRebuilds } from "../simulation/rebuild-bounds.ts";
import { exploreRebuild, type RebuildExploration } from "../simulation/rebuild-explorer.ts";
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
  for (const [name, exploreAll] of explorations(worldsMax)) {
    const startedMs = systemClock.monotonicMs();
    const { worlds, complete, violation } = exploreAll();
    const seconds = ((systemClock.monotonicMs() - startedMs) / 1000).toFixed(1);
    const state = violation !== null ? "VIOLATED" : complete ? "complete" : "cut off";
    process.stdout.write(`${state}, ${String(worlds)} worlds, ${seconds} s: ${name}\n`);
    if (violation !== null) {
      process.stdout.write(`  ${violation.what}\n  ${violation.steps.join("\n  ")}\n`);
      throw new FailureError(failure("SIMULATION_FAILED", `a schedule breaks it: ${name}`));
    }
    await delay(systemTimers, 0); // Ctrl-C is heard here
    if (stop.signal.aborted) return;
  }
}

type Exploring = readonly [name: string, explore: () => RebuildExploration];

function explorations(worldsMax: number): Exploring[] {
  const isWide = worldsMax >= wideFrom;
  const logs = isWide ? [...smallBounds, ...wideBounds] : smallBounds;
  const rebuilds = isWide ? [...smallRebuilds, ...wideRebuilds] : smallRebuilds;
  return [
    ...logs.map(([name, shape]): Exploring => {
      return [name, () => exploreLog(boundsOf(shape, everyRule, worldsMax))];
    }),
    ...rebuilds.map(([name, bounds]): Exploring => {
      return [`rebuild: ${name}`, () => exploreRebuild({ ...bounds, worldsMax })];
    }),
  ];
}
