// Replies: what was answered to whom. A sender numbers its commands for a partition and says up to
// which number it has all answers; above that the partition keeps each reply, so that a command
// that is sent again has no second effect. The memory is bounded by what is in flight, not by time.
// Owns: one row for each sender in the space "$senders", as journaled entries make it.
// Does not own: journaling (an entry carries sender, number, confirmed and reply itself, no change
// stands for them); running commands (partition.ts); a client's own keys (requests.ts).
// Invariants (docs/invariants.md):
//   P5. A number takes effect at most once: a number that is known, or confirmed, is never run.
//   P6. What is confirmed only grows, in whatever order numbers arrive.
import type { Change, CommandEntry, Value } from "../grid/log-record.ts";
import type { CommandOrigin } from "../messaging-grid/frames.ts";
import { senderSpace } from "./internal-spaces.ts";
import type { PartitionMemory } from "./partition-memory.ts";

/** Changed in place, then applied again. Replies stand in the order of their numbers. */
type SenderRow = { confirmed: number; readonly replies: [number: number, reply: Value][] };

/** `stale`: its sender has an answer already. `known`: it took effect, with this reply. */
export type Judgement =
  | { readonly kind: "new" }
  | { readonly kind: "stale" }
  | { readonly kind: "known"; readonly reply: Value };

const isNew = { kind: "new" } as const;
const isStale = { kind: "stale" } as const;

export class Replies {
  readonly #memory: PartitionMemory;
  /**
   * What senders said is confirmed, with commands that changed nothing, too: those are not
   * journaled, and the rows do not know it. Nothing but a reason to refuse; it is no state.
   */
  readonly #heard = new Map<string, number>();

  constructor(memory: PartitionMemory) {
    this.#memory = memory;
  }

  /** Whether a command of this number may run. */
  judge({ sender, number, confirmed }: CommandOrigin): Judgement {
    const heard = this.#heard.get(sender) ?? 0;
    if (confirmed > heard) this.#heard.set(sender, confirmed); // P6
    if (number <= Math.max(heard, confirmed)) return isStale;
    const row = this.#row(sender);
    if (row === undefined) return isNew;
    if (number <= row.confirmed) return isStale;
    const reply = row.replies[placeOf(row, number)];
    return reply?.[0] === number ? { kind: "known", reply: reply[1] } : isNew;
  }

  /** Folds what a command's entry says of its number. Folding it again changes nothing. */
  fold({ sender, number, confirmed, reply }: CommandEntry): void {
    if (sender === null) return;
    const row = this.#row(sender) ?? { confirmed: 0, replies: [] };
    if (confirmed > row.confirmed) {
      row.confirmed = confirmed; // P6
      row.replies.splice(0, placeOf(row, confirmed + 1));
    }
    if (number > row.confirmed) {
      const place = placeOf(row, number);
      const isKnown = row.replies[place]?.[0] === number;
      row.replies.splice(place, isKnown ? 1 : 0, [number, reply]);
    }
    this.#memory.apply([{ space: senderSpace, key: sender, value: row }]);
  }

  /** The changes that forget senders which are gone, at most so many. The caller applies them. */
  forget(isGone: (sender: string) => boolean, max: number): Change[] {
    for (const sender of this.#heard.keys()) if (isGone(sender)) this.#heard.delete(sender);
    const changes: Change[] = [];
    for (const [sender] of this.#memory.entries(senderSpace)) {
      if (changes.length === max) break;
      if (isGone(sender)) changes.push({ space: senderSpace, key: sender, value: null });
    }
    return changes;
  }

  #row(sender: string): SenderRow | undefined {
    return this.#memory.get(senderSpace, sender) as SenderRow | undefined;
  }
}

/** The place of the first reply whose number is not below `number`. */
function placeOf({ replies }: SenderRow, number: number): number {
  let low = 0;
  let high = replies.length;
  // Numbers come nearly in order: mostly it is behind the last.
  if (high > 0 && (replies[high - 1]?.[0] ?? 0) < number) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((replies[middle]?.[0] ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
