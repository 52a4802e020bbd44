// Goal: an answer is read as OpenRTB says, and refused where it cannot be one. Method: tables.
import { expect, test } from "vitest";
import { unwrap } from "../../../src/base/failure.ts";
import type { AuctionRequest } from "../../../src/bidding-demo/exchange/auction-request.ts";
import { readBidResponse } from "../../../src/bidding-demo/exchange/bid-response.ts";

const request: AuctionRequest = {
  id: "r1",
  body: "",
  tmaxMs: 100,
  auctionType: 2,
  test: false,
  impressions: [{ id: "1", floorNanos: 0, competingNanos: 0 }],
  renderDelayMs: 0,
  billsTwice: false,
};

function response(bid: object, over: object = {}): string {
  const whole = { id: "r1", cur: "USD", seatbid: [{ seat: "s", bid: [bid] }], ...over };
  return JSON.stringify(whole);
}

const bid = { id: "b1", impid: "1", price: 2.5, cid: "c1", adid: "a1", nurl: "http://h/n?p=${X}" };

test("a bid is read with its price exact, and what it leaves out is empty", () => {
  expect(unwrap(readBidResponse(response(bid), request)).bids).toEqual([
    {
      id: "b1",
      impressionId: "1",
      priceNanos: 2_500_000,
      seat: "s",
      campaignId: "c1",
      adId: "a1",
      nurl: "http://h/n?p=${X}",
      burl: "",
      lurl: "",
    },
  ]);
});

test.each([
  ["{}", null],
  ['{"id":"r1","seatbid":[]}', null],
  ['{"id":"r1","seatbid":[{"bid":[]}]}', null],
  ['{"id":"r1","nbr":15}', 15],
])("no bid is said in several ways: %s", (body, noBidReason) => {
  expect(unwrap(readBidResponse(body, request))).toEqual({ bids: [], noBidReason });
});

test.each([
  ["not JSON", "<html>"],
  ["not an object", "[]"],
  ["null", "null"],
  ["seatbid no list", '{"id":"r1","seatbid":{}}'],
  ["a seat without bids", '{"id":"r1","seatbid":[{}]}'],
  ["a bid that is none", '{"id":"r1","seatbid":[{"bid":[7]}]}'],
  ["another request's id", response(bid, { id: "r2" })],
  ["another currency", response(bid, { cur: "EUR" })],
  ["no bid id", response({ ...bid, id: undefined })],
  ["another impression", response({ ...bid, impid: "2" })],
  ["a price as text", response({ ...bid, price: "2.5" })],
  ["a price below nothing", response({ ...bid, price: -1 })],
  ["an address that is none", response({ ...bid, burl: "javascript:alert(1)" })],
  ["an address with a line end", response({ ...bid, burl: "http://h/\r\nx: y" })],
])("what is no bid response is malformed: %s", (_name, body) => {
  expect(readBidResponse(body, request)).toMatchObject({ failure: { code: "RESPONSE_MALFORMED" } });
});
