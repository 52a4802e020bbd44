// Scenario ownership: what it costs that a large partition is taken over, that partitions are
// checkpointed and read with certainty. One process, one thread: lanes, their callers, the store.
// Owns: the measurements. Does not own: their words (ownership-report.ts), how long nobody serves
// (recovery.ts).
import { Session } from "node:inspector/promises";
import { must } from "../src/base/assert.ts";
import { limits } from "../src/base/limits.ts";
import { Histogram, type Percentiles } from "../src/base/histogram.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { routes } from "./entries-application.ts";
import { LocalLanes, noMoves } from "./local-lanes.ts";
import {
  ownershipResult,
  type CheckpointShare,
  type OwnershipFigures,
  type Pauses,
  type Reads,
  type TakeOver,
} from "./ownership-report.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";

const partitions = 8;
const route = routes(partitions);

const full = {
  largeEntries: 1_000_000,
  windowMs: 3000,
  laneEntries: [0, 100_000, 1_000_000, 4_000_000],
};
const smoke: typeof full = {
  largeEntries: 20_000,
  windowMs: 300,
  laneEntries: [0, 20_000],
};
type Size = typeof full;

export const ownership: Scenario = {
  name: "ownership",
  summary: "take-over of a large partition, checkpoints, linearizable reads, pauses",
  takes: "about 7 minutes",
  roundsDefault: 5,
  run: measureOwnership,
};

async function measureOwnership(options: ScenarioOptions): Promise<ScenarioResult> {
  const size = options.smoke ? smoke : full;
  const { rounds } = options;
  const takeOver: TakeOver[] = [];
  const reads: Reads[] = [];
  const checkpoints: CheckpointShare[] = [];
  for (let round = 0; round < rounds; round++) {
    const which = `round ${String(round + 1)} of ${String(rounds)}: `;
    options.progress(`${which}take-over of ${String(size.largeEntries)} entries`);
    takeOver.push(await takeOverLarge(size));
    options.progress(`${which}reads`);
    reads.push(await readPrices(size));
    options.progress(`${which}checkpoints under full load`);
    checkpoints.push(await checkpointShare(size));
  }
  const pauses: Pauses[] = [];
  for (const entries of size.laneEntries) {
    options.progress(`pauses with ${String(entries)} entries in the lane`);
    pauses.push({ entries, ...(await pausesWith(entries, size)) });
  }
  const { largeEntries } = size;
  const figures: OwnershipFigures = { largeEntries, takeOver, reads, checkpoints, pauses };
  return ownershipResult(figures);
}

// Take-over of one large partition, while the lane's others are asked at a steady rate.

const steadyPerSecond = 1000;

async function takeOverLarge(size: Size): Promise<TakeOver> {
  let releasedMs = 0;
  let servedMs = 0;
  let large = -1;
  const lanes = await LocalLanes.open("memory:", partitions, {
    released: (_name, partition) => {
      if (partition === large) releasedMs = performance.now();
    },
    serving: (_name, partition) => {
      if (partition === large) servedMs = performance.now();
    },
  });
  await lanes.join("a");
  await lanes.serves("a", partitions);
  await lanes.join("b");
  await lanes.serves("b", partitions / 2);
  large = must(lanes.served("a")[0], "a partition");
  await lanes.fill("a", must(route[large], "a route"), size.largeEntries);
  const own = lanes.served("b");
  const before = await steady(lanes, "b", own, () => delay(systemTimers, size.windowMs));
  servedMs = 0;
  // Only what is asked while it loads counts: the lane that leaves encodes its checkpoint before
  // that, and has a thread of its own where it is not a guest of this one.
  const isLoading = (): boolean => releasedMs > 0 && servedMs === 0;
  const leave = async (): Promise<void> => {
    const left = lanes.leave("a");
    while (servedMs === 0) await delay(systemTimers, 5);
    await left;
  };
  const during = await steady(lanes, "b", own, leave, isLoading);
  const loadMs = servedMs - releasedMs;
  await lanes.close();
  return { loadMs, before, during };
}

/** How long answers take that are asked for at a steady rate until `work` is over. */
async function steady(
  lanes: LocalLanes,
  name: string,
  asked: readonly number[],
  work: () => Promise<void>,
  counts: () => boolean = () => true,
): Promise<Percentiles> {
  const latency = new Histogram();
  const startedMs = performance.now();
  let due = 0;
  let open = 0;
  const answers: Promise<void>[] = [];
  const load = systemTimers.every(1, () => {
    const nowMs = performance.now();
    // From when each was due, not from when this thread had time for it.
    const dueNow = ((nowMs - startedMs) * steadyPerSecond) / 1000;
    // After a long standstill: not more at once than a lane takes.
    for (; due < dueNow && open < limits.laneCommandsInFlightMax / 2; due++) {
      const dueMs = startedMs + (due * 1000) / steadyPerSecond;
      const partition = must(asked[due % asked.length], "a partition");
      const input = { route: must(route[partition], "a route"), entry: due % 1000 };
      const isCounted = counts();
      open++;
      const answer = lanes.ask(name, "touch", input).then(() => {
        open--;
        if (isCounted) latency.recordMs(performance.now() - dueMs);
      });
      answers.push(answer);
    }
  });
  await work();
  load.cancel();
  await Promise.all(answers);
  return latency.summaryMs();
}

// Reads: as many as go, 64 under way; local ones, linearizable ones, and changes to compare with.

const underWay = 64;

async function readPrices(size: Size): Promise<Reads> {
  const lanes = await LocalLanes.open("memory:", partitions, noMoves);
  await lanes.join("a");
  await lanes.serves("a", partitions);
  for (const each of route) await lanes.fill("a", each, 1000);
  const costs = { localUs: 0, linearizableUs: 0, changeUs: 0 };
  const kinds = [
    ["localUs", "read", "local"],
    ["linearizableUs", "read", "linearizable"],
    ["changeUs", "touch", "local"],
  ] as const;
  for (const [name, command, read] of [...kinds, ...kinds]) {
    const costUs = await cpuOfOne(size.windowMs / 2, (entry) =>
      lanes.ask(
        "a",
        command,
        { route: must(route[entry % partitions], "a route"), entry },
        { read },
      ),
    );
    costs[name] = costUs; // the second time round counts: all of it is compiled then
  }
  await lanes.close();
  return costs;
}

/** Processor time of one call, in microseconds, with a fixed number under way. */
async function cpuOfOne(windowMs: number, call: (entry: number) => Promise<unknown>) {
  const before = process.cpuUsage();
  const endMs = performance.now() + windowMs;
  let calls = 0;
  const callers = Array.from({ length: underWay }, async () => {
    while (performance.now() < endMs) await call(calls++ % 1000);
  });
  await Promise.all(callers);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

// Checkpoints and trimming: their share of this thread's time under full load, as a profiler sees
// it: samples in which one of their functions is on the stack.

const entriesUnderLoad = 20_000;

async function checkpointShare(size: Size): Promise<CheckpointShare> {
  const lanes = await LocalLanes.open("memory:", partitions, noMoves);
  await lanes.join("a");
  await lanes.serves("a", partitions);
  for (const each of route) await lanes.fill("a", each, entriesUnderLoad);
  let gridBytesMost = 0;
  const watch = systemTimers.every(100, () => {
    gridBytesMost = Math.max(gridBytesMost, lanes.gridBytes());
  });
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  const endMs = performance.now() + 4 * size.windowMs;
  let commands = 0;
  const callers = Array.from({ length: 4 * underWay }, async () => {
    while (performance.now() < endMs) {
      const entry = commands++;
      const input = {
        route: must(route[entry % partitions], "a route"),
        entry: (entry * 7919) % entriesUnderLoad,
      };
      await lanes.ask("a", "touch", input);
    }
  });
  await Promise.all(callers);
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  watch.cancel();
  await lanes.close();
  const commandsPerSecond = commands / ((4 * size.windowMs) / 1000);
  return { share: shareOf(profile, /grid\/checkpoint/), commandsPerSecond, gridBytesMost };
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly url: string; readonly functionName: string };
    readonly children?: readonly number[] | undefined;
  }[];
  readonly samples?: readonly number[] | undefined;
}

/** Share of the samples, idle ones aside, with a frame of these files on the stack. */
function shareOf({ nodes, samples = [] }: Profile, files: RegExp): number {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const inside = new Set<number>();
  const idle = new Set<number>();
  const visit = (id: number, isInside: boolean): void => {
    const node = must(byId.get(id), "a node");
    const is = isInside || files.test(node.callFrame.url);
    if (is) inside.add(id);
    if (/^\((idle|program)\)$/.test(node.callFrame.functionName)) idle.add(id);
    for (const child of node.children ?? []) visit(child, is);
  };
  visit(must(nodes[0], "a root").id, false);
  const busy = samples.filter((sample) => !idle.has(sample));
  return busy.filter((sample) => inside.has(sample)).length / Math.max(1, busy.length);
}

// Pauses: how long answers take at a steady rate, with so many entries in the lane's memory.

async function pausesWith(entries: number, size: Size): Promise<Percentiles> {
  const lanes = await LocalLanes.open("memory:", partitions, noMoves);
  await lanes.join("a");
  await lanes.serves("a", partitions);
  for (const each of route) await lanes.fill("a", each, Math.floor(entries / partitions));
  const all = lanes.served("a");
  const seen = await steady(lanes, "a", all, () => delay(systemTimers, 2 * size.windowMs));
  await lanes.close();
  return seen;
}
