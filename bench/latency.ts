// Scenario latency: how long a bid takes at 10, 50 and 80 % of what one lane can do.
// Owns: the candidates, their capacity, the rates, one run at a rate. Does not own: the load
// (src/load), saturation (throughput-window.ts), the summary (latency-report.ts).
// The load is open: it goes on as planned whatever the answers do, from a process of its own. The
// capacity is what is answered of more than can be: by the same generator, which takes as much of
// the machine as a server does. A closed loop of another one would tell of another pair.
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spread } from "../src/base/spread.ts";
import { unwrap } from "../src/base/failure.ts";
import { startGenerator } from "../src/load/generator.ts";
import { loadTotals, type LoadSecond, type LoadTotals } from "../src/load/load-result.ts";
import { benchCampaigns, bidBody, noBidBody } from "./bid-bodies.ts";
import { latencyReport, type LatencyRun } from "./latency-report.ts";
import { probe } from "./machine.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { withServer, type Candidate, type WindowSetting } from "./throughput-window.ts";
import type { Server } from "./servers.ts";

const candidates: readonly Candidate[] = [
  { name: "bid, memory:", traffic: "bid", store: "memory", isProfiled: false },
  { name: "bid, lmdb: synced", traffic: "bid", store: "lmdb", isProfiled: false },
  { name: "90 % no bid, memory:", traffic: "mix", store: "memory", isProfiled: false },
  { name: "90 % no bid, lmdb: synced", traffic: "mix", store: "lmdb", isProfiled: false },
];
// No flushes: one that takes longer than a bid may makes all of a short run late.
const inSmoke = new Set(["bid, memory:", "90 % no bid, memory:"]);
const shares = [0.1, 0.5, 0.8];
const compilingShare = 0.5;

const full = {
  // A unit is compiled after about four seconds of it.
  saturation: { windows: 3, ratePerSecond: 100_000, warmUpMs: 5000, windowMs: 5000 },
  warmUpMs: 2000,
  windowMs: 8000,
  bodies: 20_000,
  rateMin: 1,
  rateMax: 1e6,
};
// What a busy machine can do as well, and a slow one.
const smoke = {
  saturation: { windows: 1, ratePerSecond: 1000, warmUpMs: 0, windowMs: 500 },
  warmUpMs: 0,
  windowMs: 500,
  bodies: 100,
  rateMin: 100,
  rateMax: 200,
};
const seed = 11;
const mixBidEvery = 10;
const connections = 256;
const inFlightMax = 8192;
/** Beyond the tmax of the requests: what is late is answered, as "no bid". */
const deadlineMs = 5000;
const belowUs = 1000;

export const latency: Scenario = {
  name: "latency",
  summary: "response and service time of a bid at 10, 50 and 80 % of one lane's capacity",
  takes: "about 17 minutes",
  roundsDefault: 5,
  run: measureLatency,
};

async function measureLatency(options: ScenarioOptions): Promise<ScenarioResult> {
  const campaigns = join(options.folder, "campaigns.json");
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: false })));
  const setting: WindowSetting = { options, campaigns, hazelcastUrl: null };
  const chosen = candidates.filter(({ name }) => !options.smoke || inSmoke.has(name));
  const capacities = await measureCapacities(chosen, setting);
  const runs: LatencyRun[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, candidate] of chosen.entries()) {
      const capacity = capacities[index] ?? 0;
      runs.push(...(await measureRates(candidate, capacity, setting, round)));
    }
  }
  return latencyReport({
    rounds: options.rounds,
    seed,
    windowMs: sizeOf(options).windowMs,
    capacities: chosen.map(({ name }, index) => ({ name, perSecond: capacities[index] ?? 0 })),
    shares,
    runs,
  });
}

function sizeOf({ smoke: isSmoke }: ScenarioOptions): typeof full {
  return isSmoke ? smoke : full;
}

/** Answers a second to a load that is more than it can answer: medians of some windows, in turn. */
async function measureCapacities(
  chosen: readonly Candidate[],
  setting: WindowSetting,
): Promise<number[]> {
  const { options } = setting;
  const found = chosen.map((): number[] => []);
  const { saturation } = sizeOf(options);
  for (let window = 0; window < saturation.windows; window++) {
    for (const [index, candidate] of chosen.entries()) {
      const perSecond = await withFreshServer(candidate, setting, async ({ url }) => {
        const load = { url, candidate, inFlightMax: connections, ...saturation };
        const { outcomes, durationMs } = loadTotals(await loadAt(load, options));
        const noBids = candidate.traffic === "mix" ? (outcomes["204"] ?? 0) : 0;
        return (((outcomes["200"] ?? 0) + noBids) * 1000) / durationMs;
      });
      found[index]?.push(perSecond);
      options.progress(`capacity, ${candidate.name}: ${perSecond.toFixed(0)}/s`);
    }
  }
  return found.map((values) => spread(values).median);
}

function withFreshServer<T>(
  candidate: Candidate,
  setting: WindowSetting,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const profiles = mkdtempSync(join(setting.options.folder, "profiles-"));
  return withServer(candidate, { ...setting, profiles }, work);
}

/** All rates on one fresh server, the lowest first: none begins with a higher one's backlog. */
function measureRates(
  candidate: Candidate,
  capacity: number,
  setting: WindowSetting,
  round: number,
): Promise<LatencyRun[]> {
  const { options } = setting;
  return withFreshServer(candidate, setting, async ({ url }) => {
    const runs: LatencyRun[] = [];
    const given = (share: number): GivenLoad => {
      const { rateMin, rateMax, warmUpMs, windowMs } = sizeOf(options);
      const wanted = Math.max(rateMin, Math.round(capacity * share));
      const ratePerSecond = Math.min(wanted, rateMax);
      return { url, candidate, ratePerSecond, inFlightMax, warmUpMs, windowMs };
    };
    // Not counted: a tenth of the capacity would take a minute to have the unit compiled.
    await loadAt(given(compilingShare), options);
    for (const share of shares) {
      const before = probe();
      const seconds = await loadAt(given(share), options);
      const run: LatencyRun = {
        candidate: candidate.name,
        round,
        share,
        ratePerSecond: given(share).ratePerSecond,
        totals: loadTotals(seconds),
        serviceBelow1Ms: shareBelow(seconds),
        wrong: wrongOutcomes(loadTotals(seconds), candidate),
        probes: { before, after: probe() },
      };
      runs.push(run);
      options.progress(
        `round ${String(round + 1)}  ${candidate.name} at ${String(run.ratePerSecond)}/s: ` +
          `p50 ${run.totals.response.p50.toFixed(2)}, p99 ${run.totals.response.p99.toFixed(2)} ms`,
      );
    }
    return runs;
  });
}

interface GivenLoad {
  readonly url: string;
  readonly candidate: Candidate;
  readonly ratePerSecond: number;
  readonly inFlightMax: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
}

/** The seconds that count: those behind the warm-up. */
async function loadAt(given: GivenLoad, options: ScenarioOptions): Promise<LoadSecond[]> {
  const { warmUpMs, windowMs } = given;
  const { bodies } = sizeOf(options);
  const isMix = given.candidate.traffic === "mix";
  const started = await startGenerator(
    {
      url: `${given.url}/openrtb2/bid`,
      method: "POST",
      headers: ["content-type: application/json"],
      bodies: Array.from({ length: bodies }, (_, number) =>
        isMix && number % mixBidEvery !== 0 ? noBidBody(number) : bidBody(number),
      ),
      steps: [{ durationMs: warmUpMs + windowMs, ratePerSecond: given.ratePerSecond }],
      spacing: "poisson",
      seed,
      connections,
      inFlightMax: given.inFlightMax,
      deadlineMs,
    },
    {
      log: (line) => {
        options.progress(line);
      },
      onSecond: () => undefined,
    },
  );
  const { seconds } = unwrap(await unwrap(started).finished);
  return seconds.filter(({ endMs, durationMs }) => endMs - durationMs >= warmUpMs - 100);
}

function shareBelow(seconds: readonly LoadSecond[]): number {
  let below = 0;
  let all = 0;
  for (const { service } of seconds) {
    for (let at = 0; at < service.length; at += 2) {
      const count = service[at + 1] ?? 0;
      all += count;
      if ((service[at] ?? 0) < belowUs) below += count;
    }
  }
  return all === 0 ? 0 : below / all;
}

/** What must not be among the answers; a 204 to who gets a bid was late and is counted apart. */
function wrongOutcomes({ outcomes, sent, finished }: LoadTotals, { traffic }: Candidate): string[] {
  const wrong = Object.entries(outcomes).flatMap(([outcome, count]) =>
    outcome === "200" || outcome === "204" ? [] : [`${String(count)} times ${outcome}`],
  );
  if (sent > 0 && (outcomes["200"] ?? 0) === 0) wrong.push("no bids");
  if (traffic === "mix" && (outcomes["204"] ?? 0) < finished / 2) wrong.push("too many bids");
  return wrong;
}
