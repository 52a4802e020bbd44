// Micro matching: reading a request of OpenRTB, and finding the campaigns that fit it, beside few
// others and beside many. Owns: the operations. Does not own: how they are measured.
import { assert, must } from "../src/base/assert.ts";
import { seededRandom } from "../src/base/random.ts";
import { parseBody } from "../src/bidding-demo/bid-body.ts";
import { matchRequest } from "../src/bidding-demo/bid-matching.ts";
import { CampaignIndex } from "../src/bidding-demo/campaign-index.ts";
import { readBidRequest, type BidRequest } from "../src/bidding-demo/openrtb.ts";
import {
  fittingCampaigns,
  fittingIds,
  microCampaigns,
  microRequest,
  microSeed,
} from "./micro-bids.ts";
import { countRight, type MicroGroup, type MicroOperation } from "./micro-operation.ts";

const requests = 256;

/** How many campaigns each of two indexes has. */
export interface MatchingSizes {
  readonly few: number;
  readonly many: number;
}

/** What is measured beside few campaigns and beside many. */
export const matchings = ["match a request that twenty fit", "match a request that none fits"];

export function matchingName(matching: string, campaigns: number): string {
  return `${matching}, of ${campaigns.toLocaleString("en")} campaigns`;
}

export function matchingGroup(sizes: MatchingSizes): MicroGroup {
  // What a process makes first is dearer to read, by a fifth: never those that look good by it.
  const many = makeIndex(sizes.many);
  const made = [makeIndex(sizes.few), many];
  const operations = [
    readRequests(),
    ...made.flatMap((index) => [matchFitting(index), matchNone(index)]),
  ];
  const factOf = ({ count, bytesEach }: MadeIndex) => {
    return [`index of ${count.toLocaleString("en")} campaigns, bytes a campaign`, bytesEach];
  };
  return { operations, facts: Object.fromEntries(made.map(factOf)) as Record<string, number> };
}

interface MadeIndex {
  readonly count: number;
  readonly index: CampaignIndex;
  /** What must be found, in this order. */
  readonly fitting: readonly string[];
  readonly bytesEach: number;
}

function makeIndex(count: number): MadeIndex {
  const campaigns = microCampaigns(count);
  const fitting = fittingIds(campaigns);
  const before = usedBytes();
  const index = new CampaignIndex(campaigns);
  const bytesEach = Math.round((usedBytes() - before) / count);
  return { count, index, fitting, bytesEach };
}

function usedBytes(): number {
  const collect = must(globalThis.gc, "started with --expose-gc");
  collect();
  return process.memoryUsage().heapUsed;
}

function bodies(isFit: boolean): string[] {
  return Array.from({ length: requests }, (_, number) => microRequest(number, isFit));
}

function read(body: string): BidRequest {
  return must(readBidRequest(parseBody(body)), "the request is valid");
}

function readRequests(): MicroOperation {
  const texts = bodies(true);
  return {
    name: "OpenRTB: parse and validate a request of 1 kB",
    check() {
      const parsed = texts.map((text) => JSON.stringify(read(text)));
      assert(parsed.join() === texts.join(), "nothing is lost");
      assert(readBidRequest(parseBody("{}")) === null, "and what is none is refused");
      return parsed.join();
    },
    run: (calls) =>
      countRight(calls, (call) => {
        return read(texts[call % requests] ?? "").imp.length === 1;
      }),
  };
}

function matchFitting({ count, index, fitting }: MadeIndex): MicroOperation {
  const parsed = bodies(true).map(read);
  const random = seededRandom(microSeed);
  const match = (at: number) => {
    const matched = matchRequest(must(parsed[at], "a request"), index, random);
    return typeof matched === "string" ? [] : (matched.input.impressions[0]?.candidates ?? []);
  };
  return {
    name: matchingName(must(matchings[0], "the first"), count),
    check() {
      for (let at = 0; at < requests; at++) {
        assert(match(at).join() === fitting.join(), "all that fit, those that bid most first");
      }
      return fitting.join();
    },
    run: (calls) => countRight(calls, (call) => match(call % requests).length === fittingCampaigns),
  };
}

function matchNone({ count, index }: MadeIndex): MicroOperation {
  const parsed = bodies(false).map(read);
  const random = seededRandom(microSeed);
  const match = (at: number) => matchRequest(must(parsed[at], "a request"), index, random);
  return {
    name: matchingName(must(matchings[1], "the second"), count),
    check() {
      for (let at = 0; at < requests; at++) assert(match(at) === "unmatched", "no campaign fits");
      return "unmatched";
    },
    run: (calls) => countRight(calls, (call) => match(call % requests) === "unmatched"),
  };
}
