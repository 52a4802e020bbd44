// Cluster probes: how often the rare paths of a cluster were reached, seen from outside.
// Owns: the counters and the list of paths that a batch of runs should reach.
// Does not own: how a path is seen (cluster-tap.ts, cluster-lane.ts and others). A simulation that
// never reaches a path proves nothing about it.

/** Paths that chance reaches seldom; a batch says which of them it never saw. */
const rarePaths = [
  "append fenced",
  "append repeated after an unknown outcome",
  "own record found and confirmed",
  "own record vanished before it was confirmed",
  "claim race lost",
  "claim void: head had moved past it",
  "take-over without a release",
  "take-over by a replacement",
  "take-over during a checkpoint",
  "hand-over",
  "partition halted: its owners died",
  "partition halted: the database is too old",
  "slot lost",
  "lane left",
  "all lanes left",
  "lane paused beyond suspicion",
  "primary lost",
  "database crashed",
  "commit of unknown outcome",
  "row refused",
  "change became a dead letter",
  "dead letters retried",
  "dead letters dropped",
  "database restored",
  "command asked again of another owner",
  "repeated command found its reply",
  "repeated command waited for its own append",
  "key found its reply in another lane",
  "command refused as POISON",
  "command refused as PEER_UNREACHABLE",
  "command refused as GRID_UNAVAILABLE",
  "local read made linearizable",
  "segment stored",
  "checkpoint recorded",
  "head moved",
  "record trimmed",
] as const;

export type RarePath = (typeof rarePaths)[number];

export class ClusterProbes {
  readonly #counts = new Map<RarePath, number>();

  /** How often each path was reached. */
  get counts(): ReadonlyMap<RarePath, number> {
    return this.#counts;
  }

  reached(path: RarePath): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
  }

  /** Adds another run's counts. */
  add(other: ClusterProbes): void {
    for (const [path, count] of other.#counts) {
      this.#counts.set(path, (this.#counts.get(path) ?? 0) + count);
    }
  }

  /** Paths that were never reached. */
  get missing(): RarePath[] {
    return rarePaths.filter((path) => !this.#counts.has(path));
  }
}
