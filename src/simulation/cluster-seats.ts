// Cluster seats: the places of a cluster's lanes, each with one life after the other in it.
// Owns: who sits where, names and addresses, who follows whom. Does not own: when lives end
// (cluster-faults.ts), what a life is (cluster-lane.ts).
import { newId } from "../base/ids.ts";
import type { Random } from "../base/random.ts";
import { ClusterLane } from "./cluster-lane.ts";
import type { ClusterWorld } from "./cluster-world.ts";

export class ClusterSeats {
  readonly #world: ClusterWorld;
  readonly #random: Random;
  readonly #lanes: (ClusterLane | null)[];
  readonly #units: string[];
  /** Partitions with a checkpoint under way, and whose. */
  readonly #checkpointing = new Map<number, string>();
  #unitsStarted = 0;
  /** Told each life that ended. */
  onOver: (lane: ClusterLane, seat: number) => void = () => undefined;

  constructor(world: ClusterWorld, count: number, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#lanes = Array.from({ length: count }, () => null);
    this.#units = Array.from({ length: count }, () => "");
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** Who lives, in the order of the seats. */
  get living(): ClusterLane[] {
    return this.#lanes.filter((lane) => lane !== null);
  }

  /** Seats that are empty. */
  get empty(): number[] {
    return [...this.#lanes.keys()].filter((seat) => this.#lanes[seat] === null);
  }

  /** The seats' lives that clients can try. */
  get there(): ClusterLane[] {
    return this.living.filter(({ isThere }) => isThere);
  }

  /** As a unit that starts anew, or as the thread that replaces a dead one of the same unit. */
  start(seat: number, follows: ClusterLane | null): void {
    if ((this.#lanes[seat] ?? null) !== null) return;
    if (follows === null || follows.slot < 0) {
      this.#units[seat] = `unit-${String(++this.#unitsStarted)}`;
    }
    const incarnation = newId(this.#random, 8);
    const isReplacement = follows !== null && follows.slot >= 0;
    const predecessor = isReplacement
      ? { slot: follows.slot, incarnation: follows.incarnation }
      : null;
    if (isReplacement) this.#world.probes.reached("take-over by a replacement");
    const lane: ClusterLane = new ClusterLane({
      world: this.#world,
      name: `seat ${String(seat)}`,
      unit: this.#units[seat] ?? "",
      address: `ws://seat-${String(seat)}`,
      incarnation,
      predecessor,
      random: this.#random.fork(incarnation),
      checkpointing: this.#checkpointing,
      onOver: (over) => {
        if (this.#lanes[seat] === over) this.#lanes[seat] = null;
        this.onOver(over, seat);
      },
    });
    this.#lanes[seat] = lane;
    lane.start().catch((error: unknown) => {
      this.#world.oracle.violate(null, `a lane failed: ${String(error)}`);
    });
  }

  seatOf(lane: ClusterLane): number {
    return this.#lanes.indexOf(lane);
  }
}
