// Simulated bidding: the demo's own application on a simulated cluster. Clients bid for a few
// users, with campaigns whose budgets run out, and send notices once, twice and wrongly.
// Owns: what clients do, the money that must add up at the end. Does not own: the demo
// (src/bidding-demo), when they do it (src/simulation).
import type { Random } from "../base/random.ts";
import biddingDemo from "../bidding-demo/application.ts";
import type { BidReply } from "../bidding-demo/bid-command.ts";
import type { CampaignDeclaration } from "../bidding-demo/campaign.ts";
import type { NoticeKind, NoticeReply } from "../bidding-demo/notice-command.ts";
import { PartitionRoutes } from "../bidding-demo/partition-routes.ts";
import { readBidId } from "../bidding-demo/reservations.ts";
import * as spaces from "../bidding-demo/spaces.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type {
  ClientOperation,
  ClusterWorkload,
  FinalView,
} from "../simulation/cluster-workload.ts";

const partitions = 6;
const users = 24;
const microsPerDollar = 1_000_000;

function campaign(id: string, bidCpm: number, budget: number): CampaignDeclaration {
  return {
    id,
    name: `Campaign ${id}`,
    advertiserDomain: "shop.example",
    categories: ["IAB22"],
    bidCpm,
    budget,
    creative: {
      headline: "Things, cheap",
      landingPage: "https://shop.example/things",
      sizes: ["300x250"],
    },
  };
}

/** Budgets for some hundred bids, for a few, and for crumbs. */
const campaigns: readonly CampaignDeclaration[] = [
  { ...campaign("large", 3, 1.5), frequencyCap: { impressions: 3, windowSeconds: 5 } },
  campaign("small", 2, 0.1),
  campaign("crumbs", 1.001, 0.00005),
];

type Settled = { readonly campaignId: string; readonly paidMicros: number };

export class BiddingWorkload implements ClusterWorkload {
  readonly name = "bidding";
  readonly application = biddingDemo({ campaigns, noticeKey: "5a".repeat(32), partitions });
  readonly partitions = partitions;
  readonly clients = 10;
  readonly thinkMs = 120;
  readonly #routes = new PartitionRoutes(partitions);
  /** Bids that were answered, and may be noticed. */
  readonly #made: { readonly bidId: string; readonly priceMicros: number }[] = [];
  #auctions = 0;

  next(_client: number, random: Random): ClientOperation {
    const about = random.chance(0.5) ? this.#made.at(-1 - random.below(20)) : undefined;
    if (about !== undefined) return this.#notice(about.bidId, about.priceMicros, random);
    return this.#bid(`user-${String(random.below(users))}`, random);
  }

  last(): ClientOperation[] {
    return Array.from({ length: partitions }, (_, partition) =>
      operation({ command: "sweep", key: this.#routes.to(partition), input: {} }),
    );
  }

  effectIn({ space, key, value }: Change): string | null {
    if (space === spaces.bids.name) return `bid ${(value as spaces.BidRow).auctionId}`;
    return space === spaces.settlements.name ? `end ${key}` : null;
  }

  /** B1, B2: money is in one place at a time. */
  problems(view: FinalView): string[] {
    const problems: string[] = [];
    const reserved = sums(view.entries(spaces.reservations.name), "priceMicros");
    const paid = sums(view.rows(spaces.settlements.name), "paidMicros");
    const inPurses = { reserved: new Map<string, number>(), spent: new Map<string, number>() };
    const shares = new Map<string, number>();
    for (const [key, entry] of view.entries(spaces.purses.name)) {
      const { campaignId, shareMicros, reservedMicros, spentMicros } = entry as spaces.Purse;
      if (reservedMicros + spentMicros > shareMicros || reservedMicros < 0) {
        problems.push(`purse ${key} holds ${JSON.stringify(entry)}`);
      }
      addTo(inPurses.reserved, campaignId, reservedMicros);
      addTo(inPurses.spent, campaignId, spentMicros);
      addTo(shares, campaignId, shareMicros);
    }
    for (const { id, budget } of campaigns) {
      const differ = (what: string, one: Map<string, number>, other: Map<string, number>) => {
        const [left, right] = [one.get(id) ?? 0, other.get(id) ?? 0];
        if (left !== right) problems.push(`${id}: ${what} ${String(left)}, not ${String(right)}`);
      };
      differ("purses hold reserved", inPurses.reserved, reserved);
      differ("purses say spent", inPurses.spent, paid);
      const budgetMicros = Math.round(budget * microsPerDollar);
      if ((shares.get(id) ?? 0) > budgetMicros) problems.push(`${id}: more shares than budget`);
    }
    return problems;
  }

  #bid(user: string, random: Random): ClientOperation {
    const auctionId = `a${String(++this.#auctions)}`;
    const candidates = campaigns.map(({ id }) => id);
    const impressions = [{ id: "1", floorMicros: random.pick([0, 900, 2500]), candidates }];
    const input = { user, auctionId, siteDomain: null, test: false, impressions };
    const effect = `bid ${auctionId}`;
    return operation({
      command: "bid",
      key: user,
      input,
      effect,
      effectOf: (answer) => (typeof (answer as BidReply) === "string" ? null : effect),
      answered: (answer) => {
        const reply = answer as BidReply;
        if (typeof reply === "string") return;
        for (const [, , priceMicros, bidId] of reply) this.#made.push({ bidId, priceMicros });
      },
    });
  }

  #notice(bidId: string, bidMicros: number, random: Random): ClientOperation {
    const { partition, run, ordinal } = readBidId(bidId) ?? { partition: 0, run: "", ordinal: 0 };
    const kind = random.pick<NoticeKind>(["win", "billing", "billing", "loss"]);
    const priceMicros = random.pick([bidMicros, Math.floor(bidMicros / 2), bidMicros * 3]);
    return operation({
      command: "notice",
      key: this.#routes.to(partition),
      input: { kind, run, ordinal, priceMicros },
      effectOf(answer) {
        const reply = answer as NoticeReply;
        return reply === "billed" || reply === "lost" ? `end ${bidId}` : null;
      },
    });
  }
}

interface Asked {
  readonly command: string;
  /** The route, which is part of the input. */
  readonly key: string;
  readonly input: { readonly [name: string]: Value };
  readonly effect?: string;
  readonly effectOf?: (answer: Value) => string | null;
  readonly answered?: (answer: Value) => void;
}

function operation({ command, key, input, effect, effectOf, answered }: Asked): ClientOperation {
  return {
    command,
    key,
    input: { ...input, route: key },
    read: "local", // as the demo asks
    changes: true,
    effect: effect ?? null,
    effectOf: effectOf ?? (() => null),
    shownBy: () => [],
    ended(end) {
      if (end.kind === "answered" && end.acknowledged) answered?.(end.answer);
    },
  };
}

function addTo(sumsOf: Map<string, number>, name: string, amount: number): void {
  sumsOf.set(name, (sumsOf.get(name) ?? 0) + amount);
}

/** The sum of a field of each campaign's rows. */
function sums(
  rows: Iterable<readonly [string, Value]>,
  field: "priceMicros" | "paidMicros",
): Map<string, number> {
  const total = new Map<string, number>();
  for (const [, row] of rows) {
    const fields = row as Partial<Settled & spaces.Reservation>;
    addTo(total, fields.campaignId ?? "", fields[field] ?? 0);
  }
  return total;
}
