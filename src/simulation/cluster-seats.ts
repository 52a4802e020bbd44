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
  /** They were taken for dead, and may yet live on, where nobody took their slots. */
  readonly #replaced = new Set<ClusterLane>();
  #unitsStarted = 0;
  /** An address that somebody may still have is not given to another. */
  #moves = 0;
  #isClosed = false;
  /** Told each life that ended, and where it sat; null: another sits there already. */
  onOver: (lane: ClusterLane, seat: number | null) => void = () => undefined;

  constructor(world: ClusterWorld, count: number, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#lanes = Array.from({ length: count }, () => null);
    this.#units = Array.from({ length: count }, () => "");
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** Who lives, in the order of the seats; then those whose seats others have. */
  get living(): ClusterLane[] {
    return [...this.#lanes.filter((lane) => lane !== null), ...this.#replaced];
  }

  /** Seats that are empty. */
  get empty(): number[] {
    return [...this.#lanes.keys()].filter((seat) => this.#lanes[seat] === null);
  }

  /** The seats' lives that clients can try. */
  get there(): ClusterLane[] {
    return this.living.filter(({ isThere }) => isThere);
  }

  /** Nobody sits down any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** As a unit that starts anew, or as the thread that replaces a dead one of the same unit. */
  start(seat: number, follows: ClusterLane | null): void {
    if (this.#isClosed || (this.#lanes[seat] ?? null) !== null) return;
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
      address: `ws://seat-${String(seat)}${this.#moves === 0 ? "" : `-${String(this.#moves)}`}`,
      incarnation,
      predecessor,
      random: this.#random.fork(incarnation),
      checkpointing: this.#checkpointing,
      onOver: (over) => {
        const sits = this.#lanes[seat] === over;
        if (sits) this.#lanes[seat] = null;
        this.#replaced.delete(over);
        this.onOver(over, sits ? seat : null);
      },
    });
    this.#lanes[seat] = lane;
    lane.start().catch((error: unknown) => {
      this.#world.oracle.violate(null, `a lane failed: ${String(error)}`);
    });
  }

  /** Somebody else sits there from now on, though the one before may wake up. */
  replace(lane: ClusterLane): void {
    const seat = this.#lanes.indexOf(lane);
    if (seat < 0) return;
    this.#lanes[seat] = null;
    this.#replaced.add(lane);
    this.#moves++;
    // Of another unit: lanes of one unit are linked by it, and it knows which of them live.
    this.#units[seat] = `unit-${String(++this.#unitsStarted)}`;
    this.start(seat, lane);
  }
}
