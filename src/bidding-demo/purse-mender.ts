// Purse mender: the money of all campaigns, when a grid is rebuilt from its database.
// Owns: what becomes of purses. Does not own: reading them back (data-pump).
// Reservations do not come back: what they held may have been spent, so it is written off. What is
// spent is split anew over all partitions, as shares are: then every purse has room again as long
// as the campaign has, whatever number of partitions the new grid has.
// Invariants (docs/invariants.md):
//   B1. spent + written off ≤ share in every purse, where it is so for the campaign.
//   B5. Spent money stays spent, to the micro, and what was reserved is never reserved again.
import type { Mender, RebuiltEntry } from "../data-pump/mender.ts";
import { shareOf } from "./money.ts";
import { purseKeyOf, writtenOffMicros } from "./purse.ts";
import { purses, type Purse } from "./spaces.ts";

interface Sums {
  shareMicros: number;
  spentMicros: number;
  writtenOffMicros: number;
}

/** Budgets by campaign, in micros; a campaign that is not there any more keeps what it had. */
export function purseMender(budgets: ReadonlyMap<string, number>, partitions: number): Mender {
  const sums = new Map<string, Sums>();
  return {
    mend(entry) {
      if (entry.space !== purses.name) return entry;
      const purse = entry.value as Purse;
      const sum = sums.get(purse.campaignId) ?? noMoney();
      sum.shareMicros += purse.shareMicros;
      sum.spentMicros += purse.spentMicros;
      sum.writtenOffMicros += purse.reservedMicros + writtenOffMicros(purse);
      sums.set(purse.campaignId, sum);
      return null; // it comes back below
    },
    *rest() {
      for (const [campaignId, sum] of sums) {
        const budgetMicros = budgets.get(campaignId) ?? sum.shareMicros;
        for (let partition = 0; partition < partitions; partition++) {
          yield purseEntry(campaignId, partition, partitions, {
            ...sum,
            shareMicros: budgetMicros,
          });
        }
      }
    },
  };
}

function noMoney(): Sums {
  return { shareMicros: 0, spentMicros: 0, writtenOffMicros: 0 };
}

function purseEntry(
  campaignId: string,
  partition: number,
  partitions: number,
  sums: Sums,
): RebuiltEntry {
  const part = (micros: number) => shareOf(micros, partitions, partition);
  const spentMicros = part(sums.spentMicros);
  const value = {
    campaignId,
    partition,
    shareMicros: part(sums.shareMicros),
    reservedMicros: 0,
    spentMicros,
    // Not a part of it alone: rounded together, both fit the share where the sums fit the budget.
    writtenOffMicros: part(sums.spentMicros + sums.writtenOffMicros) - spentMicros,
  } satisfies Purse;
  return { space: purses.name, key: purseKeyOf(campaignId, partition), value };
}
