// A made-up run of the demo for tests of the page: two lanes, thirty-two partitions, eight
// campaigns, two minutes of load with some life in it.
// Owns: the numbers; the same in each run. Does not own: how they get to the page.
import type { CampaignSums } from "../../src/bidding-demo/demo-status.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { UnitStatus } from "../../src/processing-units/unit-status.ts";
import { FakeLane, unitStatus } from "./page-statuses.ts";

export const storyPartitions = 32;
const startSecond = 1_767_225_600;

/** Name, budget in dollars, dollars spent in a second, dollars reserved. */
const campaigns = [
  ["Harbour Coffee: spring roast", 200, 0.62, 3.1],
  ["Northwind Bikes", 120, 0.41, 2.4],
  ["Blue Fern Books", 40, 0.335, 0],
  ["Atlas Hiking Boots", 90, 0.28, 1.7],
  ['<b>Quotes & "Brackets"</b>', 60, 0.12, 0.9],
  ["Lumen Desk Lamps", 25, 0.209, 0],
  ["Saltmarsh Yoga: a first lesson for nothing, a second one at half the price", 75, 0.3, 1.2],
  ["Ferry & Rail Weekend", 1500, 2.9, 18.6],
] as const;

export class Story {
  readonly lanes: readonly [FakeLane, FakeLane];
  restarts = 0;
  #second = startSecond;
  readonly #random = seededRandom(11);

  constructor() {
    const owned = (lane: number) =>
      Array.from({ length: storyPartitions / 2 }, (_, index) => index * 2 + lane);
    this.lanes = [new FakeLane(0, owned(0)), new FakeLane(1, owned(1))];
  }

  /** One second goes by; `alive` are the lanes that are heard. */
  next(alive: readonly FakeLane[] = this.lanes): UnitStatus {
    this.#second++;
    const age = this.#second - startSecond;
    for (const lane of alive) this.#live(lane, age);
    return unitStatus(this.#second, alive, this.restarts);
  }

  #live(lane: FakeLane, age: number): void {
    const requests = Math.round(480 + 60 * Math.sin(age / 14) + this.#random.below(40));
    const bids = Math.round(requests * (0.52 + 0.06 * Math.sin(age / 31)));
    lane.work(requests, bids);
    const { noBids, notices, answers } = lane.counts;
    noBids.unmatched += Math.round((requests - bids) * 0.62);
    noBids.floor += Math.round((requests - bids) * 0.21);
    noBids.frequency += Math.round((requests - bids) * 0.12);
    noBids.budget += Math.round((requests - bids) * 0.05);
    notices.won += Math.round(bids * 0.4);
    notices.billed += Math.round(bids * 0.37);
    notices.lost += Math.round(bids * 0.58);
    notices.duplicate += age % 40 === 0 ? 1 : 0;
    answers.invalid += age % 55 === 0 ? 1 : 0;
    lane.latenciesMs = Array.from({ length: 200 }, (_, index) => {
      const slow = index === 0 ? 9 + this.#random.fraction() * 9 : 0;
      return 1.1 + this.#random.fraction() * 1.4 + (index < 8 ? 2 : 0) + slow;
    });
    lane.syncTimesMs = lane.latenciesMs.map((ms) => 12 + 3 * ms);
    Object.assign(lane.trouble, { transactions: age * 30, rows: age * 700 });
    lane.utilization = 0.28 + 0.05 * Math.sin(age / 9) + lane.lane * 0.04;
    lane.journaled = lane.epoch + age * 9;
    lane.written = lane.journaled - 2 - this.#random.below(4);
    lane.campaigns = campaigns.map((campaign, index) => sumsAfter(campaign, index, age));
  }
}

function sumsAfter(
  [name, budget, perSecond, reserved]: (typeof campaigns)[number],
  index: number,
  age: number,
): CampaignSums {
  // Both lanes have half of it.
  const spent = Math.min(budget - reserved, perSecond * age) / 2;
  return {
    id: `campaign-${index}`,
    name,
    budgetMicros: budget * 1_000_000,
    spentMicros: Math.round(spent * 1_000_000),
    reservedMicros: Math.round((reserved / 2) * 1_000_000),
  };
}
