// The demo's campaigns against the default exchange's traffic, in virtual time.
// Owns: one auction after the other, without HTTP and without a grid; each notice arrives when an
// exchange would send it.
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { BidInput, BidReply } from "../../src/bidding-demo/bid-command.ts";
import { matchRequest } from "../../src/bidding-demo/bid-matching.ts";
import { CampaignIndex } from "../../src/bidding-demo/campaign-index.ts";
import {
  demoCampaignsFile,
  loadCampaigns,
  resolveCampaign,
  type Campaign,
} from "../../src/bidding-demo/campaign.ts";
import { seededMarket } from "../../src/bidding-demo/exchange/market.ts";
import { readBidRequest } from "../../src/bidding-demo/openrtb.ts";
import { readBidId } from "../../src/bidding-demo/reservations.ts";
import { purses } from "../../src/bidding-demo/spaces.ts";
import { FakePartition } from "./fake-transaction.ts";
import { application } from "./fixtures.ts";

export class DemoMarket {
  readonly campaigns: readonly Campaign[];
  bids = 0;
  impressions = 0;
  readonly #partitions: FakePartition[];
  readonly #index: CampaignIndex;
  readonly #source;
  readonly #startMs: number;
  readonly #random = seededRandom(1);
  readonly #billings: { partition: FakePartition; input: BillingInput; atMs: number }[] = [];
  #number = 0;

  constructor(seed: number, partitions: number) {
    const declared = unwrap(loadCampaigns(demoCampaignsFile));
    this.campaigns = declared.map(resolveCampaign);
    this.#index = new CampaignIndex(this.campaigns);
    const demo = application(declared, partitions);
    this.#partitions = Array.from(
      { length: partitions },
      (_, partition) => new FakePartition(demo, partition),
    );
    this.#startMs = must(this.#partitions[0], "partition").timeMs;
    this.#source = seededMarket(seed);
  }

  /** Runs one second of traffic at an even rate. */
  second(requests: number): void {
    const second = Math.floor(this.#number / requests);
    for (let request = 0; request < requests; request++) {
      this.#request(this.#startMs + second * 1000 + Math.floor((request * 1000) / requests));
    }
  }

  /** Campaigns that spent the share of their budget. */
  spent(share: number): string[] {
    return this.campaigns
      .filter(({ id, budgetMicros }) => this.spentMicros(id) >= budgetMicros * share)
      .map(({ id }) => id);
  }

  spentMicros(campaignId: string): number {
    let sum = 0;
    for (const partition of this.#partitions) {
      for (const purse of partition.entries(purses).values()) {
        if (purse.campaignId === campaignId) sum += purse.spentMicros;
      }
    }
    return sum;
  }

  #request(timeMs: number): void {
    for (const partition of this.#partitions) partition.timeMs = timeMs;
    this.#bill(timeMs);
    const auction = this.#source.request(this.#number++);
    const request = must(readBidRequest(JSON.parse(auction.body)), "the exchange is valid");
    const match = matchRequest(request, this.#index, this.#random);
    if (typeof match === "string") return;
    const partition = this.#ownerOf(match.input);
    const reply = partition.run("bid", match.input).reply as BidReply;
    if (typeof reply === "string") return;
    for (const [place, , priceMicros, bidId] of reply) {
      this.bids += 1;
      const { run, ordinal } = must(readBidId(bidId), "bid id");
      const sold = must(
        auction.impressions.find(({ id }) => id === match.impressions[place]?.id),
        "impression",
      );
      const input = { route: "", kind: "loss" as const, run, ordinal, priceMicros: 0 };
      if (priceMicros * 1000 <= sold.competingNanos) {
        partition.run("notice", input);
        continue;
      }
      this.impressions += 1;
      const clearing = Math.round(Math.max(sold.floorNanos, sold.competingNanos) / 1000);
      this.#billings.push({
        partition,
        input: { ...input, kind: "billing", priceMicros: clearing },
        atMs: timeMs + auction.renderDelayMs,
      });
    }
  }

  #bill(timeMs: number): void {
    for (let at = this.#billings.length - 1; at >= 0; at--) {
      const billing = must(this.#billings[at], "billing");
      if (billing.atMs > timeMs) continue;
      billing.partition.run("notice", billing.input);
      this.#billings.splice(at, 1);
    }
  }

  #ownerOf(input: BidInput): FakePartition {
    const partition = partitionOf(input.route, this.#partitions.length);
    return must(this.#partitions[partition], "owner");
  }
}

interface BillingInput {
  readonly route: string;
  readonly kind: "billing";
  readonly run: string;
  readonly ordinal: number;
  readonly priceMicros: number;
  readonly [name: string]: string | number;
}
