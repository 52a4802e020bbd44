// Goal: candidates are measured in turn, and compared only within their round.
// Method: measurements that drift from round to round.
import { expect, test } from "vitest";
import { interleave } from "../../src/load/interleave.ts";

test("candidates run A B A B, and a drift that both share leaves the ratio alone", async () => {
  const order: string[] = [];
  const measure = (name: string, factor: number) => ({
    name,
    measure: (round: number) => {
      order.push(name);
      return Promise.resolve(factor * (10 + 7 * round));
    },
  });
  const [base, other] = await interleave([measure("a", 1), measure("b", 3)], 3);
  expect(order).toEqual(["a", "b", "a", "b", "a", "b"]);
  expect(base).toMatchObject({ figures: [10, 17, 24], ratio: { median: 1, min: 1, max: 1 } });
  expect(other?.figure).toEqual({ median: 51, min: 30, max: 72 });
  expect(other?.ratio).toEqual({ median: 3, min: 3, max: 3 });
});
