// Rivals plan: the reservations that every rival is asked for, always the same ones in the same
// order, and what a rival must be able to do.
// Owns: campaigns, budgets, the cap, the seeded plan. Does not own: rivals, the load
// (rivals-loop.ts), the verdict over what was kept (rivals-audit.ts).
//
// A reservation is asked for a user and a campaign. It is made where the user has fewer than
// `capMax` of that campaign and the campaign's budget still holds the price; then the price is
// taken, the user's count goes up, and a record of it is kept: all of it or nothing.
// Most campaigns have a budget without end. A few have one that is gone soon, and a few users ask
// so often that they are at their cap soon: both are refused from then on, so a rival that
// overspends or overshows has occasion to.
import { must } from "../src/base/assert.ts";
import { limits } from "../src/base/limits.ts";
import { seededRandom, type Random } from "../src/base/random.ts";

/** Those of a new grid. */
export const partitions = limits.partitionsDefault;
/** Reservations that one user may have of one campaign. */
export const capMax = 3;

/** `spread`: a hundred campaigns. `hot`: one campaign gets nearly everything. */
export type Shape = "spread" | "hot";

export interface RivalCampaign {
  readonly id: string;
  readonly priceMicros: number;
  readonly budgetMicros: number;
}

/** One reservation that is asked for. */
export interface Wanted {
  /** A name that no other one has. */
  readonly id: string;
  readonly user: string;
  readonly campaign: RivalCampaign;
}

/** What is answered where nothing went wrong. */
export type Verdict = "reserved" | "over cap" | "over budget";

/** A reservation as it is kept. */
export interface Kept {
  readonly id: string;
  readonly user: string;
  readonly campaign: string;
  readonly priceMicros: number;
}

/** Everything that a rival keeps, read from its own data. */
export interface Books {
  readonly reservations: readonly Kept[];
  /** Of each campaign's budget, what is gone; a campaign that is not in it has spent nothing. */
  readonly spentMicros: ReadonlyMap<string, number>;
}

export interface ReserverCounts {
  /** Records of a log and their bytes; 0 where there is none. */
  readonly records: number;
  readonly recordBytes: number;
  /** Writes that found another value than the one that was read. */
  readonly racesLost: number;
}

/** Something that reserves, asked from this process. */
export interface Reserver {
  /** Answers once, later: with a verdict, or with an error. */
  reserve(wanted: Wanted, answer: (verdict: Verdict | Error) => void): void;
  /** The least that its connections can carry: PING, SELECT 1. Null: there is no such thing. */
  readonly raw: ((answer: (error: Error | null) => void) => void) | null;
  counts(): ReserverCounts;
  /** Reads what is kept, without what was counted before. Nothing may be under way. */
  books(): Promise<Books>;
  close(): Promise<void>;
}

export const planSeed = 7;
const endlessMicros = 1_000_000_000_000;
/** Reservations that a small budget pays for: two for each partition that has a share of it. */
const smallBudgetPays = 2 * partitions;
const smallCampaigns = 4;
const largeCampaigns: Readonly<Record<Shape, number>> = { spread: 96, hot: 1 };
const heavyUsers = 4;
/** Campaigns for which heavy users ask. */
const heavyCampaignsMax = 4;
const smallShare = 0.1;
const heavyShare = 0.05;
const usersMax = 1_000_000;

export function campaignsOf(shape: Shape): RivalCampaign[] {
  const large = Array.from({ length: largeCampaigns[shape] }, (_, index) => {
    return { id: `large-${String(index)}`, priceMicros: price(index), budgetMicros: endlessMicros };
  });
  const small = Array.from({ length: smallCampaigns }, (_, index) => {
    const priceMicros = price(index);
    // The rest pays for nothing: whoever goes below it by one micro has overspent.
    const budgetMicros = smallBudgetPays * priceMicros + (priceMicros >> 1);
    return { id: `small-${String(index)}`, priceMicros, budgetMicros };
  });
  return [...large, ...small];
}

function price(index: number): number {
  return 1000 + 37 * index;
}

/**
 * Without end: `differentInputs` drawn ones, then the same again, of other users each time. Heavy
 * users stay who they are.
 */
export class Plan {
  readonly #drawn: readonly Omit<Wanted, "id">[];
  #given = 0;

  constructor(shape: Shape, differentInputs: number) {
    const campaigns = campaignsOf(shape);
    const random = seededRandom(planSeed);
    this.#drawn = Array.from({ length: differentInputs }, () => draw(campaigns, random));
  }

  next(): Wanted {
    const { length } = this.#drawn;
    const number = this.#given++;
    const { user, campaign } = must(this.#drawn[number % length], "a plan has inputs");
    const again = Math.floor(number / length);
    const isSame = again === 0 || user.startsWith("heavy");
    const id = number.toString(36);
    return { id, user: isSame ? user : `${user}~${String(again)}`, campaign };
  }
}

function draw(campaigns: readonly RivalCampaign[], random: Random): Omit<Wanted, "id"> {
  const kind = random.fraction();
  const below = (count: number) => Math.floor(random.fraction() * count);
  const large = campaigns.length - smallCampaigns;
  const at = (index: number) => must(campaigns[index], "a campaign of the plan");
  if (kind < heavyShare) {
    const campaign = at(below(Math.min(large, heavyCampaignsMax)));
    return { user: `heavy-${String(below(heavyUsers))}`, campaign };
  }
  const user = `user-${String(below(usersMax))}`;
  if (kind < heavyShare + smallShare) return { user, campaign: at(large + below(smallCampaigns)) };
  return { user, campaign: at(below(large)) };
}
