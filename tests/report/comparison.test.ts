// Goal: the verdict over all samples follows from each of them, over the rounds that count. Method:
// rounds of two trees made by hand.
import { expect, test } from "vitest";
import { compareTrees, comparisonRows, type ComparedRound } from "../../src/report/comparison.ts";
import type { Sample } from "../../src/report/report.ts";

const rate = (value: number): Sample => {
  return { name: "rate", unit: "/s", better: "more", values: [value] };
};
const cpu = (...values: number[]): Sample => ({ name: "CPU", unit: "µs", better: "less", values });

function rounds(count: number, a: Sample[], b: Sample[]): ComparedRound[] {
  return Array.from({ length: count }, () => ({ a, b }));
}

test("one sample that is worse makes the tree worse, whatever the others gain", () => {
  const compared = compareTrees(rounds(9, [rate(100), cpu(40)], [rate(200), cpu(60)]));
  expect(compared.comparisons.map(({ verdict }) => verdict)).toEqual(["better", "worse"]);
  expect(compared.verdict).toBe("worse");
  expect(compareTrees(rounds(9, [rate(100)], [rate(200)])).verdict).toBe("better");
});

test("V2: rounds that were not valid for both trees do not count", () => {
  const bad = { a: null, b: [rate(1)] };
  const some = [...rounds(4, [rate(100)], [rate(50)]), bad, bad];
  expect(compareTrees(some)).toMatchObject({
    verdict: "cannot tell",
    comparisons: [{ rounds: 4, why: "4 rounds count, 5 are needed" }],
  });
});

test("a round with several values counts once, by their median", () => {
  const [first] = compareTrees(rounds(5, [cpu(1, 40, 900)], [cpu(40)])).comparisons;
  expect(first).toMatchObject({ rounds: 5, a: 40, b: 40, ratio: { middle: 1 } });
});

test("a sample that one tree has not is named, not judged", () => {
  const compared = compareTrees(rounds(9, [rate(100), cpu(1)], [rate(100)]));
  expect(compared.onlyInOne).toEqual(["CPU"]);
  expect(compared.comparisons.map(({ name }) => name)).toEqual(["rate"]);
  expect(comparisonRows(compared.comparisons)[1]?.slice(0, 5)).toEqual([
    "rate, /s",
    "9",
    "100",
    "100",
    "1.00",
  ]);
});

test("nothing in common, nothing measured: nothing can be told", () => {
  expect(compareTrees([]).verdict).toBe("cannot tell");
  expect(compareTrees(rounds(9, [rate(1)], [cpu(1)])).verdict).toBe("cannot tell");
});
