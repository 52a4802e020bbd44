// Scenario grid-bytes: what logs and checkpoints take in the grid while a lane changes the same
// entries for long: they must not grow with time. A round is a minute.
// Owns: the measurement and its words. Does not own: what checkpoints cost (ownership.ts).
import { must } from "../src/base/assert.ts";
import { spread } from "../src/base/spread.ts";
import { systemTimers } from "../src/base/timers.ts";
import { goalOfCount, unjudged } from "../src/report/verdict.ts";
import { routes } from "./entries-application.ts";
import { LocalLanes } from "./local-lanes.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";

const partitions = 8;
const full = { minuteMs: 60_000, perSecond: 5000, entries: 10_000 };
const smoke: typeof full = { minuteMs: 500, perSecond: 1000, entries: 500 };
const sampleMs = 100;
/** Fewer say nothing of growth. */
const minutesMin = 20;

export const gridBytes: Scenario = {
  name: "grid-bytes",
  summary: "bytes of logs and checkpoints while a lane works for half an hour",
  takes: "30 minutes",
  roundsDefault: 30,
  run: measureGridBytes,
};

interface Minute {
  readonly commands: number;
  readonly leastMiB: number;
  readonly mostMiB: number;
}

async function measureGridBytes(options: ScenarioOptions): Promise<ScenarioResult> {
  const size = options.smoke ? smoke : full;
  const lanes = await LocalLanes.open("memory:", partitions, {
    serving: () => undefined,
    released: () => undefined,
  });
  await lanes.join("a");
  const route = routes(partitions);
  for (const each of route) await lanes.fill("a", each, size.entries);
  const minutes: Minute[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const minute = await measureMinute(lanes, route, size);
    minutes.push(minute);
    const most = minute.mostMiB.toFixed(1);
    options.progress(`minute ${String(round + 1)}: ${most} MiB at most`);
  }
  await lanes.close();
  return result(minutes, size);
}

/** The logs of a few minutes have not met a checkpoint yet. */
const settlingShare = 0.2;
/** The last quarter of the time may hold so much more than the quarter after settling. */
const growthMost = 1.1;

function result(minutes: readonly Minute[], size: typeof full): ScenarioResult {
  const missing = minutes.filter(({ commands }) => {
    return commands !== (size.minuteMs / 1000) * size.perSecond;
  });
  const most = minutes.map(({ mostMiB }) => mostMiB);
  const settled = most.slice(Math.floor(most.length * settlingShare));
  const quarter = Math.ceil(settled.length / 4);
  const growth = spread(settled.slice(-quarter)).max / spread(settled.slice(0, quarter)).max;
  const growthGoal = goalOfCount({
    name: "bytes at most, the last quarter of an early one",
    count: growth,
    atMost: growthMost,
  });
  return {
    problems: missing.length === 0 ? [] : ["a minute without all of its commands"],
    report: reportOf(minutes),
    figures: { ...size, partitions, growth, minutes },
    goals: [minutes.length < minutesMin ? unjudged(growthGoal, "too few minutes") : growthGoal],
    samples: [{ name: "grid bytes at most", unit: "MiB", better: "less", values: most }],
    charts: [
      {
        title: "What logs and checkpoints take in the grid",
        xLabel: "minute",
        x: minutes.map((_, minute) => minute + 1),
        yLabel: "MiB",
        series: [
          { name: "least", values: minutes.map(({ leastMiB }) => leastMiB) },
          { name: "most", values: most },
        ],
      },
    ],
  };
}

/** One minute at a steady rate, all entries in turn. */
function measureMinute(
  lanes: LocalLanes,
  route: readonly string[],
  { minuteMs, perSecond, entries }: typeof full,
): Promise<Minute> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    let commands = 0;
    let answered = 0;
    let least = Infinity;
    let most = 0;
    const samples = systemTimers.every(sampleMs, () => {
      const bytes = lanes.gridBytes();
      least = Math.min(least, bytes);
      most = Math.max(most, bytes);
    });
    const ask = (): void => {
      const partition = commands % partitions;
      const entry = Math.floor(commands / partitions) % entries;
      commands++;
      const input = { route: must(route[partition], "a route"), entry };
      lanes.ask("a", "touch", input).then(() => {
        if (++answered === (minuteMs / 1000) * perSecond) end();
      }, reject);
    };
    const load = systemTimers.every(1, () => {
      const dueMs = Math.min(performance.now() - startedMs, minuteMs);
      while (commands < (dueMs * perSecond) / 1000) ask();
    });
    const end = (): void => {
      load.cancel();
      samples.cancel();
      resolve({ commands, leastMiB: least / 2 ** 20, mostMiB: most / 2 ** 20 });
    };
  });
}

function reportOf(minutes: readonly Minute[]): string {
  const rows = minutes.map(({ commands, leastMiB, mostMiB }, index) => {
    return [String(index + 1), String(commands), leastMiB.toFixed(1), mostMiB.toFixed(1)];
  });
  return textTable([["minute", "commands", "least MiB", "most MiB"], ...rows]);
}
