// Goal: what the page is told stays true while lanes die, are replaced, and speak late: no rate
// below zero, no total that falls. Method: made-up statuses, the pure function over them, and the
// counts of the made-up lanes as the oracle.
import fc from "fast-check";
import { expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { CampaignSums } from "../../src/bidding-demo/demo-status.ts";
import type { StatusMessage } from "../../src/bidding-demo/page/page-message.ts";
import { advance, type PageState } from "../../src/bidding-demo/page/page-state.ts";
import type { PartitionElsewhere, UnitStatus } from "../../src/processing-units/unit-status.ts";
import { FakeLane, unitStatus } from "./page-statuses.ts";

const partitions = 4;

function twoLanes(): [FakeLane, FakeLane] {
  return [new FakeLane(0, [0, 2]), new FakeLane(1, [1, 3])];
}

/** The page's state in one lane, after each status. */
class Page {
  readonly lane: number;
  state: PageState | null = null;

  constructor(lane = 0) {
    this.lane = lane;
  }

  hear(status: UnitStatus, elsewhere: readonly PartitionElsewhere[] = []): StatusMessage {
    this.state = advance(this.state, status, { lane: this.lane, partitions, elsewhere });
    return this.state.message;
  }
}

function campaign(more: Partial<CampaignSums>): CampaignSums {
  const money = { budgetMicros: 1_000_000, spentMicros: 0, reservedMicros: 0 };
  return { id: "c", name: "C", ...money, ...more };
}

test("rates: differences of two statuses over each lane's own time; none before there are two", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  a.work(500, 100);
  expect(page.hear(unitStatus(1, [a, b])).rates).toBeNull();
  expect(page.state?.trend).toEqual([]);
  a.work(2000, 400, 2000); // twice the time: 1000 a second
  b.work(300, 100);
  const message = page.hear(unitStatus(2, [a, b]));
  expect(message.rates).toEqual({ requests: 1300, bids: 300 });
  expect(message.lanes.map(({ requests }) => requests)).toEqual([1000, 300]);
  expect(page.state?.trend).toEqual([
    { timeMs: 2000, requests: 1300, bids: 300, p50Ms: null, p99Ms: null },
  ]);
});

test("rates: a lane that the unit shows twice keeps its rate; one that stays silent has none", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  page.hear(unitStatus(1, [a, b]));
  a.work(100, 10);
  a.latenciesMs = [7];
  page.hear(unitStatus(2, [a, b]));
  expect(page.hear(unitStatus(3, [a, b])).rates).toEqual({ requests: 100, bids: 10 });
  const late = page.hear(unitStatus(9, [a, b]));
  expect(late.rates).toEqual({ requests: 0, bids: 0 });
  expect(late.latencyMs).toBeNull();
});

test("latency: percentiles are merged over lanes, never averaged; null where nothing happened", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  expect(page.hear(unitStatus(1, [a, b])).latencyMs).toBeNull();
  a.work(98, 0);
  b.work(2, 0);
  a.latenciesMs = Array.from({ length: 98 }, () => 1);
  b.latenciesMs = [50, 50];
  const latency = must(page.hear(unitStatus(2, [a, b])).latencyMs, "latency");
  expect(latency.p50).toBeCloseTo(1, 1);
  expect(latency.p99).toBeCloseTo(50, 0);
  expect(latency.p999).toBeCloseTo(50, 0);
});

test("totals: what a replaced lane had counted stays, and its new rate is not negative", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  a.work(1000, 300);
  b.work(1000, 200);
  page.hear(unitStatus(1, [a, b]));
  const gone = page.hear(unitStatus(2, [a], 1)); // b is dead
  expect(gone.answers).toMatchObject({ bid: 500, noBid: 1500 });
  expect(gone.lanes).toMatchObject([{ present: true }, { present: false, requests: 0 }]);
  a.work(0, 0);
  b.replace("the second");
  b.work(40, 10, 500);
  const back = page.hear(unitStatus(3, [a, b], 1));
  expect(back.answers).toMatchObject({ bid: 510, noBid: 1530 });
  expect(back.rates).toEqual({ requests: 40, bids: 10 });
  expect(back.restarts).toBe(1);
});

test("totals: a lane that comes late learns from the others what was counted before it", () => {
  const [a, b] = twoLanes();
  const survivor = new Page(0);
  b.work(1000, 200);
  survivor.hear(unitStatus(1, [a, b]));
  b.replace("the second");
  const newcomer = new Page(1);
  for (let second = 2; second < 4; second++) {
    const status = unitStatus(second, [a, b], 1);
    survivor.hear(status);
    newcomer.hear(status);
    a.lost = must(survivor.state, "state").lost;
    b.lost = must(newcomer.state, "state").lost;
    a.ageMs += 1000;
    b.ageMs += 1000;
  }
  const last = unitStatus(4, [a, b], 1);
  expect(survivor.hear(last).answers).toMatchObject({ bid: 200, noBid: 800 });
  expect(newcomer.hear(last).answers).toMatchObject({ bid: 200, noBid: 800 });
});

test("totals and rates: for any work, deaths and delays, nothing falls and nothing is negative", () => {
  const step = fc.record({
    lane: fc.integer({ min: 0, max: 1 }),
    requests: fc.integer({ min: 0, max: 5000 }),
    does: fc.constantFrom("work", "work", "work", "silence", "vanish", "replace"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lanes = twoLanes();
      const page = new Page();
      let before: StatusMessage | null = null;
      let deaths = 0;
      for (const [index, { lane, requests, does }] of steps.entries()) {
        const one = must(lanes[lane], "lane");
        if (does === "work") one.work(requests, Math.floor(requests / 3));
        if (does === "replace") one.replace(`incarnation ${++deaths}`);
        const heard = does === "vanish" ? lanes.filter((each) => each !== one) : lanes;
        const message = page.hear(unitStatus(index + 1, heard, deaths));
        const { requests: rate, bids } = message.rates ?? { requests: 0, bids: 0 };
        expect(rate).toBeGreaterThanOrEqual(bids);
        expect(bids).toBeGreaterThanOrEqual(0);
        expect(message.answers.bid).toBeGreaterThanOrEqual(before?.answers.bid ?? 0);
        expect(message.answers.noBid).toBeGreaterThanOrEqual(before?.answers.noBid ?? 0);
        before = message;
      }
    }),
  );
});

test("money: sums over lanes; while partitions are loaded nothing spent is forgotten", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  a.campaigns = [campaign({ spentMicros: 300_000, reservedMicros: 40_000 })];
  b.campaigns = [campaign({ spentMicros: 650_000, reservedMicros: 10_000 })];
  const whole = page.hear(unitStatus(1, [a, b]));
  const all = { budgetMicros: 1_000_000, spentMicros: 950_000, reservedMicros: 50_000 };
  expect(whole.money).toEqual(all);
  expect(whole.campaigns).toEqual([{ id: "c", name: "C", ...all, exhausted: true }]);
  expect(page.hear(unitStatus(2, [a])).money).toEqual(all); // b is dead
  b.replace("the second");
  b.phase = "starting";
  b.campaigns = [campaign({})];
  const loading = page.hear(unitStatus(3, [a, b]));
  expect(loading.money).toEqual(all);
  expect(loading.campaigns).toMatchObject([{ exhausted: true }]);
  b.phase = "serving";
  b.ageMs += 1000;
  b.campaigns = [campaign({ spentMicros: 660_000, reservedMicros: 0 })];
  const served = page.hear(unitStatus(4, [a, b])).money;
  expect(served).toEqual({ ...all, spentMicros: 960_000, reservedMicros: 40_000 });
});

test("money: of a partition that two lanes name nothing is counted twice, then or later", () => {
  const a = new FakeLane(0, [0, 1]);
  const b = new FakeLane(1, [1, 2]);
  a.campaigns = [campaign({ spentMicros: 300 })];
  b.campaigns = [campaign({ spentMicros: 200 })];
  const old = new Page();
  old.hear(unitStatus(1, [a]));
  expect(old.hear(unitStatus(2, [a, b])).money.spentMicros).toBe(300);
  const young = new Page();
  young.hear(unitStatus(2, [a, b])); // it has seen nothing before
  const after = new FakeLane(0, [0]);
  after.campaigns = [campaign({ spentMicros: 250 })];
  after.ageMs = 2000;
  expect(old.hear(unitStatus(3, [after, b])).money.spentMicros).toBe(450);
  expect(young.hear(unitStatus(3, [after, b])).money.spentMicros).toBe(450);
  const heir = new FakeLane(1, [0, 1, 2]);
  heir.campaigns = [campaign({ spentMicros: 460 })];
  heir.ageMs = 3000;
  expect(old.hear(unitStatus(4, [heir])).money.spentMicros).toBe(460); // lane 0 is dead
});

test("campaigns: what does not fit into a message is counted, and is in the sums", () => {
  const [a, b] = twoLanes();
  a.campaigns = Array.from({ length: 203 }, (_, index) => {
    return campaign({ id: `c${index}`, spentMicros: 1 });
  });
  const { campaigns, campaignsNotShown, money } = new Page().hear(unitStatus(1, [a, b]));
  expect([campaigns.length, campaignsNotShown, money.spentMicros]).toEqual([200, 3, 203]);
});

test("partitions: owner, epoch and backlog; away without an owner, then under a higher epoch", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  const first = page.hear(unitStatus(1, [a, b]));
  const state = { phase: "serving", reason: null, epoch: 1, backlog: 10 };
  const one = { partition: 1, lane: 1, elsewhere: null, ...state };
  expect(first.partitions[1]).toEqual(one);
  expect(first.backlog).toBe(40);
  expect(page.hear(unitStatus(2, [a])).partitions[1]).toEqual({ ...one, phase: "away" });
  b.replace("the second");
  Object.assign(b, { phase: "starting", epoch: 0, journaled: 0, written: 0 });
  const starting = page.hear(unitStatus(3, [a, b]));
  expect(starting.partitions[1]).toEqual({ ...one, phase: "starting" });
  Object.assign(b, { phase: "serving", epoch: 101, journaled: 105, written: 0 });
  const serving = page.hear(unitStatus(4, [a, b]));
  expect(serving.partitions[1]).toEqual({ ...one, epoch: 101, backlog: 15 });
  Object.assign(b, { phase: "halted", reason: "the database is of another grid" });
  const halted = page.hear(unitStatus(5, [a, b])).partitions[3];
  expect(halted).toMatchObject({ phase: "halted", reason: "the database is of another grid" });
});

test("partitions: one that two lanes name belongs to the later owner; one of nobody is away", () => {
  const old = new FakeLane(0, [0]);
  const later = new FakeLane(1, [0]);
  later.epoch = 7;
  const { partitions: shown } = new Page().hear(unitStatus(1, [later, old]));
  expect(shown[0]).toMatchObject({ lane: 1, epoch: 7 });
  expect(shown[3]).toMatchObject({ lane: null, phase: "away", backlog: null });
});

test("partitions: those of other units have their owner's name; they take their money with them", () => {
  const page = new Page();
  const alone = new FakeLane(0, [0, 1, 2, 3]);
  alone.campaigns = [campaign({ spentMicros: 400, reservedMicros: 40 })];
  page.hear(unitStatus(1, [alone]));
  const rest = new FakeLane(0, [0, 1]);
  rest.incarnation = alone.incarnation;
  rest.campaigns = [campaign({ spentMicros: 200, reservedMicros: 20 })];
  rest.ageMs = 2000;
  const other = (partition: number, epoch: number, lane: string) => ({ partition, epoch, lane });
  const there = [other(2, 5, "left"), other(2, 7, "lane 1 of b"), other(3, 6, "lane 0 of b")];
  const shared = page.hear(unitStatus(2, [rest]), [...there, other(1, 1, "before")]);
  const elsewhere = { lane: null, phase: "elsewhere", backlog: null };
  expect(shared.partitions).toMatchObject([
    { phase: "serving", elsewhere: null },
    { phase: "serving", elsewhere: null },
    { ...elsewhere, elsewhere: "lane 1 of b", epoch: 7 },
    { ...elsewhere, elsewhere: "lane 0 of b", epoch: 6 },
  ]);
  expect(shared.money).toMatchObject({ spentMicros: 200, reservedMicros: 20 });
  // The other unit died: nobody has them, whatever its cards still say.
  rest.unheld = [2, 3];
  rest.ageMs = 3000;
  const lost = page.hear(unitStatus(3, [rest]), there);
  expect(lost.partitions[2]).toMatchObject({ phase: "away", elsewhere: null, epoch: 7 });
  alone.ageMs = 4000;
  const back = page.hear(unitStatus(4, [alone]));
  expect(back.partitions[3]).toMatchObject({ phase: "serving", lane: 0 });
  expect(back.money).toMatchObject({ spentMicros: 400, reservedMicros: 40 });
});

test("backlog: null where there is no database", () => {
  const lanes = twoLanes();
  for (const lane of lanes) lane.hasDatabase = false;
  const message = new Page().hear(unitStatus(1, lanes));
  expect(message.backlog).toBeNull();
  expect(message.database).toBeNull();
  expect(message.partitions[0]?.backlog).toBeNull();
});

test("database: the worst of the lanes, percentiles merged, the newest dead letters first", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  a.syncTimesMs = [10, 10, 10];
  b.syncTimesMs = [90];
  Object.assign(a.trouble, { transactions: 10, rows: 30 });
  Object.assign(b.trouble, { transactions: 10, rows: 10, oldestUnwrittenMs: 70 });
  const fine = must(page.hear(unitStatus(1, [a, b])).database, "database");
  expect(fine).toMatchObject({ problem: null, breaker: "closed", isFull: false, roomMs: null });
  expect(fine).toMatchObject({ oldestMs: 70, rowsPerTransaction: 2, deadLetters: 0, letters: [] });
  expect(fine.syncMs?.p50).toBeCloseTo(10, 0);
  expect(fine.syncMs?.p99).toBeCloseTo(90, 0);
  const letter = (timeMs: number) => {
    const where = { partition: 1, position: timeMs, change: 0, space: "bids", key: "k" };
    return { timeMs, ...where, reason: null };
  };
  const room = { records: 0, bytes: 1, msLeft: 0 };
  const full = { kind: "full", message: "full" } as const;
  Object.assign(a.trouble, { breaker: "half-open", newestLetters: [3, 1].map(letter) });
  Object.assign(a.trouble, { deadLetters: 2, room: { ...room, msLeft: 5000 } });
  Object.assign(b.trouble, { breaker: "open", problem: "refused", room, alarms: [full] });
  Object.assign(b.trouble, { deadLetters: 1, newestLetters: [letter(2)] });
  const bad = must(page.hear(unitStatus(2, [a, b])).database, "database");
  expect(bad).toMatchObject({ problem: "refused", breaker: "open", isFull: true, roomMs: 0 });
  expect(bad.deadLetters).toBe(3);
  expect(bad.letters.map(({ timeMs }) => timeMs)).toEqual([3, 2, 1]);
});

test("trend: the newest two minutes, oldest first", () => {
  const [a, b] = twoLanes();
  const page = new Page();
  for (let second = 1; second <= 130; second++) {
    a.work(second, 0);
    page.hear(unitStatus(second, [a, b]));
  }
  const trend = must(page.state, "state").trend;
  expect(trend.length).toBe(120);
  expect([trend[0]?.timeMs, trend.at(-1)?.requests]).toEqual([11_000, 130]);
});

test("lanes: one whose routes are not set up yet is not counted, and does no harm", () => {
  const [a, b] = twoLanes();
  const status = unitStatus(1, [a, b]);
  const bare = { ...must(status.lanes[1], "lane"), application: null };
  const message = new Page().hear({ ...status, lanes: [must(status.lanes[0], "lane"), bare] });
  expect(message.lanes.map(({ lane }) => lane)).toEqual([0]);
});
