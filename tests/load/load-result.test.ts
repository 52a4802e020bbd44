// Goal: a load whose generator was the bottleneck says so, and its seconds add up without losing a
// count. Method: seconds made by hand, at the limits and beyond them.
import { expect, test } from "vitest";
import { Histogram } from "../../src/base/histogram.ts";
import { limits } from "../../src/base/limits.ts";
import { generatorProblems, loadTotals, type LoadSecond } from "../../src/load/load-result.ts";

function countsOf(timesMs: readonly number[]): LoadSecond["response"] {
  const histogram = new Histogram();
  for (const ms of timesMs) histogram.recordMs(ms);
  return histogram.toCounts();
}

function second(over: Partial<LoadSecond> = {}): LoadSecond {
  return {
    ...{ endMs: 1000, durationMs: 1000, sent: 2, notSent: 0, waited: 0, cpuShare: 0.1 },
    outcomes: { "200": 2 },
    ...{ response: countsOf([1, 3]), service: countsOf([1, 2]), lateness: countsOf([0, 0]) },
    ...over,
  };
}

test("seconds are added up: counts, times of all, the processor by how long each was", () => {
  const totals = loadTotals([
    second({ notSent: 3, waited: 1, cpuShare: 0.4 }),
    second({ durationMs: 3000, outcomes: { "200": 1, "503": 1 }, response: countsOf([9]) }),
  ]);
  expect(totals).toMatchObject({ sent: 4, notSent: 3, waited: 1, finished: 4, durationMs: 4000 });
  expect(totals.outcomes).toEqual({ "200": 3, "503": 1 });
  expect(totals.cpuShare).toBeCloseTo(0.175);
  expect(totals.response.count).toBe(3);
  expect(totals.response.max).toBeCloseTo(9, 1);
  expect(totals.problems).toEqual([]);
});

test("a late generator and a busy one are the bottleneck; at the limits they are not", () => {
  const { loadLatenessMsMax, loadCpuPercentMax } = limits;
  expect(generatorProblems(loadLatenessMsMax, loadCpuPercentMax / 100)).toEqual([]);
  expect(generatorProblems(loadLatenessMsMax + 0.1, 0)).toEqual([
    expect.stringContaining("the generator itself was late"),
  ]);
  expect(generatorProblems(0, loadCpuPercentMax / 100 + 0.01)).toEqual([
    expect.stringContaining("the generator used"),
  ]);
  const late = countsOf([loadLatenessMsMax + 1]);
  expect(loadTotals([second({ lateness: late })]).problems).toHaveLength(1);
});

test("a load that nobody answered has no times, and says so", () => {
  const none = second({ outcomes: { CONNECTION_LOST: 2 }, response: countsOf([]) });
  expect(loadTotals([none]).problems).toEqual([expect.stringContaining("no request was answered")]);
  expect(loadTotals([]).problems).toHaveLength(1);
});
