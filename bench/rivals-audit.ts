// Rivals audit: whether what a rival kept is what it may have kept.
// Owns: the counting of overspend, of users above their cap, of money that is not accounted for.
// Does not own: reading a rival's data (each rival's `books`). Pure: nobody's own count is asked.
import { capMax, type Books, type RivalCampaign } from "./rivals-plan.ts";

export interface Audit {
  readonly reservations: number;
  /** What the reservations of all campaigns cost beyond the campaigns' budgets. */
  readonly overspentMicros: number;
  /** Reservations of users beyond their cap. */
  readonly overCap: number;
  /**
   * Campaign by campaign, how far the money that is gone differs from what the reservations cost:
   * updates that were lost, or money held for nothing.
   */
  readonly unaccountedMicros: number;
  /** Names that more than one reservation has. */
  readonly twice: number;
}

export function audit(campaigns: readonly RivalCampaign[], books: Books): Audit {
  const cost = new Map<string, number>();
  const counts = new Map<string, number>();
  const ids = new Set<string>();
  for (const { id, user, campaign, priceMicros } of books.reservations) {
    ids.add(id);
    cost.set(campaign, (cost.get(campaign) ?? 0) + priceMicros);
    const seen = `${campaign}|${user}`;
    counts.set(seen, (counts.get(seen) ?? 0) + 1);
  }
  let overspentMicros = 0;
  let unaccountedMicros = 0;
  for (const { id, budgetMicros } of campaigns) {
    const costMicros = cost.get(id) ?? 0;
    overspentMicros += Math.max(0, costMicros - budgetMicros);
    unaccountedMicros += Math.abs((books.spentMicros.get(id) ?? 0) - costMicros);
  }
  let overCap = 0;
  for (const count of counts.values()) overCap += Math.max(0, count - capMax);
  return {
    reservations: books.reservations.length,
    ...{ overspentMicros, overCap, unaccountedMicros },
    twice: books.reservations.length - ids.size,
  };
}
