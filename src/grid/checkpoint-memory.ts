// Checkpoint memory: what a checkpoint asks of the memory that it encodes.
// Owns: that port. Does not own: the memory (src/processing-units/partition-memory.ts, and the
// lanes of the simulation), and what is done with the encoded changes (checkpointer.ts).
// The memory may be ahead of the log, by the commands that wait for the next record.
import type { Change } from "./log-record.ts";

export interface CheckpointMemory {
  /** About the encoded size of all entries. */
  readonly bytes: number;
  /** A round of encoding begins: over everything, or over what was marked before it. */
  beginRound(everything: boolean): void;
  /**
   * The next changes of the round, of about `bytes`, with the values that they have now; none
   * where the round is over. Entries that changed since the round began may be left out.
   */
  slice(bytes: number): readonly Change[];
  /** What changed since the round began; null where that is more than about `bytesMax`. */
  delta(bytesMax: number): readonly Change[] | null;
  /** The checkpoint is in the log: what it encoded is clean, what its delta says is not. */
  encoded(): void;
  /** The checkpoint was given up: nothing of it is clean. */
  givenUp(): void;
}
