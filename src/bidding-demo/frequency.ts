// Frequency: how often one user sees one campaign within the window of its cap.
// Owns: the counting. Does not own: who the user is (bid-filter.ts).
// Invariants (docs/invariants.md):
//   B3. In no window does a user see more impressions than the cap allows. A bid that is
//       outstanding counts as seen, because it may be; what was billed counts from its billing.
//   B4. What was billed is forgotten when its window has passed.
import { hash } from "node:crypto";
import { must } from "../base/assert.ts";
import type { Transaction } from "../processing-units/application.ts";
import type { Campaign } from "./campaign.ts";
import { openQueue, queueKey } from "./queue.ts";
import { frequency, impressions, type Frequency } from "./spaces.ts";

const none: Frequency = { pending: 0, billedAtMs: [] };

/**
 * The name under which frequency knows a user: short, because each bid and each impression has
 * it. 66 bits of a hash: that two users share one, and its caps, will not happen in practice.
 */
export function viewerOf(user: string): string {
  return hash("sha256", user, "base64url").slice(0, 11);
}

/** Whether one more bid for the user could exceed the cap. */
export function capReached(tx: Transaction, campaign: Campaign, viewer: string | null): boolean {
  if (campaign.cap === null) return false;
  if (viewer === null) return true;
  const seen = tx.get(frequency, frequencyKey(campaign.id, viewer));
  if (seen === undefined) return false;
  const recent = within(seen.billedAtMs, tx.timeMs, campaign.cap.windowMs).length;
  return seen.pending + recent >= campaign.cap.impressions;
}

/** Counts a bid as it is made. */
export function countPending(tx: Transaction, campaignId: string, viewer: string): void {
  change(tx, campaignId, viewer, ({ pending, billedAtMs }) => ({
    pending: pending + 1,
    billedAtMs,
  }));
}

/** Uncounts a bid that was lost or expired. */
export function uncountPending(tx: Transaction, campaignId: string, viewer: string): void {
  change(tx, campaignId, viewer, ({ pending, billedAtMs }) => ({
    pending: pending - 1,
    billedAtMs,
  }));
}

/** A bid that was outstanding became an impression now. */
export function countBilled(tx: Transaction, campaignId: string, viewer: string): void {
  change(tx, campaignId, viewer, ({ pending, billedAtMs }) => ({
    pending: pending - 1,
    billedAtMs: [...billedAtMs, tx.timeMs],
  }));
  // Remembered, because this user may never come again, and nobody would look at the entry.
  const queue = openQueue(tx, "impressions");
  tx.put(impressions, queueKey(queue.next), { campaignId, viewer, billedAtMs: tx.timeMs });
  queue.next += 1;
  queue.save();
}

/**
 * Forgets up to `steps` impressions whose window has passed, oldest first. One with a longer
 * window lets those behind it wait.
 */
export function retireImpressions(
  tx: Transaction,
  campaigns: ReadonlyMap<string, Campaign>,
  steps: number,
): void {
  const queue = openQueue(tx, "impressions");
  for (let step = 0; step < steps && queue.done < queue.next; step++) {
    const key = queueKey(queue.done);
    const { campaignId, viewer, billedAtMs } = must(tx.get(impressions, key), "queued impression");
    // Without a cap any more nothing counts it.
    const windowMs = campaigns.get(campaignId)?.cap?.windowMs ?? 0;
    if (billedAtMs + windowMs > tx.timeMs) break;
    change(tx, campaignId, viewer, (seen) => ({
      pending: seen.pending,
      billedAtMs: within(seen.billedAtMs, tx.timeMs, windowMs),
    }));
    tx.delete(impressions, key);
    queue.done += 1;
  }
  queue.save();
}

function change(
  tx: Transaction,
  campaignId: string,
  viewer: string,
  next: (seen: Frequency) => Frequency,
): void {
  const key = frequencyKey(campaignId, viewer);
  const seen = next(tx.get(frequency, key) ?? none);
  if (seen.pending > 0 || seen.billedAtMs.length > 0) tx.put(frequency, key, seen);
  else tx.delete(frequency, key);
}

function within(timesMs: readonly number[], nowMs: number, windowMs: number): readonly number[] {
  const first = timesMs.findIndex((timeMs) => timeMs + windowMs > nowMs);
  if (first === 0) return timesMs;
  return first < 0 ? [] : timesMs.slice(first);
}

// No campaign's id has the separator in it.
function frequencyKey(campaignId: string, viewer: string): string {
  return `${campaignId}|${viewer}`;
}
