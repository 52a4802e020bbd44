// Goal: macros of a notice's address become the auction's values. Method: a table.
import { expect, test } from "vitest";
import { fillMacros } from "../../../src/bidding-demo/exchange/macros.ts";

const request = {
  id: "r/1",
  body: "",
  tmaxMs: 100,
  auctionType: 2,
  test: false,
  impressions: [],
  renderDelayMs: 0,
  billsTwice: false,
} as const;
const bid = {
  id: "b 1",
  impressionId: "2",
  priceNanos: 2_000_000,
  seat: "s",
  campaignId: "c",
  adId: "a",
  nurl: "",
  burl: "",
  lurl: "",
};
const won = { request, bid, clearingNanos: 1_234_500, minToWinNanos: 1_234_501, loss: 0 } as const;
const lost = { ...won, clearingNanos: null, loss: 102 } as const;

test.each([
  ["price", "http://a/?p=${AUCTION_PRICE}", won, "http://a/?p=1.2345"],
  ["price of a loss: not told", "http://a/?p=${AUCTION_PRICE}", lost, "http://a/?p="],
  ["loss reason", "http://a/?l=${AUCTION_LOSS}", lost, "http://a/?l=102"],
  ["loss reason of a win", "http://a/?l=${AUCTION_LOSS}", won, "http://a/?l=0"],
  ["least price that wins", "${AUCTION_MIN_TO_WIN}", lost, "1.234501"],
  [
    "ids, fit for an address",
    "${AUCTION_ID},${AUCTION_BID_ID},${AUCTION_IMP_ID}",
    won,
    "r%2F1,b%201,2",
  ],
  ["names", "${AUCTION_SEAT_ID},${AUCTION_AD_ID},${AUCTION_CURRENCY}", won, "s,a,USD"],
  ["an encoding that nobody agreed on", "${AUCTION_PRICE:B64}", won, "1.2345"],
  ["an unknown one: nothing", "x${AUCTION_WEATHER}y${OTHER}z", won, "xyz"],
  ["none", "http://a/?p=1", won, "http://a/?p=1"],
])("macros are replaced: %s", (_name, url, values, filled) => {
  expect(fillMacros(url, values)).toBe(filled);
});
