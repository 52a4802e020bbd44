// Goal: whatever bids, notices and waits come in whatever order, no partition spends or promises
// more than its share, each bid settles once, and nothing is kept for ever.
// Method: random sequences against the handlers in virtual time, with a model that knows only what
// was answered; all sums are checked after each step.
// Invariants (docs/invariants.md): B1, B2, B4.
import fc from "fast-check";
import { expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { biddingLimits } from "../../src/bidding-demo/bidding-limits.ts";
import type { BidReply } from "../../src/bidding-demo/bid-command.ts";
import { checkCampaigns } from "../../src/bidding-demo/campaign.ts";
import { shareOf } from "../../src/bidding-demo/money.ts";
import type { NoticeKind, NoticeReply } from "../../src/bidding-demo/notice-command.ts";
import { readBidId } from "../../src/bidding-demo/reservations.ts";
import * as spaces from "../../src/bidding-demo/spaces.ts";
import { FakePartition, type Ran } from "./fake-transaction.ts";
import { application, campaign } from "./fixtures.ts";

const partitions = 3;
const declared = [
  // Shares of 60,000, 20,000, 6,667 and 4 micros: room for many bids, for a few, and for crumbs.
  campaign({ id: "short-cap", budget: 0.18, bidCpm: 3, frequencyCap: cap(2, 5) }),
  campaign({ id: "long-cap", budget: 0.06, bidCpm: 3.2, frequencyCap: cap(1, 400) }),
  campaign({ id: "no-cap", budget: 0.02, bidCpm: 2 }),
  campaign({ id: "crumbs", budget: 0.00001, bidCpm: 1.001 }),
];

function cap(impressions: number, windowSeconds: number) {
  return { impressions, windowSeconds };
}

type Step =
  | { do: "bid"; user: string | null; floor: number; imps: number; test: boolean }
  | { do: "notice"; kind: NoticeKind; bid: number; price: number }
  | { do: "wait"; ms: number }
  | { do: "sweep" };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("bid" as const),
        user: fc.constantFrom("ann", "ben", null),
        floor: fc.constantFrom(0, 900, 2100, 5000),
        imps: fc.integer({ min: 1, max: 3 }),
        test: fc.constantFrom(false, false, false, true),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant("notice" as const),
        kind: fc.constantFrom<NoticeKind[]>("win", "billing", "billing", "loss"),
        bid: fc.oneof(fc.nat({ max: 4 }), fc.nat({ max: 30 })),
        price: fc.constantFrom(0, 1, 700, 2000, 3000, 9_000_000),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("wait" as const),
        ms: fc.constantFrom(1, 999, 4000, 20_000, 113_000, 119_999, 130_000, 500_000),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ do: "sweep" as const }) },
  ),
  { minLength: 1, maxLength: 80 },
);

interface MadeBid {
  readonly bidId: string;
  readonly campaignId: string;
  readonly priceMicros: number;
  readonly user: string | null;
  readonly test: boolean;
  readonly madeAtMs: number;
}

/** A partition, and what an exchange knows of it. */
class Market {
  readonly partition = new FakePartition(application(declared, partitions), 1);
  readonly made: MadeBid[] = [];
  readonly settledTwice: string[] = [];
  readonly shown: { campaignId: string; user: string | null; atMs: number }[] = [];

  step(step: Step): void {
    if (step.do === "wait") this.partition.timeMs += step.ms;
    else if (step.do === "sweep") this.run("sweep", { route: "any" });
    else if (step.do === "bid") this.#bid(step);
    else this.#notice(step);
  }

  run(command: string, input: Parameters<FakePartition["run"]>[1]): Ran {
    const before = this.partition.entries(spaces.settlements);
    const ran = this.partition.run(command, input);
    for (const { space, key } of ran.changes) {
      if (space === "settlements" && before.has(key)) this.settledTwice.push(key);
    }
    return ran;
  }

  #bid({ user, floor, imps, test: isTest }: Step & { do: "bid" }): void {
    const candidates = declared.map(({ id }) => id);
    const impressions = Array.from({ length: imps }, (_, imp) => ({
      id: `${imp}`,
      floorMicros: floor,
      candidates,
    }));
    const place = { route: user ?? "r", auctionId: "r", siteDomain: null };
    const { reply } = this.run("bid", { ...place, user, test: isTest, impressions });
    const offers = reply as BidReply;
    if (typeof offers === "string") return;
    for (const [impression, campaignId, priceMicros, bidId] of offers) {
      expect(priceMicros).toBeGreaterThanOrEqual(Math.max(floor, 1));
      expect(impression).toBeLessThan(imps);
      const madeAtMs = this.partition.timeMs;
      this.made.push({ bidId, campaignId, priceMicros, user, test: isTest, madeAtMs });
    }
  }

  #notice({ kind, bid, price }: Step & { do: "notice" }): void {
    // The latest bids are asked for most often.
    const about = this.made.at(-1 - bid);
    if (about === undefined || about.test) return;
    const { run, ordinal } = must(readBidId(about.bidId), "a bid id");
    const { reply } = this.run("notice", { route: "r", kind, run, ordinal, priceMicros: price });
    const ageMs = this.partition.timeMs - about.madeAtMs;
    if (reply === "expired") expect(ageMs).toBeGreaterThanOrEqual(biddingLimits.reservationHoldMs);
    else expect(["won", "billed", "lost", "duplicate"] as NoticeReply[]).toContain(reply);
    if (reply === "billed") this.shown.push({ ...about, atMs: this.partition.timeMs });
  }

  check(): void {
    const { partition } = this;
    const reserved = sumBy(partition.entries(spaces.reservations).values(), "priceMicros");
    const paid = sumBy(partition.entries(spaces.settlements).values(), "paidMicros");
    for (const purse of partition.entries(spaces.purses).values()) {
      const { campaignId, shareMicros, reservedMicros, spentMicros } = purse;
      const budget = must(declared.find(({ id }) => id === campaignId)?.budget, "budget");
      expect(shareMicros).toBe(shareOf(Math.round(budget * 1_000_000), partitions, 1));
      expect(reservedMicros + spentMicros).toBeLessThanOrEqual(shareMicros);
      expect(reservedMicros).toBe(reserved.get(campaignId) ?? 0);
      expect(spentMicros).toBe(paid.get(campaignId) ?? 0);
    }
    expect(this.settledTwice).toEqual([]);
    this.#checkCaps();
  }

  #checkCaps(): void {
    const last = this.shown.at(-1);
    const declaration = declared.find(({ id }) => id === last?.campaignId);
    if (last === undefined || declaration?.frequencyCap === undefined) return;
    const { impressions, windowSeconds } = declaration.frequencyCap;
    const inWindow = this.shown.filter(
      ({ campaignId, user, atMs }) =>
        campaignId === last.campaignId &&
        user === last.user &&
        atMs > last.atMs - windowSeconds * 1000,
    );
    expect(last.user).not.toBeNull();
    expect(inWindow.length).toBeLessThanOrEqual(impressions);
  }
}

function sumBy<K extends string>(
  rows: Iterable<Readonly<Record<K, number>> & { readonly campaignId: string }>,
  field: K,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(row.campaignId, (sums.get(row.campaignId) ?? 0) + row[field]);
  return sums;
}

test("the campaigns of this test are valid", () => {
  expect(checkCampaigns(declared).ok).toBe(true);
});

test("B1, B2: reserved + spent ≤ share, Σ paid = spent, one settlement for each bid", () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const market = new Market();
      for (const step of sequence) {
        market.step(step);
        market.check();
      }
    }),
    { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 300) },
  );
});

test("B4: all that is kept of a bid goes away, and each bid that held money has its end", () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const market = new Market();
      for (const step of sequence) market.step(step);
      market.step({ do: "wait", ms: 500_000 });
      market.step({ do: "sweep" });
      market.check();
      const { partition, made } = market;
      expect([...partition.entries(spaces.reservations)]).toEqual([]);
      expect([...partition.entries(spaces.frequency)]).toEqual([]);
      expect([...partition.entries(spaces.impressions)]).toEqual([]);
      expect(partition.entries(spaces.slots).get("")?.firsts ?? []).toEqual([]);
      const real = made.filter(({ test: isTest }) => !isTest).map(({ bidId }) => bidId);
      expect([...partition.entries(spaces.settlements).keys()].toSorted()).toEqual(real.toSorted());
      expect([...partition.entries(spaces.bids).keys()]).toHaveLength(made.length);
    }),
    { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 300) },
  );
});
