// Goal: the demo shows what it is about: with the default traffic three budgets end while one
// looks on, to the last impressions, and the others last for hours.
// Method: the real campaigns against the exchange's traffic in virtual time; the seed decides all.
import { beforeAll, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { DemoMarket } from "./demo-market.ts";

const partitions = 32;
const requestsPerSecond = 1000;
const soonGone = ["match-day-tickets", "sneaker-drop", "autumn-flight-sale"];

const market = new DemoMarket(1, partitions);
const goneAt = new Map<string, number>();

beforeAll(() => {
  for (let second = 1; second <= 15; second++) {
    market.second(requestsPerSecond);
    for (const id of market.spent(0.95)) if (!goneAt.has(id)) goneAt.set(id, second);
  }
});

test("three campaigns spend at least 95 % of their budgets, after 6 to 14 seconds", () => {
  expect([...goneAt.keys()].toSorted()).toEqual(soonGone.toSorted());
  for (const [id, second] of goneAt) {
    expect(second, id).toBeGreaterThanOrEqual(6);
    expect(second, id).toBeLessThanOrEqual(14);
  }
});

test("the others spend, and have enough for an hour and more", () => {
  for (const { id, budgetMicros } of market.campaigns) {
    if (soonGone.includes(id)) continue;
    const perHour = (market.spentMicros(id) / 15) * 3600;
    expect(perHour, id).toBeGreaterThan(0);
    expect(perHour, id).toBeLessThan(budgetMicros);
  }
});

test("a purse holds 20 average impressions, so that what stays in it is next to nothing", () => {
  const spent = market.campaigns.reduce((sum, { id }) => sum + market.spentMicros(id), 0);
  const average = spent / market.impressions;
  for (const id of soonGone) {
    const { budgetMicros } = must(
      market.campaigns.find((one) => one.id === id),
      id,
    );
    expect(budgetMicros / partitions / average).toBeGreaterThanOrEqual(20);
  }
});
