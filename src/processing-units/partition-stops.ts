// Partition stops: what becomes of a partition that stopped: opened again, left to others, or kept
// for a person to look at.
// Owns: how often it stopped lately, the wait before it opens again. Does not own: opening it
// (partition.ts).
import type { FailureCode } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { PartitionPhase } from "./unit-status.ts";

// A partition that stops often without serving a minute in between halts, with an alarm: whatever
// stops it would stop it again.
const stopsForgottenMs = 60_000;
const reopenMsMin = 20;

/** Reasons that leave the partition to another lane, or to nobody. All others need a person. */
const goneCodes: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "NOT_OWNER",
  "CLAIM_BEATEN",
  "DATABASE_FENCED",
  "SHUTTING_DOWN",
]);

interface StoppedPartition {
  /** In which it stopped. */
  readonly phase: PartitionPhase;
  /** Somebody closed it for good. */
  readonly isClosed: boolean;
  readonly servedMs: number;
}

export class PartitionStops {
  #stops = 0;

  /** The wait before it opens again. */
  get reopenMs(): number {
    return reopenMsMin * 2 ** Math.min(this.#stops, 6);
  }

  /** It stopped, for a reason of that code. */
  phaseAfter(code: FailureCode, { phase, isClosed, servedMs }: StoppedPartition): PartitionPhase {
    if (goneCodes.has(code)) return "gone";
    if (code !== "PARTITION_STOPPED" || isClosed) return "halted";
    if (phase === "leaving") return "gone";
    this.#stops = servedMs > stopsForgottenMs ? 1 : this.#stops + 1;
    return this.#stops < limits.partitionStopsMax ? "starting" : "halted";
  }
}
