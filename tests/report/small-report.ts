// A report as a scenario leaves it, for tests: everything that one can hold, a little of each.
import type { ReportContent } from "../../src/report/report.ts";
import { goalOf, goalOfCount } from "../../src/report/verdict.ts";

export function smallReport(): ReportContent {
  const bid = [20_100, 19_800, 20_400, 20_000, 19_900];
  const ofBare = [0.47, 0.5, 0.46, 0.49, 0.48];
  const probe = (atMs: number) => ({
    atMs,
    ...{ aluMs: 21.5, memoryMs: 14.2, load1: 0.4 },
    ...{ cpuPressurePercent: 0.2, idlePercent: 97, stealPercent: null },
  });
  return {
    version: 1,
    scenario: "throughput",
    summary: "what a bid costs <on one lane> & beside a bare server",
    startedAt: "2026-01-02T03:04:05.000Z",
    tookMs: 61_000,
    smoke: false,
    rounds: 5,
    valid: true,
    problems: [],
    commit: "abc1234",
    seeds: { bodies: 7 },
    environment: { node: "v26.10.0", cores: 2, cpu: "a processor" },
    goals: [
      goalOf({ name: "bid of bare", values: ofBare, atLeast: 0.4 }),
      goalOf({ name: "no bid of bare", values: [0.7, 0.9, 0.8, 0.75, 0.85], atLeast: 0.8 }),
      goalOfCount({ name: "log of a bid", count: 640, unit: "B", atMost: 600 }),
    ],
    samples: [
      { name: "bid, rate", unit: "/s", better: "more", values: bid },
      { name: "bid, CPU", unit: "µs", better: "less", values: [41, 42, 40.5, 41.2, 43] },
      { name: "bid of bare", unit: "", better: "more", values: ofBare },
    ],
    charts: [
      {
        title: "Response time at rising rates",
        xLabel: "requests a second",
        x: [1000, 5000, 8000],
        yLabel: "ms",
        isLog: true,
        series: [
          { name: "p50", values: [0.4, 0.6, 1.1] },
          { name: "p99", values: [2, 4.5, null] },
        ],
      },
      {
        title: "CPU of a bid by stage",
        xLabel: "store",
        x: ["memory:", "lmdb:", "hazelcast:"],
        yLabel: "µs",
        series: [
          { name: "lane", values: [35, 36, 34] },
          { name: "main thread", values: [2, 3.5, 6] },
        ],
      },
    ],
    probes: [probe(10), probe(60_900)],
    text: "candidate   per second\nbid             20,000",
    figures: { windows: [{ answers: 100 }] },
  };
}
