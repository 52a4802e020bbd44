// Micro operation: one small thing that the engine does, and how its cost is measured.
// Owns: the shape of an operation, calibration, samples in turn. Does not own: which operations
// there are (micro-transactions.ts and so on), rounds and words (micro.ts).
// An operation is seen to be right before it is measured, and each measured call is looked at: one
// that came out wrong is no measurement, and one that is looked at cannot be left out as dead code.
import { assert } from "../src/base/assert.ts";
import { spread } from "../src/base/spread.ts";

export interface MicroOperation {
  readonly name: string;
  /** How many of what is measured one call does, such as entries of a checkpoint. Default: 1. */
  readonly parts?: number;
  /**
   * Does it once, asserts that all of the result is right, and gives the result as text: the same
   * in every run, and in the hash of the scenario.
   */
  check(): string | Promise<string>;
  /** Calls it so often, and counts how often the result looked right: all, or it is a bug. */
  run(calls: number): number | Promise<number>;
}

/** Operations that are measured in one process, in turn. */
export interface MicroGroup {
  readonly operations: readonly MicroOperation[];
  /** Other figures, by name and unit, which need no repetition. */
  readonly facts?: Readonly<Record<string, number>>;
  close?(): Promise<void>;
}

/** What one round says of one operation; each figure is the median of its samples. */
export interface MicroFigure {
  readonly name: string;
  /** Processor time of one part: of all threads, garbage collection included. */
  readonly cpuNs: number;
  /** Time that passed. */
  readonly wallNs: number;
}

export interface MicroSize {
  /** Before anything counts, until all of it is compiled. */
  readonly warmUpMs: number;
  /** A sample takes at least so long: the system's count of processor time is coarse. */
  readonly sampleMs: number;
  readonly samples: number;
}

interface Calibrated {
  readonly operation: MicroOperation;
  readonly calls: number;
  readonly samples: MicroFigure[];
}

/** Calls it so often; how often it was right. */
export function countRight(calls: number, isRight: (call: number) => boolean): number {
  let right = 0;
  for (let call = 0; call < calls; call++) if (isRight(call)) right++;
  return right;
}

/** Measures a group's operations in turn: sample by sample, not one operation after the other. */
export async function measureGroup(
  { operations }: MicroGroup,
  size: MicroSize,
): Promise<{ readonly figures: MicroFigure[]; readonly results: string[] }> {
  const results: string[] = [];
  const calibrated: Calibrated[] = [];
  for (const operation of operations) results.push(await operation.check());
  for (const operation of operations) {
    calibrated.push({ operation, calls: await calibrate(operation, size), samples: [] });
  }
  for (let sample = 0; sample < size.samples; sample++) {
    for (const { operation, calls, samples } of calibrated) {
      samples.push(await measure(operation, calls));
    }
  }
  const figures = calibrated.map(({ operation: { name }, samples }) => ({
    name,
    cpuNs: spread(samples.map((one) => one.cpuNs)).median,
    wallNs: spread(samples.map((one) => one.wallNs)).median,
  }));
  return { figures, results };
}

/** Calls that take a sample's time, found while the operation is warmed up. */
async function calibrate(operation: MicroOperation, size: MicroSize): Promise<number> {
  const endMs = performance.now() + size.warmUpMs;
  let calls = 1;
  for (;;) {
    const { wallNs } = await measure(operation, calls);
    const tookMs = (wallNs * calls * (operation.parts ?? 1)) / 1e6;
    if (tookMs < size.sampleMs) {
      calls = Math.ceil(calls * Math.min(8, Math.max(1.2, (1.1 * size.sampleMs) / tookMs)));
    } else if (performance.now() >= endMs) return calls;
  }
}

async function measure(operation: MicroOperation, calls: number): Promise<MicroFigure> {
  const { name, parts = 1 } = operation;
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const right = await operation.run(calls);
  const wallMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  assert(right === calls, () => `${name}: ${String(calls - right)} of ${String(calls)} are wrong`);
  const count = calls * parts;
  return { name, cpuNs: ((user + system) * 1000) / count, wallNs: (wallMs * 1e6) / count };
}
