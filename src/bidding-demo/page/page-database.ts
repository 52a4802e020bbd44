// Page database: what the page is told of the unit's way to the database, joined over its lanes.
// Owns: the joining. Does not own: the numbers (lanes' statuses), the backlog in records, which is
// counted by partition (page-state.ts).
import { Histogram } from "../../base/histogram.ts";
import type { LaneDatabaseStatus, LaneStatus } from "../../processing-units/unit-status.ts";
import type { PageDatabase } from "./page-message.ts";

/** Dead letters that the page lists. */
const lettersShown = 8;
/** The worst first. */
const breakers = ["open", "half-open", "closed"] as const;

/** Null where no lane has a database. */
export function viewDatabase(lanes: readonly LaneStatus[]): PageDatabase | null {
  const all = lanes.flatMap(({ database }) => (database === null ? [] : [database]));
  if (all.length === 0) return null;
  const transactions = sum(all, (each) => each.transactions);
  return {
    problem: all.find(({ problem }) => problem !== null)?.problem ?? null,
    breaker: breakers.find((state) => all.some(({ breaker }) => breaker === state)) ?? "closed",
    isFull: all.some(({ alarms }) => alarms.some(({ kind }) => kind === "full")),
    oldestMs: Math.round(Math.max(...all.map(({ oldestUnwrittenMs }) => oldestUnwrittenMs))),
    roomMs: shortestRoom(all),
    syncMs: synchronization(all),
    rowsPerTransaction: transactions === 0 ? null : sum(all, ({ rows }) => rows) / transactions,
    deadLetters: sum(all, ({ deadLetters }) => deadLetters),
    letters: all
      .flatMap(({ newestLetters }) => newestLetters)
      .sort((a, b) => b.timeMs - a.timeMs)
      .slice(0, lettersShown),
  };
}

/** How long the room lasts where it is over first; null: it grows nowhere. */
function shortestRoom(all: readonly LaneDatabaseStatus[]): number | null {
  const lasts = Math.min(...all.map(({ room }) => room.msLeft ?? Infinity));
  return lasts === Infinity ? null : Math.round(lasts);
}

function synchronization(all: readonly LaneDatabaseStatus[]): PageDatabase["syncMs"] {
  const merged = new Histogram();
  for (const { syncTime } of all) merged.addCounts(syncTime);
  const { count, p50, p99 } = merged.summaryMs();
  return count === 0 ? null : { p50, p99 };
}

function sum(
  all: readonly LaneDatabaseStatus[],
  of: (status: LaneDatabaseStatus) => number,
): number {
  return all.reduce((total, each) => total + of(each), 0);
}
