// Lane admission: what the roster says about a lane that is about to join: whether it fits the
// lanes that live, and how often one of its name has come lately.
// Owns: the two questions. Does not own: joining (ownership.ts), the roster (grid/roster.ts).
// Invariants (docs/invariants.md):
//   O3. Lanes of one grid write to one database.
import { failed, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { LaneCard, RosterEntry } from "../grid/roster-card.ts";

/** Why a lane must not join: living ones write to another database; null: it may. */
export function databaseMisfit(
  entries: readonly RosterEntry[],
  database: string | null,
  wallMs: number,
): Outcome<never> | null {
  for (const { card } of entries) {
    const isThere = card.state !== "left" && wallMs - card.wallMs < limits.clockOffsetMsMax;
    if (!isThere || card.database === null || database === null) continue;
    if (card.database === database) continue;
    const message = `${card.name} serves this grid and writes to another database`;
    return failed("DATABASE_FOREIGN", `${message}; give --database the same, or stop that unit`);
  }
  return null;
}

/** How often lanes of that name joined within the last minutes. */
export function joinsBefore(
  entries: readonly RosterEntry[],
  name: string,
  wallMs: number,
): LaneCard["joins"] {
  let joins = 0;
  for (const { card } of entries) {
    const isLate = Math.abs(wallMs - card.wallMs) > limits.slotForgottenMs;
    if (card.name === name && !isLate) joins = Math.max(joins, card.joins);
  }
  return joins;
}
