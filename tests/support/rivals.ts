// Rivals for tests: the smoke size of some of them, and made-up figures.
// Owns: the options of a smoke run. Does not own: the scenario (bench/rivals.ts).
import type { MeasuredRival, RivalsFigures } from "../../bench/rivals-figures.ts";
import { rivalList, type Rival } from "../../bench/rivals-servers.ts";
import { measureRivals } from "../../bench/rivals.ts";
import type { Goal } from "../../src/report/report.ts";

interface Smoke {
  readonly problems: readonly string[];
  readonly windows: readonly Omit<MeasuredRival, "probes">[];
  readonly goals: readonly Goal[];
}

/** One round of these rivals; their data lies in `folder`. */
export async function smokeOf(list: readonly Rival[], folder: string): Promise<Smoke> {
  const options = { rounds: 1, smoke: true, folder, progress: () => undefined };
  const { problems, figures, goals } = await measureRivals(options, list);
  const { windows } = figures as { readonly windows: readonly Omit<MeasuredRival, "probes">[] };
  return { problems, windows, goals };
}

interface MadeUp {
  readonly rawPerSecond: number;
  readonly rounds: number;
  readonly overspentMicros?: number;
}

/** Figures of rivals with these rates, 64 under way; ours have no raw rate. */
export function made(perSecond: Readonly<Record<string, number>>, options: MadeUp): RivalsFigures {
  const rivals = rivalList
    .filter(({ name }) => name in perSecond)
    .map((rival) => ({ ...rival, runsHot: false }));
  const windows = Array.from({ length: options.rounds }, (_, round) =>
    rivals.map(({ name, isOurs }): MeasuredRival => {
      const probe = {
        ...{ atMs: 0, aluMs: 10, memoryMs: 10, load1: 0, cpuPressurePercent: null },
        ...{ idlePercent: null, stealPercent: null },
      };
      return {
        ...{ rival: name, shape: "spread", outstanding: 64, round, seconds: 1, loopUs: 1 },
        answers: perSecond[name] ?? 0,
        rawPerSecond: isOurs ? null : options.rawPerSecond,
        ...{ cpuUs: 10, serversCpuUs: 0, p50Ms: 1, p99Ms: 2, racesLost: 0 },
        ...{ records: 0, recordBytes: 0, reserved: 10, overCap: 1, overBudget: 1, others: {} },
        audit: {
          ...{ reservations: 10, overCap: 0, unaccountedMicros: 0, twice: 0 },
          overspentMicros: options.overspentMicros ?? 0,
        },
        probes: { before: probe, after: probe },
      };
    }),
  ).flat();
  const size = { loads: [64], hotLoad: 64, warmUpMs: 0, windowMs: 1000 };
  return { ...size, rivals, windows, leftOut: new Map() };
}
