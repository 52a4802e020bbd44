// Scenario throughput: what a bid costs on one lane, on each store, beside a fastify that only
// parses and answers.
// Owns: the candidates, the members of Hazelcast. Does not own: one window
// (throughput-window.ts), the summary of all windows (throughput-report.ts).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { HazelcastMembers, missingForHazelcast } from "../src/faults/hazelcast-members.ts";
import { benchCampaigns } from "./bid-bodies.ts";
import { floors, measureInTurn } from "./floor.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { throughputReport } from "./throughput-report.ts";
import {
  bidsOneByOne,
  lateOf,
  measureCandidate,
  sizeOf,
  withServer,
  type Candidate,
  type StoreName,
  type Traffic,
} from "./throughput-window.ts";

function unit(name: string, traffic: Traffic, store: StoreName, isProfiled = false): Candidate {
  return { name, traffic, store, isProfiled };
}

const names = {
  noBid: "no bid",
  unsynced: "bid, lmdb: without sync",
  synced: "bid, lmdb: synced",
} as const;

const noBid = unit(names.noBid, "no bid", "memory");
const inMemory = unit("bid, memory:", "bid", "memory");
const unsynced = unit(names.unsynced, "bid", "lmdb?sync=off");
const synced = unit(names.synced, "bid", "lmdb");
const onMembers = unit("bid, three Hazelcast members", "bid", "hazelcast");
const mix = unit("90 % no bid, 10 % bid", "mix", "lmdb?sync=off");
const noticed = unit("bid and its notices", "notices", "lmdb?sync=off");
const profiled = unit("bid and its notices, profiled", "notices", "lmdb?sync=off", true);

/** The floor of a traffic stands beside what is measured against it; notices have none. */
const full = [
  ...[floors["no bid"], noBid],
  ...[floors.bid, inMemory, unsynced, synced, onMembers],
  ...[floors.mix, mix],
  ...[noticed, profiled],
];
const smoke = [
  ...[floors["no bid"], noBid],
  ...[floors.bid, synced],
  ...[floors.mix, mix],
  profiled,
];
const singleBids = { full: 500, smoke: 20 };

export const throughput: Scenario = {
  name: "throughput",
  summary: "no bid, journaled bid and a mix on one lane, on each store, beside the floor; by stage",
  takes: "about 13 minutes",
  roundsDefault: 5,
  run: measureThroughput,
};

async function measureThroughput(options: ScenarioOptions): Promise<ScenarioResult> {
  const missing = options.smoke ? "not in the smoke size" : missingForHazelcast();
  if (missing !== null) {
    const why = `${onMembers.name}: skipped, ${missing}`;
    options.progress(why);
    return measureOn(null, options, [why]);
  }
  options.progress("starting three members of Hazelcast");
  const members = await HazelcastMembers.start({ folder: options.folder, javaOptions });
  try {
    return await measureOn(members.url, options, []);
  } finally {
    await members.stop();
  }
}

/** For runs of minutes: compiled fully, a heap that holds the largest window three times. */
const javaOptions = ["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"];

async function measureOn(
  hazelcastUrl: string | null,
  options: ScenarioOptions,
  remarks: readonly string[],
): Promise<ScenarioResult> {
  const campaigns = join(options.folder, "campaigns.json");
  const setting = { options, campaigns, hazelcastUrl };
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: false })));
  const candidates = (options.smoke ? smoke : full).filter(
    ({ store }) => store !== "hazelcast" || hazelcastUrl !== null,
  );
  if (hazelcastUrl !== null) {
    options.progress("warming the members up");
    await measureCandidate(onMembers, setting, 0);
  }
  const windows = await measureInTurn(candidates, options, (candidate, round) =>
    measureCandidate(candidate, setting, round),
  );
  // The most that a bid can need: a record of its own, and the count for its user's frequency.
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: true })));
  const bids = singleBids[options.smoke ? "smoke" : "full"];
  const single = await withServer(inMemory, { ...setting, profiles: "" }, (server) =>
    bidsOneByOne(server, bids),
  );
  // What came too late for an answer is journaled, too.
  const singleBidBytes = single.logBytes / (single.bids + lateOf(single));
  const figures = { ...sizeOf(options), candidates, windows, singleBidBytes };
  const result = throughputReport(figures);
  return { ...result, report: [result.report, ...remarks].join("\n") };
}
