// Requests: answers to commands that came with a client's Idempotency-Key, so that the same key
// has no second effect, whichever lane it enters by and however often that lane was replaced.
// Owns: the space "$requests": key → [timeMs, command, reply]; its window in time and count.
// Does not own: numbers between lanes (replies.ts); journaling: what it gives are ordinary changes
// of the command's own entry.
// Invariants (docs/invariants.md):
//   P7. A key takes effect at most once within its window: limits.idempotencyWindowMs from its
//       first effect, among the limits.idempotencyKeysMax newest of the partition.
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Change, Value } from "../grid/log-record.ts";
import { requestSpace } from "./internal-spaces.ts";
import type { PartitionMemory } from "./partition-memory.ts";

type RequestRow = readonly [timeMs: number, command: string, reply: Value];

export interface KnownRequest {
  readonly command: string;
  readonly reply: Value;
}

/** Keys whose time is over leave with later ones; so many at once, for a record's size. */
const leavingMax = 4;

/** What `remember` adds to an entry, at most: keys and framing, apart from the reply. */
export const requestBytesMax = (1 + leavingMax) * (3 * limits.idempotencyKeyLengthMax + 256);

assert(
  limits.commandBytesMax + limits.valueBytesMax + requestBytesMax <= limits.recordBytesMax,
  "a record can carry the largest command with its answer kept twice",
);

export class Requests {
  readonly #memory: PartitionMemory;
  /** When each key was first used, oldest first; made when it is first needed. */
  #times: Map<string, number> | null = null;

  constructor(memory: PartitionMemory) {
    this.#memory = memory;
  }

  /** What was answered under a key; null: it was not used within its window. */
  find(key: string, nowMs: number): KnownRequest | null {
    const row = this.#memory.get(requestSpace, key) as RequestRow | undefined;
    if (row === undefined || isOver(row[0], nowMs)) return null; // P7
    return { command: row[1], reply: row[2] };
  }

  /** The changes that keep an answer, and let the oldest go. The caller applies them. */
  remember(key: string, nowMs: number, command: string, reply: Value): Change[] {
    const times = (this.#times ??= this.#sorted());
    times.delete(key); // a new window puts it behind all others
    times.set(key, nowMs);
    const row: RequestRow = [nowMs, command, reply];
    const changes: Change[] = [{ space: requestSpace, key, value: row }];
    for (const [oldest, timeMs] of times) {
      const isFull = times.size > limits.idempotencyKeysMax; // P7
      if (!isFull && !(isOver(timeMs, nowMs) && changes.length <= leavingMax)) break;
      times.delete(oldest);
      changes.push({ space: requestSpace, key: oldest, value: null });
    }
    return changes;
  }

  /** A checkpoint's segments do not keep the order in which keys came. */
  #sorted(): Map<string, number> {
    const rows = [...this.#memory.entries(requestSpace)];
    const times = rows.map(([key, row]): [string, number] => [key, (row as RequestRow)[0]]);
    return new Map(times.sort(([, a], [, b]) => a - b));
  }
}

function isOver(timeMs: number, nowMs: number): boolean {
  return nowMs - timeMs >= limits.idempotencyWindowMs;
}
