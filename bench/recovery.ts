// Scenario recovery: how long it is until every partition is served again: after kill -9 of one of
// three units under load, and around a planned hand-over.
// Owns: goals, samples, their words. Does not own: the kills (unit-kills.ts), the moves
// (hand-overs.ts).
import { join } from "node:path";
import { spread } from "../src/base/spread.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { goalOf, goalOfCount, goalOfWorst } from "../src/report/verdict.ts";
import { handOvers } from "./hand-overs.ts";
import { textTable, type Scenario, type ScenarioOptions, type ScenarioResult } from "./scenario.ts";
import { killUnits, type Felt, type Kill, type Kills } from "./unit-kills.ts";

const fullEntries = 10_000;
const smokeEntries = 500;
const limits = { medianMs: 1000, worstMs: 2000, loadShare: 0.5, pauseMs: 50 };

export const recovery: Scenario = {
  name: "recovery",
  summary: "kill -9 of one of three units under load, and planned hand-overs: until all is served",
  takes: "about 5 minutes",
  roundsDefault: 20,
  run: measureRecovery,
};

/** The longest answer around each move, by the store. */
type Pauses = Readonly<Record<"memory:" | "lmdb:", readonly number[]>>;

async function measureRecovery(options: ScenarioOptions): Promise<ScenarioResult> {
  const entries = options.smoke ? smokeEntries : fullEntries;
  const moves = options.rounds;
  options.progress(`hand-overs of ${String(entries)} entries in each partition`);
  const pausesMs = {
    "memory:": await handOvers({ store: "memory:", entries, moves }),
    "lmdb:": await handOvers({
      store: `lmdb:${join(options.folder, "hand-over")}${options.smoke ? "?sync=off" : ""}`,
      ...{ entries, moves },
    }),
  };
  return result(await killUnits(options), pausesMs);
}

function result(measured: Kills, pausesMs: Pauses): ScenarioResult {
  const { kills, capacity } = measured;
  const problems = [...measured.problems];
  const idle = kills.filter(({ underWay }) => underWay === 0).length;
  if (idle > 0) problems.push(`${String(idle)} kills with nothing under way to some partition`);
  return {
    problems,
    report: reportOf(measured, pausesMs),
    figures: { limits, capacity, kills, handOverPausesMs: pausesMs },
    goals: goalsOf(measured, pausesMs),
    samples: samplesOf(kills, pausesMs),
    charts: [chartOf(kills, pausesMs)],
  };
}

function servedMsOf(kills: readonly Kill[]): number[] {
  return kills.map(({ servedMs }) => servedMs);
}

function goalsOf({ kills, capacity }: Kills, pausesMs: Pauses): Goal[] {
  const values = servedMsOf(kills);
  const { failed } = total(kills, ({ patient }) => patient);
  const share = kills.map(({ perSecond }) => perSecond / capacity);
  const handOver = Object.entries(pausesMs).map(([store, pauses]) =>
    goalOf({
      name: `hand-over on ${store}, longest answer`,
      values: pauses,
      atMost: limits.pauseMs,
      unit: "ms",
    }),
  );
  return [
    goalOf({ name: "kill, until all is served", values, atMost: limits.medianMs, unit: "ms" }),
    goalOfWorst({ name: "kill, the worst of all", values, atMost: limits.worstMs, unit: "ms" }),
    goalOfCount({ name: "kill, commands of 5 s that failed", count: failed, atMost: 0 }),
    goalOf({ name: "kill, load of capacity", values: share, atLeast: limits.loadShare }),
    ...handOver,
  ];
}

function samplesOf(kills: readonly Kill[], pausesMs: Pauses): Sample[] {
  const handOver = Object.entries(pausesMs).map(([store, values]): Sample => {
    return { name: `hand-over on ${store}, longest answer`, ...lessMs, values: [...values] };
  });
  const values = servedMsOf(kills);
  return [{ name: "kill, until all is served", ...lessMs, values }, ...handOver];
}

const lessMs = { unit: "ms", better: "less" } as const;

function chartOf(kills: readonly Kill[], pausesMs: Pauses): Chart {
  const handOver = Object.entries(pausesMs).map(([store, pauses]) => {
    return { name: `longest answer around a hand-over, ${store}`, values: [...pauses] };
  });
  const values = servedMsOf(kills);
  return {
    title: "Until all is served, by round",
    xLabel: "round",
    x: kills.map((_, round) => round + 1),
    yLabel: "ms",
    isLog: true,
    series: [{ name: "kill -9 of a unit, until all is served", values }, ...handOver],
  };
}

function total(kills: readonly Kill[], of: (kill: Kill) => Felt): Felt {
  return {
    commands: kills.reduce((sum, kill) => sum + of(kill).commands, 0),
    failed: kills.reduce((sum, kill) => sum + of(kill).failed, 0),
  };
}

function reportOf({ kills, capacity }: Kills, pausesMs: Pauses): string {
  const share = spread(kills.map(({ perSecond }) => perSecond / capacity)).median;
  const times = (name: string, values: readonly number[]) => {
    const { median, min, max } = spread(values);
    return [name, ...[median, min, max].map((ms) => ms.toFixed(1))];
  };
  const felt = (name: string, of: (kill: Kill) => Felt) => {
    const { commands, failed } = total(kills, of);
    return [name, String(commands), String(failed)];
  };
  return [
    textTable([
      [`ms, ${String(kills.length)} rounds`, "median", "least", "most"],
      times("kill: every partition served again", servedMsOf(kills)),
      ...Object.entries(pausesMs).map(([store, pauses]) =>
        times(`hand-over of half on ${store}, longest answer`, pauses),
      ),
    ]),
    "",
    textTable([
      ["commands under way at a kill, or sent until all was served", "sent", "failed"],
      felt("deadline 5 s, to units that live", ({ patient }) => patient),
      felt("deadline 20 ms, to units that live", ({ hasty }) => hasty),
      felt("repeated, the unit that had them was killed", ({ repeated }) => repeated),
    ]),
    "",
    `Load at a kill: ${(share * 100).toFixed(0)} % of ${capacity.toFixed(0)} commands a second;`,
    "units and load share this one machine. Hand-overs: two lanes in one thread.",
    "Not measured: machines of their own, a network between them, members of Hazelcast.",
  ].join("\n");
}
