// Purse: the money of one campaign in one partition.
// Owns: what is reserved and spent, and that it stays within the share. Does not own: which bid
// holds how much (reservations.ts).
// Invariants (docs/invariants.md):
//   B1. reserved + spent ≤ share, reserved ≥ 0. Asserted in `reserve` and `settle`.
import { assert, must } from "../base/assert.ts";
import type { Transaction } from "../processing-units/application.ts";
import type { Campaign } from "./campaign.ts";
import { shareOf } from "./money.ts";
import { purses, type Purse } from "./spaces.ts";

/** The campaign's purse in the transaction's partition; its share follows the campaign's budget. */
export function purseOf(tx: Transaction, campaign: Campaign, partitions: number): Purse {
  const shareMicros = shareOf(campaign.budgetMicros, partitions, tx.partition);
  const purse = tx.get(purses, purseKey(tx, campaign.id));
  if (purse?.shareMicros === shareMicros) return purse;
  return {
    campaignId: campaign.id,
    partition: tx.partition,
    shareMicros,
    reservedMicros: purse?.reservedMicros ?? 0,
    spentMicros: purse?.spentMicros ?? 0,
  };
}

/** What may still be reserved; below zero where the budget was made smaller than what is out. */
export function idleMicros({ shareMicros, reservedMicros, spentMicros }: Purse): number {
  return shareMicros - reservedMicros - spentMicros;
}

/** Sets `micros` aside; there must be as much idle. */
export function reserve(tx: Transaction, purse: Purse, micros: number): void {
  assert(micros > 0 && micros <= idleMicros(purse), () => `reserve ${micros} of ${show(purse)}`);
  put(tx, { ...purse, reservedMicros: purse.reservedMicros + micros });
}

/** Frees a reservation of `reservedMicros`, of which `paidMicros` are spent. */
export function settle(
  tx: Transaction,
  campaignId: string,
  reservedMicros: number,
  paidMicros: number,
): void {
  const purse = must(tx.get(purses, purseKey(tx, campaignId)), "a reservation has a purse");
  assert(
    paidMicros >= 0 && paidMicros <= reservedMicros && reservedMicros <= purse.reservedMicros,
    () => `settle ${reservedMicros} for ${paidMicros} of ${show(purse)}`,
  );
  put(tx, {
    ...purse,
    reservedMicros: purse.reservedMicros - reservedMicros,
    spentMicros: purse.spentMicros + paidMicros,
  });
}

function put(tx: Transaction, purse: Purse): void {
  tx.put(purses, purseKey(tx, purse.campaignId), purse);
}

function purseKey(tx: Transaction, campaignId: string): string {
  return `${campaignId}@${tx.partition}`;
}

function show(purse: Purse): string {
  return JSON.stringify(purse);
}
