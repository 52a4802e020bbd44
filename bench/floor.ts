// Scenario floor: what this machine and fastify give before any code of ours.
// Owns: the candidates. Does not own: the window (throughput-window.ts), the summary
// (throughput-report.ts), the server (bare-server-process.ts).
import { interleave } from "../src/load/interleave.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { throughputReport } from "./throughput-report.ts";
import {
  measureCandidate,
  sizeOf,
  type Candidate,
  type MeasuredWindow,
} from "./throughput-window.ts";

const bare = { store: null, isProfiled: false } as const;

/** The bare server under each traffic: what `throughput` measures the unit beside. */
export const floors = {
  "no bid": { name: "floor: 204", traffic: "no bid", ...bare },
  bid: { name: "floor: 200 of 1 kB", traffic: "bid", ...bare },
  mix: { name: "floor: 90 % 204, 10 % 200", traffic: "mix", ...bare },
} as const satisfies Record<string, Candidate>;

export const floor: Scenario = {
  name: "floor",
  summary: "a bare fastify POST, 204 and 200 of 1 kB: what the machine gives before our code",
  takes: "about 2 minutes",
  roundsDefault: 5,
  run: measureFloor,
};

async function measureFloor(options: ScenarioOptions): Promise<ScenarioResult> {
  const candidates = [floors["no bid"], floors.bid];
  const windows = await measureInTurn(candidates, options, (candidate, round) =>
    // The bare server reads no campaigns.
    measureCandidate(candidate, { options, campaigns: "", hazelcastUrl: null }, round),
  );
  return throughputReport({ ...sizeOf(options), candidates, windows, singleBidBytes: null });
}

/** All windows of all rounds, A B A B …, with a line of progress for each. */
export async function measureInTurn(
  candidates: readonly Candidate[],
  options: ScenarioOptions,
  measure: (candidate: Candidate, round: number) => Promise<MeasuredWindow>,
): Promise<MeasuredWindow[]> {
  const windows: MeasuredWindow[] = [];
  const total = String(candidates.length * options.rounds);
  // Only the order of windows is taken from here: there are several floors, so ratios come later.
  await interleave(
    candidates.map((candidate) => ({
      name: candidate.name,
      measure: async (round: number) => {
        const window = await measure(candidate, round);
        windows.push(window);
        const rate = Math.round(window.perSecond).toLocaleString("en");
        options.progress(
          `${String(windows.length)}/${total}  round ${String(round + 1)}  ` +
            `${candidate.name}: ${rate}/s, ${window.cpuUs?.total.toFixed(1) ?? "?"} µs`,
        );
        return window.perSecond;
      },
    })),
    options.rounds,
  );
  return windows;
}
