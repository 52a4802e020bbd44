// CPU stages: what the lane's thread did with its time, from a profile that Node took of it.
// Owns: which code is which stage, adding up samples. Does not own: taking profiles (servers.ts).
// A sample belongs to the innermost function that some stage knows: what the system does for a
// function, and what a library does for it, is that function's stage.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "../src/base/assert.ts";

/** A profile as Node writes it; times in microseconds, on the machine's monotonic clock. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly startTime: number;
  /** The node that each sample saw, and the time since the sample before. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Rule {
  readonly stage: string;
  /** Files, by the end of their path without `.ts`, or a part of a package's or Node's path. */
  readonly files: RegExp;
  /** Left out: all functions of the files. */
  readonly functions?: RegExp;
}

// The first rule that fits. All files of a stage stand in one rule, wherever they lie.
const rules: readonly Rule[] = [
  { stage: "checksum", files: /\/grid\/log-record\.ts$/, functions: /^checksum$/ },
  { stage: "encode the record", files: /\/grid\/log-record\.ts$|\/msgpackr\// },
  { stage: "store message", files: /\/stores\/port-(store|frames)\.ts$/ },
  { stage: "freeze", files: /\/processing-units\/value\.ts$/ },
  {
    stage: "keep in memory",
    files:
      /\/(partition-memory|entry-map|partition-state|replies|requests|dirty-keys|value-bytes)\.ts$/,
  },
  { stage: "read the request", files: /\/bidding-demo\/(bid-body|openrtb)\.ts$/ },
  { stage: "match", files: /\/bidding-demo\/(bid-matching|campaign-index|bid-filter)\.ts$/ },
  { stage: "write the response", files: /\/bidding-demo\/(bid-response|notice-token)\.ts$/ },
  {
    stage: "bidder's routes",
    files: /\/bidding-demo\/(bid-route|notice-route|bidder-edge|partition-routes)\.ts$/,
  },
  {
    stage: "decide",
    files:
      /\/bidding-demo\/[^/]+\.ts$|\/processing-units\/(transaction|command-run|application)\.ts$/,
  },
  { stage: "log", files: /\/src\/grid\// },
  { stage: "partition", files: /\/processing-units\/partition[^/]*\.ts$/ },
  {
    stage: "send the command",
    files: /\/(lane|command-sender|sent-numbers|owner-table|murmur3)\.ts$/,
  },
  { stage: "timers", files: /^node:(internal\/)?timers|\/base\/timers\.ts$/ },
  {
    stage: "HTTP",
    files: /\/node_modules\/(?!msgpackr)|^node:(_http|net|internal\/streams|internal\/stream_base)/,
  },
  { stage: "HTTP", files: /\/processing-units\/edge\.ts$/ },
  { stage: "other code of the engine", files: /\/src\/[^?]+\.ts$/ },
];

const idle = "(idle)";
/** What V8 says of samples that saw no JavaScript. */
const special: ReadonlyMap<string, string> = new Map([
  [idle, idle],
  ["(garbage collector)", "garbage collection"],
  ["(program)", "outside JavaScript"],
  ["(root)", "event loop"],
]);

/** Microseconds of each stage between two times; what was idle is left out. */
export function stagesOf(
  profile: CpuProfile,
  window: { readonly fromUs: number; readonly toUs: number },
): Map<string, number> {
  const stageOfNode = stagesOfNodes(profile);
  const stages = new Map<string, number>();
  let atUs = profile.startTime;
  for (const [index, node] of profile.samples.entries()) {
    const tookUs = profile.timeDeltas[index] ?? 0;
    atUs += tookUs;
    if (atUs < window.fromUs || atUs > window.toUs) continue;
    const stage = must(stageOfNode.get(node), "a sample names a node of its profile");
    if (stage !== idle) stages.set(stage, (stages.get(stage) ?? 0) + tookUs);
  }
  return stages;
}

/** The stage of each node: its own, or that of the nearest caller that has one. */
function stagesOfNodes({ nodes }: CpuProfile): Map<number, string> {
  const stages = new Map<number, string>();
  // Callers stand before those they call.
  const inherited = new Map<number, string>();
  for (const { id, callFrame, children } of nodes) {
    const stage = ownStage(callFrame) ?? inherited.get(id) ?? "event loop";
    stages.set(id, stage);
    for (const child of children ?? []) inherited.set(child, stage);
  }
  return stages;
}

function ownStage({ functionName, url }: ProfileNode["callFrame"]): string | null {
  const known = special.get(functionName);
  if (known !== undefined) return known;
  const rule = rules.find(
    ({ files, functions }) => files.test(url) && (functions?.test(functionName) ?? true),
  );
  return rule?.stage ?? null;
}

/** The profile of the lane in a folder of profiles: the one that saw the lane's program. */
export function readLaneProfile(folder: string): CpuProfile {
  for (const name of readdirSync(folder)) {
    const profile = JSON.parse(readFileSync(join(folder, name), "utf8")) as CpuProfile;
    if (profile.nodes.some(({ callFrame }) => callFrame.url.endsWith("/lane-worker.ts"))) {
      return profile;
    }
  }
  throw new Error(`no profile of a lane in ${folder}`);
}
