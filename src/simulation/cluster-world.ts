// Cluster world: all that the parts of one simulated cluster share.
// Owns: nothing but the list. Does not own: what any part does with another.
import type { Random } from "../base/random.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { ClusterDiary } from "./cluster-diary.ts";
import type { ClusterOracle } from "./cluster-oracle.ts";
import type { ClusterProbes } from "./cluster-probes.ts";
import type { ClusterWorkload } from "./cluster-workload.ts";
import type { LyingStore } from "./lying-store.ts";
import type { TraceHash } from "./trace-hash.ts";
import type { VirtualDatabase } from "./virtual-database.ts";
import type { VirtualNetwork } from "./virtual-network.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface ClusterWorld {
  readonly time: VirtualTime;
  readonly trace: TraceHash;
  readonly random: Random;
  readonly store: LyingStore;
  readonly network: VirtualNetwork;
  readonly database: VirtualDatabase;
  readonly identity: GridIdentity;
  readonly workload: ClusterWorkload;
  readonly oracle: ClusterOracle;
  readonly probes: ClusterProbes;
  readonly diary: ClusterDiary;
  /** What ends every lane that begins to run a command, or to serve a partition. */
  readonly deadly: Deadly;
}

/** `armed`: the next command that one lane takes from another becomes deadly. */
export interface Deadly {
  armed: boolean;
  command: string | null;
  partition: number | null;
}
