// Rivals lane: reservations in one lane of Orrery, in this very thread, on any store.
// Owns: reading the log again. Does not own: the lane (bench-lane.ts), the application.
import { unwrap } from "../src/base/failure.ts";
import type { GridIdentity } from "../src/grid/grid-directory.ts";
import type { Store } from "../src/grid/store.ts";
import { openStore } from "../src/grid/stores/open-store.ts";
import type { Lane } from "../src/processing-units/lane.ts";
import { newGrid, soleLane } from "./bench-lane.ts";
import { booksOf, purses, reservations, rivalsApplication } from "./rivals-application.ts";
import {
  partitions,
  type Books,
  type Reserver,
  type ReserverCounts,
  type Shape,
  type Verdict,
  type Wanted,
} from "./rivals-plan.ts";

/** Far from any latency: a rival that is slow is slow, and not wrong. */
const deadlineMs = 30_000;

export class LaneReserver implements Reserver {
  readonly raw = null;
  readonly #store: Store;
  readonly #identity: GridIdentity;
  readonly #shape: Shape;
  readonly #lane: Lane;

  private constructor(store: Store, identity: GridIdentity, shape: Shape, lane: Lane) {
    this.#store = store;
    this.#identity = identity;
    this.#shape = shape;
    this.#lane = lane;
  }

  /** Makes a grid in the store of this URL, which must hold none, and serves all of it. */
  static async open(url: string, shape: Shape): Promise<LaneReserver> {
    const store = unwrap(await openStore(url));
    const identity = await newGrid(store, partitions);
    const lane = await openLane(store, identity, shape);
    return new LaneReserver(store, identity, shape, lane);
  }

  reserve({ id, user, campaign }: Wanted, answer: (verdict: Verdict | Error) => void): void {
    const input = { id, user, campaign: campaign.id };
    this.#lane.submit("reserve", input, { deadlineMs }, (outcome) => {
      if (outcome.ok) answer(outcome.value as Verdict);
      else answer(new Error(`${outcome.failure.code}: ${outcome.failure.message}`));
    });
  }

  counts(): ReserverCounts {
    const { appends, journaledBytes } = this.#lane.counts;
    return { records: appends, recordBytes: journaledBytes, racesLost: 0 };
  }

  /** Another lane takes the grid over and folds the log; this one's memory is not asked. */
  async books(): Promise<Books> {
    await this.#lane.close();
    const lane = await openLane(this.#store, this.#identity, this.#shape);
    const kept = booksOf(lane.entries(reservations), lane.entries(purses));
    await lane.close();
    return kept;
  }

  async close(): Promise<void> {
    await this.#lane.close();
    await this.#store.close();
  }
}

async function openLane(store: Store, identity: GridIdentity, shape: Shape): Promise<Lane> {
  const application = rivalsApplication({ shape });
  const { lane, servesAll } = soleLane({ store, identity, application });
  await servesAll;
  return lane;
}
