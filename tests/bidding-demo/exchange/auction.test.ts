// Goal: the right bid wins at the right price. Method: a table of auctions.
import { expect, test } from "vitest";
import { holdAuction } from "../../../src/bidding-demo/exchange/auction.ts";
import type { Bid } from "../../../src/bidding-demo/exchange/bid-response.ts";

function bids(...prices: number[]): Bid[] {
  return prices.map((priceNanos, index) => ({
    id: `b${index}`,
    impressionId: "1",
    priceNanos,
    seat: "",
    campaignId: "",
    adId: "",
    nurl: "",
    burl: "",
    lurl: "",
  }));
}

interface Case {
  rule: string;
  floor?: number;
  competing?: number;
  prices: number[];
  type?: 1 | 2;
  won: [id: string, clearing: number] | null;
  lost?: [id: string, reason: number][];
  minToWin: number;
}

const cases: Case[] = [
  {
    rule: "the competing bid is the price",
    competing: 700,
    prices: [1000],
    won: ["b0", 700],
    minToWin: 701,
  },
  {
    rule: "a floor above the competing bid is the price",
    floor: 900,
    competing: 700,
    prices: [1000],
    won: ["b0", 900],
    minToWin: 900,
  },
  {
    rule: "a bid at the floor reaches it",
    floor: 1000,
    prices: [1000],
    won: ["b0", 1000],
    minToWin: 1000,
  },
  {
    rule: "a bid below the floor loses to it",
    floor: 1001,
    prices: [1000],
    won: null,
    lost: [["b0", 100]],
    minToWin: 1001,
  },
  {
    rule: "of equal bids the competing one wins",
    competing: 1000,
    prices: [1000],
    won: null,
    lost: [["b0", 102]],
    minToWin: 1001,
  },
  {
    rule: "a higher competing bid wins",
    competing: 1200,
    prices: [1000],
    won: null,
    lost: [["b0", 102]],
    minToWin: 1201,
  },
  {
    rule: "the next own bid is the price",
    competing: 500,
    prices: [800, 1000, 900],
    won: ["b1", 900],
    lost: [
      ["b0", 102],
      ["b2", 102],
    ],
    minToWin: 501,
  },
  {
    rule: "of equal own bids the first wins, at that price",
    competing: 500,
    prices: [900, 900],
    won: ["b0", 900],
    lost: [["b1", 102]],
    minToWin: 501,
  },
  {
    rule: "an own bid below the floor is no price",
    floor: 850,
    competing: 300,
    prices: [1000, 800],
    won: ["b0", 850],
    lost: [["b1", 100]],
    minToWin: 850,
  },
  {
    rule: "first price: the winner pays its bid",
    competing: 700,
    prices: [1000],
    type: 1,
    won: ["b0", 1000],
    minToWin: 701,
  },
  {
    rule: "without floor and competition the price is nothing",
    prices: [1],
    won: ["b0", 0],
    minToWin: 1,
  },
  { rule: "nothing is not a bid", prices: [0], won: null, lost: [["b0", 102]], minToWin: 1 },
];

test.each(cases)("second price auction: $rule", (row) => {
  const impression = { id: "1", floorNanos: row.floor ?? 0, competingNanos: row.competing ?? 0 };
  const result = holdAuction(impression, bids(...row.prices), row.type ?? 2);
  expect(result.won && [result.won.bid.id, result.won.clearingNanos]).toEqual(row.won);
  expect(result.lost.map(({ bid, reason }) => [bid.id, reason])).toEqual(row.lost ?? []);
  expect(result.minToWinNanos).toBe(row.minToWin);
});
