// Pending entries: commands that ran and are not journaled yet, and who waits for which of them.
// Owns: the order of the answers, what everybody is told when a partition stops.
// Does not own: the batches (grid/partition-log.ts), which entry somebody waits for (partition.ts).
// Invariants (docs/invariants.md):
//   P3. An answer leaves only when every change that it could have seen is journaled.
//   P4. A partition that stops answers all that waited: not applied where the log proves it,
//       otherwise unknown; a repeated command is told what its first try is told.
import { assert } from "../base/assert.ts";
import { failed, ok, type Failure, type Outcome } from "../base/failure.ts";
import type { CommandEntry, Value } from "../grid/log-record.ts";
import type { AppendFate } from "../grid/log-state.ts";
import type { Respond } from "./partition-request.ts";

/** An answer that tells of changes which are not journaled yet. */
interface Follower {
  readonly respond: Respond;
  readonly outcome: Outcome<Value>;
  /** The entry is this command's own, of a try before: its fate is the command's. */
  readonly repeats: boolean;
}

/** A command that ran and is not yet journaled, with those behind it that changed nothing. */
export interface PendingEntry extends CommandEntry {
  /** null: answered already, or nobody asked. */
  respond: Respond | null;
  /** What its handler answered. */
  readonly result: Value;
  readonly idempotencyKey: string | null;
  followers: Follower[] | null;
  /** Place of its first change among those of its record, once that is journaled. */
  firstChange: number;
}

export class PendingEntries {
  readonly #entries: PendingEntry[] = [];
  #followers = 0;

  get length(): number {
    return this.#entries.length;
  }

  /** All that wait for an answer here. */
  get waiting(): number {
    return this.#entries.length + this.#followers;
  }

  get last(): PendingEntry | null {
    return this.#entries.at(-1) ?? null;
  }

  /** The last that changes something: behind it is at most an empty one or two. */
  get lastChange(): PendingEntry | null {
    return this.#entries.findLast(({ changes }) => changes.length > 0) ?? null;
  }

  push(entry: PendingEntry): void {
    this.#entries.push(entry);
  }

  /** Answers once `entry` is journaled. */
  follow(entry: PendingEntry, follower: Follower): void {
    (entry.followers ??= []).push(follower);
    this.#followers++;
  }

  /** The entry of an earlier try of a command, if it is not journaled yet. Rarely asked for. */
  find(isIt: (entry: PendingEntry) => boolean): PendingEntry | null {
    return this.#entries.find(isIt) ?? null;
  }

  /** The oldest entries are journaled: they are answered, each before those that waited for it. */
  journaled(entries: readonly PendingEntry[]): void {
    assert(entries[0] === this.#entries[0] || entries.length === 0, "the oldest leave first");
    this.#entries.splice(0, entries.length);
    let changes = 0;
    for (const entry of entries) {
      entry.firstChange = changes;
      changes += entry.changes.length;
      entry.respond?.(ok(entry.result));
      if (entry.followers === null) continue;
      this.#followers -= entry.followers.length;
      for (const { respond, outcome } of entry.followers) respond(outcome);
    }
  }

  /** P4: the `inFlight` oldest left with an append of that fate; the others never left. */
  stopped(reason: Failure, inFlight: number, fate: AppendFate): void {
    const notApplied = failed("NOT_OWNER", `${reason.message}; nothing was changed, try again`);
    const unknown = failed("OUTCOME_UNKNOWN", `${reason.message}; the change may have happened`);
    this.#followers = 0;
    for (const [place, entry] of this.#entries.splice(0).entries()) {
      answerStopped(entry, place < inFlight && fate === "unknown" ? unknown : notApplied);
    }
  }
}

const unseen = failed("NOT_OWNER", "the partition stopped before what was read was journaled");

function answerStopped(entry: PendingEntry, outcome: Outcome<never>): void {
  const isUnknown = !outcome.ok && outcome.failure.kind === "unknown";
  const answer = (respond: Respond) => {
    if (isUnknown) respond(outcome, entry.result);
    else respond(outcome);
  };
  if (entry.respond !== null) answer(entry.respond);
  for (const { respond, repeats } of entry.followers ?? []) {
    if (repeats) answer(respond);
    else respond(unseen);
  }
}
