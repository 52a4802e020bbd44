// Unit: the command that runs one processing unit which bids.
// Owns: what it says when it serves and when it stops. Does not own: the unit.
import { systemClock } from "../base/clock.ts";
import { FailureError } from "../base/failure.ts";
import { startBidder } from "./bidder.ts";
import { killLanesOnSignal } from "./kill-lane.ts";
import { rebuiltLines } from "./rebuild.ts";
import type { Settings } from "./settings.ts";
import { onStopSignal } from "./stop-signals.ts";

/** Serves until a signal asks for the end; then drains, writes what is left, and returns. */
export async function unit(settings: Settings): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    onStopSignal(systemClock, resolve);
  });
  const running = await startBidder(settings, {
    logFile: null,
    onRebuilt: (report, spacesLost) => {
      for (const line of rebuiltLines(report, spacesLost)) process.stdout.write(`${line}\n`);
    },
  });
  killLanesOnSignal(running, settings.lanes); // before anybody is told that it serves
  process.stdout.write(`serving http://${settings.host}:${String(running.port)}\n`);
  const ended = await Promise.race([stopped, running.ended]);
  const written = await running.stop();
  const rest = "what is not yet written stays in the grid, and is written after the next start";
  if (ended !== undefined) throw new FailureError(ended);
  process.stdout.write(written ? "stopped; all is written\n" : `stopped; ${rest}\n`);
}
