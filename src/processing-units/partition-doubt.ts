// Partition doubt: reasons not to serve what was loaded from a log, or not now.
// Owns: the count of claims with nothing between them, the comparison with what was acknowledged,
// how long a store may be silent. Does not own: loading (grid), what a partition does about it
// (partition.ts).
// Invariants (docs/invariants.md):
//   P10. What was loaded is served only if it can be all that was acknowledged, and if the lanes
//        before did not die of it.
//   P12. Behind a final release, and behind what a rebuild wrote, nothing is served before the
//        database has the new owner's claim.
import { failure, type Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { entriesOf, type LogRecord } from "../grid/log-record.ts";
import { rebuiltCheckpointAt } from "../grid/rebuild-fill.ts";

const emptyClaimsMs = 60_000;

/** Counts the claims at a log's end, fed with its records in order. */
export class EmptyClaims {
  #times: number[] = [];

  reset(): void {
    this.#times = [];
  }

  /** A record that was loaded, or the claim that it is loaded for. */
  add({ body, timeMs }: LogRecord): void {
    if (body.type === "claim") this.#times.push(timeMs);
    else this.#times = []; // its owner lived long enough to write
  }

  /** Why the partition should not be served under the last claim; null: it may. */
  alarm(partition: number): Failure | null {
    const last = this.#times.at(-1) ?? 0;
    const recent = this.#times.filter((timeMs) => last - timeMs < emptyClaimsMs).length;
    if (recent <= limits.emptyClaimsMax) return null;
    const what = `partition ${String(partition)} was claimed ${String(recent)} times in a minute`;
    return failure("PARTITION_HALTED", `${what}, and each time its owner ended before it wrote`);
  }
}

/**
 * Less in the log than the roster says was acknowledged; null: enough. A claim that slept while a
 * later owner went on sees this, too: only an append behind the claim tells one from the other.
 */
export function lessThanAcknowledged(
  partition: number,
  claim: number,
  acknowledged: number,
): Failure | null {
  if (acknowledged < claim) return null;
  const said = `the roster says that position ${String(acknowledged)} was acknowledged`;
  const found = `the log ended with ${String(claim - 1)}`;
  return failure("GRID_LOST", `partition ${String(partition)} lost records: ${said}, ${found}`);
}

/**
 * P12. Whether a log that ends with this record has acknowledged nothing since a final release or
 * since it was rebuilt: claims and releases acknowledge nothing, and what does, did so after its
 * owner's database claim. Only a rebuild puts a checkpoint behind genesis: an owner claims there.
 */
export function staysFinal({ position, body }: LogRecord, wasFinal: boolean): boolean {
  if (body.type === "release") return wasFinal || body.final === true;
  if (body.type === "checkpoint") return position === rebuiltCheckpointAt;
  return wasFinal && entriesOf(body).length === 0;
}

/** A store that is silent for long: what came now would only wait until its deadline. */
export function silentStore(
  partition: number,
  silence: { readonly sinceMs: number; readonly why: string },
  nowMs: number,
): Failure | null {
  if (nowMs - silence.sinceMs < limits.storeSilenceMsMax) return null;
  const nothing = `nothing was changed in partition ${String(partition)}`;
  return failure("GRID_UNAVAILABLE", `the data grid does not answer (${silence.why}); ${nothing}`);
}
