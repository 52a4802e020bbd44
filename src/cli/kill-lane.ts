// Kill lane: SIGUSR2 ends one lane's thread at once, as a crash would, the next in turn each time.
// Owns: the signal. It is how a test, or a newcomer, sees that a lane's death loses nothing.
import type { Unit } from "../processing-units/unit.ts";

/** From here on SIGUSR2 kills a lane; `killed` is told which. */
export function killLanesOnSignal(
  unit: Unit,
  lanes: number,
  killed: (lane: number) => void = () => undefined,
): () => void {
  let next = 0;
  const kill = () => {
    const lane = next;
    next = (next + 1) % lanes;
    unit.killLane(lane);
    killed(lane);
  };
  if (process.platform !== "win32") process.on("SIGUSR2", kill);
  return kill;
}
