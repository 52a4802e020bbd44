// Lane options: what a lane is made of, and whom it tells what happens in it.
// Owns: the shapes. Does not own: what a lane does (lane.ts), who makes one (lane-worker.ts).
import type { Clock } from "../base/clock.ts";
import type { Failure, Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import type { Pump } from "../data-pump/pump.ts";
import type { CheckpointSizes } from "../grid/checkpointer.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { Store } from "../grid/store.ts";
import type { FrameLink } from "../messaging-grid/frame-link.ts";
import type { CommandRequest } from "../messaging-grid/frames.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import type { Application } from "./application.ts";
import type { LaneIdentity, Predecessor } from "./ownership.ts";
import type { Respond } from "./partition-request.ts";

/** What happens in a lane, for its log and its supervisor. */
export interface LaneListener {
  serving(partition: number, epoch: number): void;
  /** `halted`: it stays so until a person has looked; else it opens again, or another has it. */
  stopped(partition: number, reason: Failure, halted: boolean): void;
  released(partition: number, epoch: number): void;
  /** Others took this lane for dead, and have its slot: it must end. */
  lost(reason: Failure): void;
  /** A command came from another lane; what is returned answers it. */
  received(peer: number, request: CommandRequest, respond: Respond): Respond;
}

export interface LaneOptions {
  readonly lane: LaneIdentity;
  /** A lane that is known to be dead, whose place this one takes. */
  readonly predecessor: Predecessor | null;
  readonly identity: GridIdentity;
  readonly store: Store;
  readonly application: Application;
  /** null: there is no database. */
  readonly pump: Pump | null;
  /** What all partitions together may take in the grid, each its share of it. */
  readonly gridBytesMax: number;
  /** When a checkpoint is worth it; left out: as limits.ts says. */
  readonly checkpointSizes?: CheckpointSizes;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly listener: LaneListener;
  /** A link to the lane of another unit that is called `wanted`. */
  connect(address: string, hello: Hello, wanted: string): Promise<Outcome<FrameLink>>;
}
