// Partition state: all that a partition keeps in memory, made anew whenever its log is loaded.
// Owns: how records are folded into it. Does not own: the entries (partition-memory.ts), what of
// them tells repeated commands apart (replies.ts, requests.ts), when records come (partition.ts).
// Invariants (docs/invariants.md):
//   P2. Memory is the fold of the partition's changes in order, replies included: a new owner
//       knows the same numbers and keys as the old one did.
import type { CommandEntry, RecordBody } from "../grid/log-record.ts";
import { PartitionMemory } from "./partition-memory.ts";
import { Replies } from "./replies.ts";
import { Requests } from "./requests.ts";
import type { Space } from "./space.ts";

export class PartitionState {
  readonly memory: PartitionMemory;
  readonly replies: Replies;
  readonly requests: Requests;

  constructor(spaces: readonly Space[]) {
    this.memory = new PartitionMemory(spaces);
    this.replies = new Replies(this.memory);
    this.requests = new Requests(this.memory);
  }

  /** Applies what a command did, here and now. */
  apply(entry: CommandEntry): void {
    this.memory.apply(entry.changes);
    this.replies.fold(entry);
  }

  /** Folds a record that was read from the log. */
  fold(body: RecordBody): void {
    if (body.type === "changes") this.#fold(body.entries);
    if (body.type === "checkpoint") {
      this.memory.loadCheckpoint(body.delta);
      this.#fold(body.entries);
    }
  }

  #fold(entries: readonly CommandEntry[]): void {
    this.memory.fold(entries);
    for (const entry of entries) this.replies.fold(entry);
  }
}
