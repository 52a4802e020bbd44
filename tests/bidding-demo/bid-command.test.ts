// Goal: the owner decides frequency and money as documented, and its log entries stay small.
// Method: the handlers on one partition without an engine, step by step.
// Invariants (docs/invariants.md): B3.
import { describe, expect, test } from "vitest";
import { biddingLimits } from "../../src/bidding-demo/bidding-limits.ts";
import type { BidReply } from "../../src/bidding-demo/bid-command.ts";
import type { CampaignDeclaration } from "../../src/bidding-demo/campaign.ts";
import type { NoticeKind } from "../../src/bidding-demo/notice-command.ts";
import { bidIdOf, readBidId } from "../../src/bidding-demo/reservations.ts";
import { must } from "../../src/base/assert.ts";
import * as spaces from "../../src/bidding-demo/spaces.ts";
import { encodeRecord, type Change, type Value } from "../../src/grid/log-record.ts";
import { FakePartition, type Ran } from "./fake-transaction.ts";
import { application, campaign } from "./fixtures.ts";

class Owner {
  readonly partition: FakePartition;
  readonly #candidates: string[];

  constructor(campaigns: readonly CampaignDeclaration[]) {
    this.partition = new FakePartition(application(campaigns), 0);
    this.#candidates = campaigns.map(({ id }) => id);
  }

  bid(options: { user?: string | null; floorMicros?: number } = {}): BidReply {
    const { user = "ann", floorMicros = 0 } = options;
    return this.ask({ user, floorMicros }).reply as BidReply;
  }

  ask(options: { user: string | null; floorMicros: number }): Ran {
    const { user, floorMicros } = options;
    return this.partition.run("bid", {
      route: user ?? "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
      user,
      auctionId: "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
      siteDomain: "www.some-newspaper.example",
      test: false,
      impressions: [{ id: "1", floorMicros, candidates: this.#candidates }],
    });
  }

  notice(kind: NoticeKind, reply: BidReply, priceMicros = 0): Value {
    const { run, ordinal } = must(readBidId(bidId(reply)), "a bid");
    const input = { route: "r", kind, run, ordinal, priceMicros };
    return this.partition.run("notice", input).reply;
  }
}

function offer(reply: BidReply): unknown {
  return typeof reply === "string" ? reply : reply[0]?.slice(1, 3);
}

function bidId(reply: BidReply): string {
  return typeof reply === "string" ? reply : (reply[0]?.[3] ?? "");
}

describe("the choice", () => {
  test("the campaign that pays most bids", () => {
    const owner = new Owner([campaign({ id: "a", bidCpm: 3 }), campaign({ id: "b", bidCpm: 2 })]);
    expect(offer(owner.bid())).toEqual(["a", 3000]);
  });

  test("one with little left gives way to one that can pay more", () => {
    const a = campaign({ id: "a", bidCpm: 3, budget: 0.004 });
    const owner = new Owner([a, campaign({ id: "b", bidCpm: 2 })]);
    expect(offer(owner.bid())).toEqual(["a", 3000]);
    expect(offer(owner.bid())).toEqual(["b", 2000]);
  });

  test("the last bid of a purse takes what is left, if that is not below the floor", () => {
    const owner = new Owner([campaign({ budget: 0.0034 })]);
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
    expect(offer(owner.bid({ floorMicros: 901 }))).toBe("budget");
    expect(offer(owner.bid({ floorMicros: 900 }))).toEqual(["plain", 900]);
    expect(offer(owner.bid())).toBe("budget");
  });

  test("what a lost bid held may be bid again at once", () => {
    const owner = new Owner([campaign({ budget: 0.0025 })]);
    const first = owner.bid();
    expect(offer(owner.bid())).toBe("budget");
    expect(owner.notice("loss", first)).toBe("lost");
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
  });

  test("a floor above the bid refuses", () => {
    const owner = new Owner([campaign()]);
    expect(offer(owner.bid({ floorMicros: 2501 }))).toBe("floor");
    expect(offer(owner.bid({ floorMicros: 2500 }))).toEqual(["plain", 2500]);
  });

  test("a campaign that is not known here is passed over", () => {
    const partition = new FakePartition(application([campaign({ id: "b" })]), 0);
    const impressions = [{ id: "1", floorMicros: 0, candidates: ["a", "b"] }];
    const rest = { route: "r", user: null, auctionId: "r", siteDomain: null, test: false };
    const { reply } = partition.run("bid", { ...rest, impressions });
    expect(offer(reply as BidReply)).toEqual(["b", 2500]);
  });
});

describe("B3: the frequency cap", () => {
  const capped = campaign({ frequencyCap: { impressions: 2, windowSeconds: 60 } });

  test("bids that are outstanding count, for each user apart", () => {
    const owner = new Owner([capped]);
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
    const second = owner.bid();
    expect(offer(owner.bid())).toBe("frequency");
    expect(offer(owner.bid({ user: "ben" }))).toEqual(["plain", 2500]);
    owner.notice("loss", second);
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
  });

  test("impressions count from their billing until the window has passed", () => {
    const owner = new Owner([capped]);
    const [first, second] = [owner.bid(), owner.bid()];
    owner.partition.timeMs += 30_000;
    owner.notice("billing", first, 1000);
    owner.partition.timeMs += 10_000;
    owner.notice("billing", second, 1000);
    owner.partition.timeMs += 49_999;
    expect(offer(owner.bid())).toBe("frequency");
    owner.partition.timeMs += 1;
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
    expect(offer(owner.bid())).toBe("frequency");
  });

  test("a bid that expired counts no more", () => {
    const owner = new Owner([capped]);
    owner.bid();
    owner.bid();
    owner.partition.timeMs += biddingLimits.reservationHoldMs + biddingLimits.slotMs;
    expect(offer(owner.bid())).toEqual(["plain", 2500]);
  });

  test("who is not known gets no bid of a capped campaign", () => {
    expect(offer(new Owner([capped]).bid({ user: null }))).toBe("frequency");
  });
});

describe("expiry on the way", () => {
  test("each bid settles a few old ones, more than it makes", () => {
    const owner = new Owner([campaign({ budget: 1000 })]);
    for (let made = 0; made < 100; made++) owner.bid();
    owner.partition.timeMs += biddingLimits.reservationHoldMs + biddingLimits.slotMs;
    const outstanding = () => owner.partition.entries(spaces.reservations).size;
    expect(outstanding()).toBe(100);
    owner.bid();
    expect(outstanding()).toBe(91);
    for (let made = 0; made < 9; made++) owner.bid();
    expect(outstanding()).toBe(10);
  });

  test("a budget that was made smaller frees nothing and promises nothing", () => {
    const before = new Owner([campaign({ budget: 0.01 })]);
    before.bid();
    const after = new Owner([campaign({ budget: 0.002 })]);
    const purses = before.partition.entries(spaces.purses);
    const run = after.partition.run.bind(after.partition);
    expect(
      offer(
        run("bid", {
          route: "r",
          user: null,
          auctionId: "r",
          siteDomain: null,
          test: false,
          impressions: [{ id: "1", floorMicros: 2001, candidates: ["plain"] }],
        }).reply as BidReply,
      ),
    ).toBe("budget");
    expect([...purses.values()]).toMatchObject([{ shareMicros: 10_000, reservedMicros: 2500 }]);
  });
});

test("bid ids are read as they were written", () => {
  for (const test of [true, false]) {
    const name = { partition: 4095, run: "0123456789bcdfgh", ordinal: 2 ** 40, test };
    expect(readBidId(bidIdOf(name))).toEqual(name);
  }
  for (const text of ["", "a-b", "a-b-c-x", "a-B-c", "a-b-c-t-", "zzzzz-b-c"]) {
    expect(readBidId(text)).toBeNull();
  }
});

function logBytes({ changes, reply }: Ran): number {
  const record = (entries: readonly Change[] | null) =>
    encodeRecord({
      position: 1_000_000,
      epoch: 999_000,
      token: "lane-3:0123456789bcdfgh:7",
      timeMs: 1_700_000_000_000,
      previous: Buffer.alloc(16),
      body: {
        type: "changes",
        entries:
          entries === null
            ? []
            : [{ sender: null, number: 0, confirmed: 0, attempt: 0, changes: entries, reply }],
      },
    }).length;
  return record(changes) - record(null);
}

test("a bid takes at most 600 bytes of the log, its reply and a user's history included", () => {
  const frequencyCap = { impressions: 3, windowSeconds: 3600 };
  const owner = new Owner([campaign({ id: "sneaker-drop-2026", budget: 3000, frequencyCap })]);
  const user = "55816b39711f9b5acf3b90e313ed29e51665623f";
  for (let seen = 0; seen < 2; seen++) owner.notice("billing", owner.bid({ user }), 1000);
  for (let other = 0; other < 5000; other++) owner.bid({ user: `user ${other}` });
  const bytes = logBytes(owner.ask({ user, floorMicros: 0 }));
  expect(bytes).toBeLessThanOrEqual(600);
  expect(bytes).toBeGreaterThan(300);
});
