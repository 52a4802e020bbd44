// Cluster batch: many seeds one after the other, and what they showed together. A seed that fails
// is run once more, to be told: it fails again, as a seed decides everything.
// Owns: the sums, the story of a failure. Does not own: one run (cluster-run.ts), who prints.
import { partitionOf } from "../base/murmur3.ts";
import { systemTimers } from "../base/timers.ts";
import { ClusterProbes } from "./cluster-probes.ts";
import { runCluster, type ClusterRunOptions, type ClusterRunResult } from "./cluster-run.ts";
import type { ClusterWorkload } from "./cluster-workload.ts";

/** A workload for one run, and who judges what its clients saw. */
export interface JudgedWorkload {
  readonly workload: ClusterWorkload;
  /** What is wrong, in words. */
  readonly judge: () => string[];
}

export interface SeedFailure {
  readonly seed: number;
  readonly problems: readonly string[];
  /** What happened last, as far as it concerns the first problem. */
  readonly story: readonly string[];
}

export interface BatchResult {
  seeds: number;
  commands: number;
  virtualMs: number;
  readonly probes: ClusterProbes;
  readonly failures: SeedFailure[];
}

export interface BatchOptions {
  readonly from: number;
  readonly seeds: number;
  readonly makeWorkload: () => JudgedWorkload;
  /** Told after each seed; false: enough. */
  readonly onSeed?: (result: BatchResult, seed: number) => boolean;
  /** For all runs; what a seed draws is left to it. */
  readonly run?: Partial<ClusterRunOptions>;
}

const storyLines = 40;

/** Runs the seeds. */
export async function runBatch(options: BatchOptions): Promise<BatchResult> {
  const { from, seeds } = options;
  const result: BatchResult = {
    seeds: 0,
    commands: 0,
    virtualMs: 0,
    probes: new ClusterProbes(),
    failures: [],
  };
  for (let seed = from; seed < from + seeds; seed++) {
    const { run, problems } = await runSeed(options, seed, false);
    result.seeds++;
    result.commands += run.operations;
    result.virtualMs += run.virtualMs;
    result.probes.add(run.probes);
    if (problems.length > 0) {
      result.failures.push({ seed, problems, story: await storyOf(options, seed) });
    }
    // Whoever started it wants to be heard: a signal, a test runner.
    await new Promise<void>((resolve) => systemTimers.endOfTick(resolve));
    if (options.onSeed?.(result, seed) === false) break;
  }
  return result;
}

interface Judged {
  readonly run: ClusterRunResult;
  readonly problems: string[];
}

async function runSeed(options: BatchOptions, seed: number, keepsDiary: boolean): Promise<Judged> {
  const { workload, judge } = options.makeWorkload();
  const run = await runCluster({ ...options.run, seed, workload, keepsDiary });
  const problems = run.violations.map(({ partition, what }) =>
    partition === null ? what : `partition ${String(partition)}: ${what}`,
  );
  // A run that broke off has a history that says nothing more.
  return { run, problems: problems.length > 0 ? problems : judge() };
}

async function storyOf(options: BatchOptions, seed: number): Promise<string[]> {
  const { run, problems } = await runSeed(options, seed, true);
  const [first] = run.violations;
  const [, key] = /\bpart (\S+):/.exec(problems[0] ?? "") ?? [];
  const ofKey = key === undefined ? null : partitionOf(key, run.partitions);
  return run.diary.last(first?.partition ?? ofKey, storyLines);
}
