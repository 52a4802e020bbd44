// Stop signals: Ctrl-C, SIGTERM and a terminal that closes ask for a clean stop; asking again ends
// at once.
// Owns: when a second signal counts. Does not own: what a clean stop does.
// A command listens for them before it starts anything: what is half started is stopped, too.
import type { Clock } from "../base/clock.ts";

// One Ctrl-C may arrive twice: from the terminal, and passed on by npm.
const sameSignalMs = 1000;
const exitInterrupted = 130;

/** Calls `stop` at the first signal; at another, a second later, the process says so and ends. */
export function onStopSignal(
  clock: Clock,
  stop: () => void,
  lastWords = "stopped without draining; nothing acknowledged is lost",
): void {
  let firstMs: number | null = null;
  const signalled = () => {
    if (firstMs === null) {
      firstMs = clock.monotonicMs();
      stop();
    } else if (clock.monotonicMs() - firstMs > sameSignalMs) {
      process.stderr.write(`\n${lastWords}\n`);
      process.exit(exitInterrupted);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, signalled);
}
