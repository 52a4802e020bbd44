// Demo status: what the bidding demo says of itself, by lane and added up.
// Owns: the counts and sums, their shapes, and how lanes' parts become one.
// Does not own: when they are asked for (the edge hooks of bidder-edge.ts).
import type { Value } from "../grid/log-record.ts";
import type { EdgeContext } from "../processing-units/edge-context.ts";
import type { Campaign } from "./campaign.ts";
import { purses } from "./spaces.ts";

/** Requests by their answer. `shed`: no time or no room, answered 204 as fast as could be. */
export type Answers = Record<"bid" | "noBid" | "invalid" | "shed" | "error", number>;
/** Answers `noBid`, by the reason. */
export type NoBids = Record<"policy" | "unmatched" | "frequency" | "budget" | "floor", number>;
/** Notices by what they did. `refused`: not authentic, unreadable, or too late. */
export type Notices = Record<"won" | "billed" | "lost" | "duplicate" | "refused", number>;

/** Counts of one lane since it started. */
export type LaneCounts = {
  readonly answers: Answers;
  readonly noBids: NoBids;
  readonly notices: Notices;
};

/** Sums over the partitions that a lane owns now. */
export type CampaignSums = {
  readonly id: string;
  readonly name: string;
  readonly budgetMicros: number;
  readonly spentMicros: number;
  readonly reservedMicros: number;
};

export type DemoLaneStatus = LaneCounts & { readonly campaigns: readonly CampaignSums[] };

export interface CampaignStatus extends CampaignSums {
  /** Spent but for a rest that is less than an average impression in each purse. */
  readonly exhausted: boolean;
}

/** The whole unit. */
export interface DemoStatus extends LaneCounts {
  readonly campaigns: readonly CampaignStatus[];
}

const exhaustedFrom = 0.95;

export function newCounts(): LaneCounts {
  return {
    answers: { bid: 0, noBid: 0, invalid: 0, shed: 0, error: 0 },
    noBids: { policy: 0, unmatched: 0, frequency: 0, budget: 0, floor: 0 },
    notices: { won: 0, billed: 0, lost: 0, duplicate: 0, refused: 0 },
  };
}

/** A lane's part, in the form in which `mergeStatus` reads it. */
export function laneStatus(
  counts: LaneCounts,
  campaigns: readonly Campaign[],
  context: Pick<EdgeContext, "entries">,
): DemoLaneStatus {
  const sums = new Map<string, { spentMicros: number; reservedMicros: number }>();
  for (const [, purse] of context.entries(purses)) {
    const sum = sums.get(purse.campaignId) ?? { spentMicros: 0, reservedMicros: 0 };
    sum.spentMicros += purse.spentMicros;
    sum.reservedMicros += purse.reservedMicros;
    sums.set(purse.campaignId, sum);
  }
  return {
    answers: { ...counts.answers },
    noBids: { ...counts.noBids },
    notices: { ...counts.notices },
    campaigns: campaigns.map(({ id, name, budgetMicros }) => {
      const { spentMicros = 0, reservedMicros = 0 } = sums.get(id) ?? {};
      return { id, name, budgetMicros, spentMicros, reservedMicros };
    }),
  };
}

/** Adds up what the `status` hooks of a unit's lanes gave. */
export function mergeStatus(lanes: readonly Value[]): DemoStatus {
  const total = newCounts();
  const campaigns = new Map<string, CampaignSums>();
  // The lanes run this application: their status is what `laneStatus` made.
  for (const lane of lanes as readonly DemoLaneStatus[]) {
    add(total.answers, lane.answers);
    add(total.noBids, lane.noBids);
    add(total.notices, lane.notices);
    for (const sums of lane.campaigns) {
      const before = campaigns.get(sums.id);
      campaigns.set(sums.id, {
        ...sums,
        spentMicros: sums.spentMicros + (before?.spentMicros ?? 0),
        reservedMicros: sums.reservedMicros + (before?.reservedMicros ?? 0),
      });
    }
  }
  const all = [...campaigns.values()].map((sums) => ({
    ...sums,
    exhausted: sums.spentMicros >= sums.budgetMicros * exhaustedFrom,
  }));
  return { ...total, campaigns: all };
}

function add<K extends string>(total: Record<K, number>, part: Readonly<Record<K, number>>): void {
  for (const name of Object.keys(total) as K[]) total[name] += part[name];
}
