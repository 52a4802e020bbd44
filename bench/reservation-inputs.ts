// Reservation inputs: the bid inputs that all candidates of `reservations` get, in the same order.
// Owns: campaigns whose bids are always made, the inputs, what a candidate must be able to do.
// Does not own: candidates (lane-reserver.ts, direct-reserver.ts), the load (closed-loop.ts).
//
// The inputs are what the bid route would submit for the exchange's made-up traffic, except for
// requests without a user, with two impressions, or with a floor above all bids. The campaigns are
// the demo's, with a budget that does not end and a cap that is not reached: each bid of each
// candidate counts for its user, holds money and is kept, and none is refused.
import { limits } from "../src/base/limits.ts";
import { must } from "../src/base/assert.ts";
import { unwrap } from "../src/base/failure.ts";
import { seededRandom } from "../src/base/random.ts";
import type { BidInput } from "../src/bidding-demo/bid-command.ts";
import { parseBody } from "../src/bidding-demo/bid-body.ts";
import { matchRequest } from "../src/bidding-demo/bid-matching.ts";
import { CampaignIndex } from "../src/bidding-demo/campaign-index.ts";
import {
  demoCampaignsFile,
  loadCampaigns,
  resolveCampaign,
  type Campaign,
  type CampaignDeclaration,
} from "../src/bidding-demo/campaign.ts";
import { seededMarket } from "../src/bidding-demo/exchange/market.ts";
import { readBidRequest } from "../src/bidding-demo/openrtb.ts";

/** Those of a new grid. */
export const partitions = limits.partitionsDefault;

/** What was reserved, as its store has it; null where a candidate keeps no such thing. */
export interface Recount {
  readonly reservations: number | null;
  /** Money held by all purses. */
  readonly heldMicros: number;
  /** Bids counted for users. */
  readonly pending: number | null;
}

export interface ReserverCounts {
  /** Records of a log and their bytes; 0 where there is none. */
  readonly records: number;
  readonly recordBytes: number;
  /** Writes that found another value than the one that was read. */
  readonly racesLost: number;
}

/** Something that reserves, in this process. */
export interface Reserver {
  /** Answers once, later: with the price reserved in micros, or with what came instead of a bid. */
  bid(input: BidInput, answer: (priceMicros: number | string) => void): void;
  counts(): ReserverCounts;
  /** Counts again what is kept, without what was counted before. Nothing may be under way. */
  recount(): Promise<Recount>;
  close(): Promise<void>;
}

const budgetDollars = 1_000_000_000;
const cap = { impressions: 50, windowSeconds: 3600 };
const marketSeed = 7;

export function reservationCampaigns(): CampaignDeclaration[] {
  return unwrap(loadCampaigns(demoCampaignsFile)).map((campaign) => ({
    ...campaign,
    budget: budgetDollars,
    frequencyCap: cap,
  }));
}

/** Inputs without end: those given, then the same ones again, of other users each time. */
export class BidInputs {
  readonly #inputs: readonly BidInput[];
  #given = 0;

  constructor(inputs: readonly BidInput[]) {
    this.#inputs = inputs;
  }

  next(): BidInput {
    const { length } = this.#inputs;
    const number = this.#given++;
    const input = must(this.#inputs[number % length], "there are inputs");
    const again = Math.floor(number / length);
    if (again === 0) return input;
    const user = `${input.route}~${String(again)}`;
    return { ...input, user, route: user };
  }
}

/** The first `count` inputs of the made-up traffic that get a bid: always the same ones. */
export function drawInputs(count: number): BidInput[] {
  const campaigns = reservationCampaigns().map(resolveCampaign);
  const byId = new Map(campaigns.map((campaign) => [campaign.id, campaign]));
  const index = new CampaignIndex(campaigns);
  const market = seededMarket(marketSeed);
  const random = seededRandom(marketSeed);
  const inputs: BidInput[] = [];
  for (let number = 0; inputs.length < count; number++) {
    const request = readBidRequest(parseBody(market.request(number).body));
    const match = matchRequest(must(request, "made-up requests are valid"), index, random);
    if (typeof match !== "string" && getsOneBid(match.input, byId)) inputs.push(match.input);
  }
  return inputs;
}

function getsOneBid(
  { user, impressions }: BidInput,
  campaigns: ReadonlyMap<string, Campaign>,
): boolean {
  const [wanted] = impressions;
  if (user === null || wanted === undefined || impressions.length > 1) return false;
  return wanted.candidates.some((id) => {
    return (campaigns.get(id)?.bidMicros ?? 0) >= wanted.floorMicros;
  });
}
