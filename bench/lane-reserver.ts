// Lane reserver: bids in one lane of Orrery, in this very thread, on any store.
// Owns: putting grid and lane together without a unit around them, reading the log again.
// Does not own: the lane, the store, the bidding demo; they are those of production.
import { must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { failed, ok, unwrap } from "../src/base/failure.ts";
import { newId } from "../src/base/ids.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import biddingDemo from "../src/bidding-demo/application.ts";
import type { BidInput, BidReply } from "../src/bidding-demo/bid-command.ts";
import { frequency, purses, reservations } from "../src/bidding-demo/spaces.ts";
import { openGrid, type GridIdentity } from "../src/grid/grid-directory.ts";
import type { Store } from "../src/grid/store.ts";
import { openStore } from "../src/grid/stores/open-store.ts";
import { Lane } from "../src/processing-units/lane.ts";
import {
  partitions,
  reservationCampaigns,
  type Recount,
  type Reserver,
  type ReserverCounts,
} from "./reservation-inputs.ts";

/** Far from any latency: a candidate that is slow is slow, and not wrong. */
const deadlineMs = 30_000;

const clock = systemClock;
const timers = systemTimers;
const random = systemRandom();

export class LaneReserver implements Reserver {
  readonly #store: Store;
  readonly #identity: GridIdentity;
  readonly #lane: Lane;

  private constructor(store: Store, identity: GridIdentity, lane: Lane) {
    this.#store = store;
    this.#identity = identity;
    this.#lane = lane;
  }

  /** Makes a grid in the store of this URL, which must hold none, and serves all of it. */
  static async open(url: string): Promise<LaneReserver> {
    const store = unwrap(await openStore(url));
    const identity = unwrap(
      await openGrid({
        ...{ store, timers, clock, random },
        partitions: null,
        partitionsDefault: partitions,
        mayCreate: () => Promise.resolve(ok(null)),
      }),
    );
    return new LaneReserver(store, identity, await openLane(store, identity));
  }

  bid(input: BidInput, answer: (priceMicros: number | string) => void): void {
    this.#lane.submit("bid", input, { deadlineMs }, (outcome) => {
      if (!outcome.ok) {
        answer(`${outcome.failure.code}: ${outcome.failure.message}`);
        return;
      }
      const reply = outcome.value as BidReply;
      answer(typeof reply === "string" ? reply : must(reply[0], "a reply has an offer")[2]);
    });
  }

  counts(): ReserverCounts {
    const { appends, journaledBytes } = this.#lane.counts;
    return { records: appends, recordBytes: journaledBytes, racesLost: 0 };
  }

  /** Another lane takes the grid over and folds the log; this one's memory is not asked. */
  async recount(): Promise<Recount> {
    await this.#lane.close();
    const lane = await openLane(this.#store, this.#identity);
    const kept = {
      reservations: [...lane.entries(reservations)].length,
      heldMicros: sum(lane.entries(purses), (purse) => purse.reservedMicros),
      pending: sum(lane.entries(frequency), (seen) => seen.pending),
    };
    await lane.close();
    return kept;
  }

  async close(): Promise<void> {
    await this.#lane.close();
    await this.#store.close();
  }
}

function sum<V>(entries: Iterable<readonly [string, V]>, of: (value: V) => number): number {
  let total = 0;
  for (const [, value] of entries) total += of(value);
  return total;
}

/** A lane that serves all partitions. Rejects where one of them stops. */
async function openLane(store: Store, identity: GridIdentity): Promise<Lane> {
  const { promise: served, resolve, reject } = Promise.withResolvers<void>();
  let starting = identity.partitions;
  const name = "bench lane";
  const lane: Lane = new Lane({
    lane: {
      incarnation: newId(random),
      unit: name,
      name,
      address: null,
      release: "bench",
      database: null,
    },
    predecessor: null,
    identity,
    store,
    application: biddingDemo({
      campaigns: reservationCampaigns(),
      noticeKey: "00".repeat(32), // no notice is sent
      partitions: identity.partitions,
    }),
    pump: null,
    gridBytesMax: 2 ** 32,
    ...{ clock, timers, random },
    connect: () => Promise.resolve(failed("PEER_GONE", "there is no other lane")),
    listener: {
      serving: () => {
        starting -= 1;
        if (starting === 0) resolve();
      },
      stopped: (partition, reason) => {
        reject(new Error(`partition ${String(partition)} stopped: ${reason.message}`));
      },
      released: () => undefined,
      lost: (reason) => {
        reject(new Error(reason.message));
      },
      received: (_peer, _request, respond) => respond,
    },
  });
  unwrap(await lane.join());
  await served;
  return lane;
}
