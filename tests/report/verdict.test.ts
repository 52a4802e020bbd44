// Goal: a verdict is given only where the rounds carry it. Method: rounds made by hand.
import { expect, test } from "vitest";
import { studentQuantile, typicalInterval } from "../../src/report/interval.ts";
import { goalOf, goalOfCount, goalOfWorst } from "../../src/report/verdict.ts";

test("V2: met and missed need an interval on one side of the limit, else nothing is told", () => {
  const of = (values: number[]) => goalOf({ name: "rate", values, atLeast: 0.8 }).verdict;
  expect(of([0.9, 0.91, 0.89, 0.9, 0.92])).toBe("met");
  expect(of([0.7, 0.71, 0.69, 0.7, 0.72])).toBe("missed");
  expect(of([0.7, 0.9, 0.79, 0.82, 0.85])).toBe("cannot tell");
  // One window that was stopped for most of its time says nothing of the others.
  expect(of([0.92, 0.93, 0.01, 0.92, 0.93])).toBe("met");
});

test("V2: four rounds are too few, whatever they show", () => {
  const goal = goalOf({ name: "pause", values: [1, 1, 1, 1], atMost: 50, unit: "ms" });
  expect(goal).toEqual({
    name: "pause",
    goal: "at most 50 ms",
    measured: "1 ms",
    verdict: "cannot tell",
    why: "4 rounds count, 5 are needed",
  });
  expect(goalOfWorst({ name: "pause", values: [99], atMost: 50 }).verdict).toBe("cannot tell");
  expect(goalOf({ name: "pause", values: [], atMost: 50 }).verdict).toBe("cannot tell");
});

test("V2: the worst of all rounds is what each of them is held against", () => {
  const of = (values: number[]) => goalOfWorst({ name: "kill", values, atMost: 2000 });
  expect(of([900, 1000, 1100, 1999, 2000])).toMatchObject({ verdict: "met", measured: "2,000" });
  expect(of([900, 1000, 1100, 1999, 2001]).verdict).toBe("missed");
});

test("what is counted has no noise: one count is judged", () => {
  expect(goalOfCount({ name: "bytes", count: 600, atMost: 600 }).verdict).toBe("met");
  expect(goalOfCount({ name: "bytes", count: 601, atMost: 600 }).verdict).toBe("missed");
});

test("Student's t is that of the tables", () => {
  const table = [
    [0.975, 1, 12.706],
    [0.975, 2, 4.303],
    [0.975, 5, 2.571],
    [0.995, 6, 3.707],
    [0.9995, 10, 4.587],
    [0.975, 120, 1.98],
  ] as const;
  for (const [share, degrees, t] of table) {
    expect(studentQuantile(share, degrees)).toBeCloseTo(t, 2);
  }
});

test("the interval of values that are all alike is that value", () => {
  expect(typicalInterval([3, 3, 3, 3, 3], 0.95)).toEqual({ middle: 3, low: 3, high: 3 });
});
