// Goal: the median is the middle, also where two figures are. Method: examples.
import { expect, test } from "vitest";
import { spread } from "../../src/base/spread.ts";

test("the median of an even number of figures lies between the middle two", () => {
  expect(spread([4, 1, 3, 100])).toEqual({ median: 3.5, min: 1, max: 100 });
  expect(spread([2])).toEqual({ median: 2, min: 2, max: 2 });
});
