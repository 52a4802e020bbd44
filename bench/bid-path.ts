// Scenario bid-path: no bid and a journaled bid in memory, and nothing beside them: what two
// revisions are compared by. Measured as in `throughput`, which has the floors, the stores, stages.
// Owns: the candidates. Does not own: a window (throughput-window.ts), the summary
// (throughput-report.ts).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchCampaigns } from "./bid-bodies.ts";
import { measureInTurn } from "./floor.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { throughputReport } from "./throughput-report.ts";
import { measureCandidate, sizeOf, type Candidate } from "./throughput-window.ts";

const candidates: readonly Candidate[] = [
  { name: "no bid", traffic: "no bid", store: "memory", isProfiled: false },
  { name: "bid, memory:", traffic: "bid", store: "memory", isProfiled: false },
];

export const bidPath: Scenario = {
  name: "bid-path",
  summary: "no bid and journaled bid in memory alone: what revisions are compared by",
  takes: "about 3 minutes",
  roundsDefault: 5,
  run: measureBidPath,
};

async function measureBidPath(options: ScenarioOptions): Promise<ScenarioResult> {
  const campaigns = join(options.folder, "campaigns.json");
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: false })));
  const windows = await measureInTurn(candidates, options, (candidate, round) =>
    measureCandidate(candidate, { options, campaigns, hazelcastUrl: null }, round),
  );
  return throughputReport({ ...sizeOf(options), candidates, windows, singleBidBytes: null });
}
