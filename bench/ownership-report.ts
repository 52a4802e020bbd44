// Ownership report: what the rounds of the scenario ownership show, as goals, samples and words.
// Owns: limits, tables. Does not own: measuring (ownership.ts).
import type { Percentiles } from "../src/base/histogram.ts";
import type { Chart, Goal, Sample } from "../src/report/report.ts";
import { goalOf } from "../src/report/verdict.ts";
import { textTable, type ScenarioResult } from "./scenario.ts";

const limits = { takeOverMs: 2000, p99Ratio: 2, checkpointShare: 0.1 };

export interface TakeOver {
  /** From its release to being served. */
  readonly loadMs: number;
  readonly before: Percentiles;
  readonly during: Percentiles;
}

export interface Reads {
  readonly localUs: number;
  readonly linearizableUs: number;
  readonly changeUs: number;
}

export interface CheckpointShare {
  readonly share: number;
  readonly commandsPerSecond: number;
  /** What logs and checkpoints took in the grid, at most. */
  readonly gridBytesMost: number;
}

export type Pauses = { readonly entries: number } & Percentiles;

export interface OwnershipFigures {
  /** Of the partition that is taken over. */
  readonly largeEntries: number;
  readonly takeOver: readonly TakeOver[];
  readonly reads: readonly Reads[];
  readonly checkpoints: readonly CheckpointShare[];
  /** One for each number of entries in the lane. */
  readonly pauses: readonly Pauses[];
}

export function ownershipResult(figures: OwnershipFigures): ScenarioResult {
  const { takeOver, checkpoints, pauses } = figures;
  const idle = checkpoints.filter(({ commandsPerSecond }) => commandsPerSecond === 0).length;
  const unasked = pauses.filter(({ count }) => count === 0).length;
  const problems = idle + unasked > 0 ? ["a window without any answer"] : [];
  const goals: Goal[] = [
    goalOf({
      name: `take-over of ${figures.largeEntries.toLocaleString("en")} entries`,
      values: takeOver.map(({ loadMs }) => loadMs),
      atMost: limits.takeOverMs,
      unit: "ms",
    }),
    goalOf({
      name: "p99 of the lane's others during a take-over, of before",
      values: takeOver.map(ratioOf),
      atMost: limits.p99Ratio,
    }),
    goalOf({
      name: "checkpoints and trimming, share of the lane",
      values: checkpoints.map(({ share }) => share),
      atMost: limits.checkpointShare,
    }),
  ];
  const samples = samplesOf(figures);
  return {
    problems,
    report: reportOf(figures),
    figures,
    goals,
    samples,
    charts: [chartOf(pauses)],
  };
}

function ratioOf({ before, during }: TakeOver): number {
  return during.p99 / before.p99;
}

function samplesOf({ takeOver, reads, checkpoints }: OwnershipFigures): Sample[] {
  const less = (name: string, unit: string, values: number[]): Sample => {
    return { name, unit, better: "less", values };
  };
  const loads = takeOver.map(({ loadMs }) => loadMs);
  const rates = checkpoints.map(({ commandsPerSecond }) => commandsPerSecond);
  return [
    less("take-over of a large partition", "ms", loads),
    less(
      "local read, CPU",
      "µs",
      reads.map(({ localUs }) => localUs),
    ),
    less(
      "linearizable read, CPU",
      "µs",
      reads.map(({ linearizableUs }) => linearizableUs),
    ),
    less(
      "change, CPU",
      "µs",
      reads.map(({ changeUs }) => changeUs),
    ),
    less(
      "checkpoints, share of the lane",
      "",
      checkpoints.map(({ share }) => share),
    ),
    { name: "commands under full load", unit: "/s", better: "more", values: rates },
  ];
}

function chartOf(pauses: readonly Pauses[]): Chart {
  const series = (["p50", "p99", "p999", "max"] as const).map((which) => {
    return { name: which, values: pauses.map((one) => one[which]) };
  });
  return {
    title: "Answers at a steady 1,000 commands a second, by entries in the lane's memory",
    xLabel: "entries",
    x: pauses.map(({ entries }) => entries.toLocaleString("en")),
    yLabel: "ms",
    isLog: true,
    series,
  };
}

function reportOf({ takeOver, reads, checkpoints, pauses }: OwnershipFigures): string {
  const ms = (value: number): string => value.toFixed(1);
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
    "Take-over of a large partition beside a steady load on the lane's others, ms",
    textTable([["load", "p99 before", "p99 during", "ratio"], ...take]),
    "\nProcessor time of one command, 64 under way, µs",
    textTable([["local read", "linearizable read", "change"], ...read]),
    "\nCheckpoints and trimming under full load",
    textTable([["share of the lane's time", "commands/s", "grid bytes at most"], ...share]),
    "\nAnswers at a steady 1,000 commands a second, ms",
    textTable([["entries in the lane", "p99", "p99.9", "worst"], ...pause]),
    "\nNot measured: several threads, a store that needs a network, memory.",
  ].join("\n");
}
