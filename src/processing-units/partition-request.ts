// Partition request: one command on its way into a partition, and how it is answered.
// Owns: the shapes. Does not own: who sends it (command-sender.ts), running it (partition.ts).
import type { Outcome } from "../base/failure.ts";
import type { Value } from "../grid/log-record.ts";
import type { CommandOrigin } from "../messaging-grid/frames.ts";
import type { Acknowledgement, ReadConsistency } from "./edge-context.ts";

/**
 * Called exactly once. `computed` comes only with an unknown outcome of a command that ran: what
 * its handler answered. If the next owner knows the command's number, that is the answer.
 */
export type Respond = (outcome: Outcome<Value>, computed?: Value) => void;

export interface PartitionRequest {
  readonly command: string;
  readonly input: Value;
  readonly ack: Acknowledgement;
  readonly read: ReadConsistency;
  /** Numbers the command for its receiver; null: nobody will ever repeat it. */
  readonly origin: CommandOrigin | null;
  /**
   * False: the sender is this lane and holds the answer itself, only the number is kept. The
   * number found again is answered COMMAND_KNOWN.
   */
  readonly keepsReply: boolean;
  /** Given by a client: known longer than its sender lives, for a stated time. */
  readonly idempotencyKey: string | null;
  /** On the lane's monotonic clock; one that is past its deadline is not begun. */
  readonly deadlineAtMs: number;
  readonly respond: Respond;
}
