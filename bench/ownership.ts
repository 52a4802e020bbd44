// Scenario ownership: what it costs that partitions move, are checkpointed and are read with
// certainty. One process, one thread: lanes, their callers and (with memory:) the store.
// Owns: the measurements and their words. Does not own: what happens when processes die
// (failover.ts).
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { must } from "../src/base/assert.ts";
import { Histogram, type Percentiles } from "../src/base/histogram.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { spread } from "../src/base/spread.ts";
import { routes } from "./entries-application.ts";
import { LocalLanes, type Moves } from "./local-lanes.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";

const partitions = 8;
const route = routes(partitions);

const full = {
  handOvers: 10,
  handOverEntries: 10_000,
  largeEntries: 1_000_000,
  windowMs: 3000,
  laneEntries: [0, 100_000, 1_000_000, 4_000_000],
};
const smoke: typeof full = {
  handOvers: 2,
  handOverEntries: 1000,
  largeEntries: 20_000,
  windowMs: 300,
  laneEntries: [0, 20_000],
};
type Size = typeof full;

export const ownership: Scenario = {
  name: "ownership",
  summary: "hand-over, take-over of a large partition, checkpoints, linearizable reads, pauses",
  takes: "about 5 minutes",
  roundsDefault: 3,
  run: measureOwnership,
};

interface Figures {
  readonly handOverPausesMs: Readonly<Record<string, number[]>>;
  readonly takeOver: readonly TakeOver[];
  readonly reads: readonly Reads[];
  readonly checkpoints: readonly CheckpointShare[];
  readonly pauses: readonly ({ readonly entries: number } & Percentiles)[];
}

async function measureOwnership(options: ScenarioOptions): Promise<ScenarioResult> {
  const size = options.smoke ? smoke : full;
  const { folder, rounds } = options;
  const progress = (line: string): void => {
    options.progress(line);
  };
  const handOverPausesMs: Record<string, number[]> = {};
  for (const store of ["memory:", `lmdb:${join(folder, "grid")}`]) {
    progress(`hand-over, ${store}`);
    handOverPausesMs[store.startsWith("lmdb") ? "lmdb:" : store] = await handOvers(store, size);
  }
  const takeOver: TakeOver[] = [];
  const reads: Reads[] = [];
  const checkpoints: CheckpointShare[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`round ${String(round + 1)}: take-over of ${String(size.largeEntries)} entries`);
    takeOver.push(await takeOverLarge(size));
    progress("reads");
    reads.push(await readPrices(size));
    progress("checkpoints under full load");
    checkpoints.push(await checkpointShare(size));
  }
  const pauses: ({ entries: number } & Percentiles)[] = [];
  for (const entries of size.laneEntries) {
    progress(`pauses with ${String(entries)} entries in the lane`);
    pauses.push({ entries, ...(await pausesWith(entries, size)) });
  }
  const figures: Figures = { handOverPausesMs, takeOver, reads, checkpoints, pauses };
  return { problems: [], report: reportOf(figures), figures, goals: [], samples: [], charts: [] };
}

const noMoves: Moves = { serving: () => undefined, released: () => undefined };

/** Resolves when a lane serves so many partitions. */
async function serves(lanes: LocalLanes, name: string, count: number): Promise<void> {
  while (lanes.served(name).length !== count) await delay(systemTimers, 2);
}

// Hand-over: one caller asks one partition, one command after the other; the pause is the longest
// time that an answer took around the move.

async function handOvers(store: string, size: Size): Promise<number[]> {
  const lanes = await LocalLanes.open(store, partitions, noMoves);
  await lanes.join("a");
  await serves(lanes, "a", partitions);
  for (const each of route) await lanes.fill("a", each, size.handOverEntries);
  await lanes.join("b");
  await serves(lanes, "b", partitions / 2);
  const pausesMs: number[] = [];
  const names = ["a", "b"];
  for (let move = 0; move < size.handOvers; move++) {
    const [from, to] = move % 2 === 0 ? names : [...names].reverse();
    pausesMs.push(await handOver(lanes, must(from, "a lane"), must(to, "a lane")));
  }
  await lanes.close();
  return pausesMs;
}

/** One lane leaves; the worst of its partitions counts. */
async function handOver(lanes: LocalLanes, from: string, to: string): Promise<number> {
  const moving = lanes.served(from);
  let isOver = false;
  let worstMs = 0;
  const callers = moving.map(async (partition) => {
    for (let entry = 0; !isOver; entry = (entry + 1) % 1000) {
      const startedMs = performance.now();
      await lanes.ask(to, "touch", { route: must(route[partition], "a route"), entry });
      worstMs = Math.max(worstMs, performance.now() - startedMs);
    }
  });
  await delay(systemTimers, 50);
  worstMs = 0;
  await lanes.leave(from);
  await serves(lanes, to, partitions);
  await delay(systemTimers, 50);
  isOver = true;
  await Promise.all(callers);
  await lanes.join(from);
  await serves(lanes, from, partitions / 2);
  return worstMs;
}

// Take-over of one large partition, while the lane's others are asked at a steady rate.

interface TakeOver {
  /** From its release to being served. */
  readonly loadMs: number;
  readonly before: Percentiles;
  readonly during: Percentiles;
}

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
  await serves(lanes, "a", partitions);
  await lanes.join("b");
  await serves(lanes, "b", partitions / 2);
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
  const answers: Promise<void>[] = [];
  const load = systemTimers.every(1, () => {
    const nowMs = performance.now();
    // From when each was due, not from when this thread had time for it.
    for (; due < ((nowMs - startedMs) * steadyPerSecond) / 1000; due++) {
      const dueMs = startedMs + (due * 1000) / steadyPerSecond;
      const partition = must(asked[due % asked.length], "a partition");
      const input = { route: must(route[partition], "a route"), entry: due % 1000 };
      const isCounted = counts();
      const answer = lanes.ask(name, "touch", input).then(() => {
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

interface Reads {
  readonly localUs: number;
  readonly linearizableUs: number;
  readonly changeUs: number;
}

const underWay = 64;

async function readPrices(size: Size): Promise<Reads> {
  const lanes = await LocalLanes.open("memory:", partitions, noMoves);
  await lanes.join("a");
  await serves(lanes, "a", partitions);
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

interface CheckpointShare {
  readonly share: number;
  readonly commandsPerSecond: number;
  /** What logs and checkpoints took in the grid, at most. */
  readonly gridBytesMost: number;
}

const entriesUnderLoad = 20_000;

async function checkpointShare(size: Size): Promise<CheckpointShare> {
  const lanes = await LocalLanes.open("memory:", partitions, noMoves);
  await lanes.join("a");
  await serves(lanes, "a", partitions);
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
  await serves(lanes, "a", partitions);
  for (const each of route) await lanes.fill("a", each, Math.floor(entries / partitions));
  const all = lanes.served("a");
  const seen = await steady(lanes, "a", all, () => delay(systemTimers, 2 * size.windowMs));
  await lanes.close();
  return seen;
}

function reportOf({ handOverPausesMs, takeOver, reads, checkpoints, pauses }: Figures): string {
  const ms = (value: number): string => value.toFixed(1);
  const handOver = Object.entries(handOverPausesMs).map(([store, pausesMs]) => {
    const { median, max } = spread(pausesMs);
    return [`${store} (${String(pausesMs.length)} moves)`, ms(median), ms(max)];
  });
  const take = takeOver.map(({ loadMs, before, during }) => [
    ms(loadMs),
    ms(before.p99),
    ms(during.p99),
    (during.p99 / before.p99).toFixed(2),
  ]);
  const read = reads.map(({ localUs, linearizableUs, changeUs }) => [
    localUs.toFixed(1),
    linearizableUs.toFixed(1),
    changeUs.toFixed(1),
  ]);
  const share = checkpoints.map((one) => [
    `${(one.share * 100).toFixed(1)} %`,
    Math.round(one.commandsPerSecond).toString(),
    `${(one.gridBytesMost / 2 ** 20).toFixed(0)} MiB`,
  ]);
  const pause = pauses.map(({ entries, p99, p999, max }) => [
    String(entries),
    ms(p99),
    ms(p999),
    ms(max),
  ]);
  return [
    "Planned hand-over of half of the partitions: longest answer, ms",
    textTable([["store", "median", "worst"], ...handOver]),
    "\nTake-over of a large partition beside a steady load on the lane's others, ms",
    textTable([["load", "p99 before", "p99 during", "ratio"], ...take]),
    "\nProcessor time of one command, 64 under way, µs",
    textTable([["local read", "linearizable read", "change"], ...read]),
    "\nCheckpoints and trimming under full load",
    textTable([["share of the lane's time", "commands/s", "grid bytes at most"], ...share]),
    "\nAnswers at a steady 1,000 commands a second, ms",
    textTable([["entries in the lane", "p99", "p99.9", "worst"], ...pause]),
  ].join("\n");
}
