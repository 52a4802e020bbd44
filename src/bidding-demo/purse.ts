// Purse: the money of one campaign in one partition.
// Owns: what is reserved and spent, and that it stays within the share. Does not own: which bid
// holds how much (reservations.ts).
// Invariants (docs/invariants.md):
//   B1. reserved + spent + written off ≤ share, reserved ≥ 0. Asserted in `reserve` and `settle`.
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
  if (purse !== undefined) return { ...purse, shareMicros };
  const { id: campaignId } = campaign;
  const nothing = { reservedMicros: 0, spentMicros: 0 };
  return { campaignId, partition: tx.partition, shareMicros, ...nothing };
}

/** What may still be reserved; below zero where the budget was made smaller than what is out. */
export function idleMicros(purse: Purse): number {
  return purse.shareMicros - purse.reservedMicros - purse.spentMicros - writtenOffMicros(purse);
}

/** What bids of a lost grid held. */
export function writtenOffMicros(purse: Purse): number {
  return purse.writtenOffMicros ?? 0;
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
  return purseKeyOf(campaignId, tx.partition);
}

/** The key of a campaign's purse. */
export function purseKeyOf(campaignId: string, partition: number): string {
  return `${campaignId}@${partition}`;
}

function show(purse: Purse): string {
  return JSON.stringify(purse);
}
