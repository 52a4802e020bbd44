// Simulate: whole clusters in virtual time, one seed after the other, until the last or Ctrl-C.
// Owns: what is printed. Does not own: runs (src/simulation), judging (simulated-workload.ts).
import { systemClock } from "../base/clock.ts";
import { failure, FailureError } from "../base/failure.ts";
import { runBatch, type BatchResult, type SeedFailure } from "../simulation/cluster-batch.ts";
import { explore } from "./explore.ts";
import type { Settings } from "./settings.ts";
import { simulatedWorkload } from "./simulated-workload.ts";
import { StatusLine } from "./status-line.ts";
import { onStopSignal } from "./stop-signals.ts";

/** Runs until done or stopped; fails with SIMULATION_FAILED where a seed did. */
export async function simulate(settings: Settings): Promise<void> {
  const { seeds, from, workload, exhaustive, worlds } = settings;
  if (exhaustive === true) {
    await explore(worlds);
    return;
  }
  const line = new StatusLine();
  let stopped = false;
  onStopSignal(systemClock, () => (stopped = true));
  const startedMs = systemClock.monotonicMs();
  const secondsPassed = (): number => (systemClock.monotonicMs() - startedMs) / 1000;
  let failuresShown = 0;
  const result = await runBatch({
    from,
    seeds,
    makeWorkload: () => simulatedWorkload(workload),
    onSeed: (so) => {
      for (const each of so.failures.slice(failuresShown)) line.print(failureText(each, settings));
      failuresShown = so.failures.length;
      line.show(`${String(so.seeds)} of ${String(seeds)} seeds · ${sums(so, secondsPassed())}`);
      return !stopped;
    },
  });
  line.end();
  process.stdout.write(`${summary(result, settings, secondsPassed())}\n`);
  if (result.failures.length === 0) return;
  const count = String(result.failures.length);
  throw new FailureError(failure("SIMULATION_FAILED", `${count} seeds failed; see above`));
}

function sums({ commands, virtualMs, failures }: BatchResult, seconds: number): string {
  const virtualSeconds = virtualMs / 1000;
  return [
    `${String(commands)} commands (${(commands / seconds).toFixed(0)}/s)`,
    `${virtualSeconds.toFixed(0)} virtual seconds (${(virtualSeconds / seconds).toFixed(0)}/s)`,
    `${String(failures.length)} failed`,
  ].join(" · ");
}

function failureText({ seed, problems, story }: SeedFailure, { workload }: Settings): string {
  const again = `orrery simulate --seeds 1 --from ${String(seed)} --workload ${workload}`;
  return [`seed ${String(seed)} failed; again: ${again}`, ...problems, ...story].join("\n  ");
}

function summary(result: BatchResult, { from, workload }: Settings, seconds: number): string {
  const { counts, missing } = result.probes;
  const reached = [...counts].sort(([, a], [, b]) => b - a);
  const width = Math.max(0, ...reached.map(([path]) => path.length));
  const lines = reached.map(([path, count]) => `  ${path.padEnd(width)}  ${String(count)}`);
  const last = from + result.seeds - 1;
  return [
    `workload ${workload}, seeds ${String(from)} to ${String(last)}: ${sums(result, seconds)}`,
    "rare paths and how often they were reached:",
    ...lines,
    missing.length === 0 ? "every path was reached" : `never reached: ${missing.join("; ")}`,
  ].join("\n");
}
