// Goal: the unit's status is the sum of its lanes' parts. Method: bids and notices on routes of
// their own, and parts put together by hand.
import { expect, test } from "vitest";
import { mergeStatus, newCounts, type DemoLaneStatus } from "../../src/bidding-demo/demo-status.ts";
import { FakeEdge } from "./fake-edge.ts";
import { bidRequest, campaign } from "./fixtures.ts";

function lane(spentMicros: number, reservedMicros: number, bid: number): DemoLaneStatus {
  const counts = newCounts();
  counts.answers.bid = bid;
  counts.notices.won = 1;
  const sums = { name: "Plain", budgetMicros: 1000, spentMicros, reservedMicros };
  return { ...counts, campaigns: [{ id: "plain", ...sums }] };
}

test("counts and sums of lanes are added up; 95 % of a budget spent is exhausted", () => {
  const merged = mergeStatus([lane(900, 20, 3), lane(49, 5, 4)]);
  expect(merged.answers).toEqual({ bid: 7, noBid: 0, invalid: 0, shed: 0, error: 0 });
  expect(merged.notices.won).toBe(2);
  expect(merged.campaigns).toEqual([
    {
      id: "plain",
      name: "Plain",
      budgetMicros: 1000,
      spentMicros: 949,
      reservedMicros: 25,
      exhausted: false,
    },
  ]);
  expect(mergeStatus([lane(900, 20, 3), lane(50, 5, 4)]).campaigns[0]?.exhausted).toBe(true);
});

test("a lane sums the purses of all its partitions", async () => {
  const edge = new FakeEdge({ campaigns: [campaign(), campaign({ id: "idle", bidCpm: 1 })] });
  for (let user = 0; user < 20; user++) await edge.bid(bidRequest({ user: { id: `u${user}` } }));
  expect(edge.status()).toMatchObject({
    answers: { bid: 20 },
    campaigns: [
      { id: "plain", spentMicros: 0, reservedMicros: 50_000 },
      { id: "idle", spentMicros: 0, reservedMicros: 0 },
    ],
  });
});
