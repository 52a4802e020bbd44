// Assignment: which lane each partition should belong to, computed alike by everybody from the
// same roster. Why it begins with who owns what: docs/decisions, number 9.
// Owns: the arithmetic, and how long a lane that keeps joining is left out.
// Does not own: who counts as a member, claims and hand-overs (processing-units).
// Invariants (docs/invariants.md):
//   A1. The same members give the same answer, in whatever order; the answer, once it is true,
//       gives itself; members differ by at most one partition.
//   A2. No assignment that is as balanced moves fewer partitions from a member that is there. A
//       join moves partitions to the joiner only, a leave only the leaver's.
import { assert, must } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { murmur3 } from "../base/murmur3.ts";

/** A lane that partitions may be given to. */
export interface AssignmentMember {
  readonly slot: number;
  /** The same after a restart of the lane: so it gets what it had. */
  readonly name: string;
  readonly owned: readonly number[];
}

interface Share {
  readonly slot: number;
  readonly seed: number;
  owned: number[];
  quota: number;
}

const encoder = new TextEncoder();
const scratch = Buffer.alloc(4);

/** Rendezvous hashing: of all lanes, the one with the highest weight has the best claim. */
function weight(share: Share, partition: number): number {
  scratch.writeUInt32LE(partition);
  return murmur3(scratch, share.seed);
}

function isBefore(one: Share, other: Share, partition: number): boolean {
  const difference = weight(one, partition) - weight(other, partition);
  return difference > 0 || (difference === 0 && one.slot < other.slot);
}

/** The members, each with what it owns; of two that say so, the better claim counts. */
function sharesOf(partitions: number, members: readonly AssignmentMember[]): Share[] {
  const owners: (Share | null)[] = Array.from({ length: partitions }, () => null);
  const shares: Share[] = [];
  for (const { slot, name, owned } of members) {
    const share = { slot, seed: murmur3(encoder.encode(name)), owned: [], quota: 0 };
    shares.push(share);
    for (const partition of owned) {
      if (partition >= partitions) continue;
      const other = owners[partition] ?? null;
      if (other === null || isBefore(share, other, partition)) owners[partition] = share;
    }
  }
  for (const [partition, owner] of owners.entries()) owner?.owned.push(partition);
  return shares;
}

/** Gives each member its number of partitions; one more to those that own more already (A2). */
function setQuotas(partitions: number, shares: Share[]): void {
  const base = Math.floor(partitions / shares.length);
  const ordered = [...shares].sort((a, b) => {
    const [more, less] = [Number(b.owned.length > base), Number(a.owned.length > base)];
    return more - less || b.seed - a.seed || a.slot - b.slot;
  });
  for (const [index, share] of ordered.entries()) {
    share.quota = base + (index < partitions % shares.length ? 1 : 0);
  }
}

/**
 * The slot that each partition should belong to, by partition; null where there is no member.
 * Slots are distinct. Partitions that no member owns, and what members own above their share, go
 * to members below theirs, each to the one with the highest rendezvous weight that has room.
 */
export function assign(
  partitions: number,
  members: readonly AssignmentMember[],
): readonly (number | null)[] {
  const assigned: (number | null)[] = Array.from({ length: partitions }, () => null);
  if (members.length === 0) return assigned;
  const shares = sharesOf(partitions, members);
  setQuotas(partitions, shares);
  for (const share of shares) {
    const { owned, quota, slot } = share;
    if (owned.length > quota) {
      // It keeps what it has the best claim to.
      owned.sort((a, b) => weight(share, b) - weight(share, a) || a - b);
      owned.length = quota;
    }
    for (const partition of owned) assigned[partition] = slot;
  }
  let open = shares.filter(({ owned, quota }) => owned.length < quota);
  for (let partition = 0; partition < partitions; partition++) {
    if (assigned[partition] !== null) continue;
    let best = must(open[0], "the quotas are all partitions");
    for (const share of open) if (isBefore(share, best, partition)) best = share;
    assigned[partition] = best.slot;
    best.owned.push(partition);
    if (best.owned.length === best.quota) open = open.filter((share) => share !== best);
  }
  assert(open.length === 0, "every member has its share");
  return assigned;
}

/**
 * How long a lane that joined for the `joins`th time within the last minutes waits, in
 * milliseconds, before partitions are given to it: at first not at all, then ever longer, so that
 * one that keeps dying does not move partitions back and forth.
 */
export function joinDelayMs(joins: number): number {
  if (joins <= limits.joinsAtOnceMax) return 0;
  const doublings = Math.min(joins - limits.joinsAtOnceMax, 30);
  return Math.min(limits.joinDelayMsMax, limits.joinSettleMs * 2 ** doublings);
}
