// Bench lane: a lane in this very thread, without a unit around it.
// Owns: putting grid and lane together. Does not own: the lane and the store, which are those of
// production; the application; what is asked.
import { systemClock } from "../src/base/clock.ts";
import { failed, ok, unwrap } from "../src/base/failure.ts";
import { newId } from "../src/base/ids.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import type { Pump } from "../src/data-pump/pump.ts";
import { openGrid, type GridIdentity } from "../src/grid/grid-directory.ts";
import type { Store } from "../src/grid/store.ts";
import type { Application } from "../src/processing-units/application.ts";
import type { LaneListener, LaneOptions } from "../src/processing-units/lane-options.ts";
import { Lane } from "../src/processing-units/lane.ts";
import { keepRequestsYoung } from "../src/processing-units/young-requests.ts";

keepRequestsYoung(); // as in production

const system = { clock: systemClock, timers: systemTimers, random: systemRandom() };
/** Without end, as far as a bench goes. */
const gridBytesMax = 2 ** 40;

/** A new grid of so many partitions in a store that holds none. */
export async function newGrid(store: Store, partitions: number): Promise<GridIdentity> {
  const mayCreate = () => Promise.resolve(ok(null));
  const sizes = { partitions, partitionsDefault: partitions };
  return unwrap(await openGrid({ ...system, ...sizes, store, mayCreate }));
}

export interface BenchLaneOptions {
  readonly name: string;
  /** Where other lanes look for it; null: nowhere. */
  readonly address: string | null;
  readonly identity: GridIdentity;
  readonly store: Store;
  readonly application: Application;
  /** Left out: there is no database. */
  readonly pump?: Pump;
  readonly listener: Pick<LaneListener, "serving" | "stopped" | "released">;
  /** Left out: there is no other lane. */
  readonly connect?: LaneOptions["connect"];
}

/** A lane that has not joined yet. It throws when it is taken for dead. */
export function benchLane({
  name,
  address,
  listener,
  pump,
  connect,
  ...given
}: BenchLaneOptions): Lane {
  const unit = newId(system.random);
  return new Lane({
    ...system,
    ...given,
    lane: {
      incarnation: newId(system.random),
      ...{ unit, name, address, release: "bench", database: null },
    },
    predecessor: null,
    pump: pump ?? null,
    gridBytesMax,
    connect: connect ?? (() => Promise.resolve(failed("PEER_GONE", "there is no other lane"))),
    listener: {
      ...listener,
      lost: (reason) => {
        throw new Error(reason.message);
      },
      received: (_peer, _request, respond) => respond,
    },
  });
}

export interface SoleLane {
  readonly lane: Lane;
  /** Rejects where it cannot join, or where a partition stops before all are served. */
  readonly servesAll: Promise<void>;
}

/** A lane by itself, that joins and takes all partitions. */
export function soleLane(
  options: Omit<BenchLaneOptions, "name" | "address" | "listener" | "connect">,
): SoleLane {
  const { promise: served, resolve, reject } = Promise.withResolvers<void>();
  let starting = options.identity.partitions;
  const listener: BenchLaneOptions["listener"] = {
    serving: () => {
      starting -= 1;
      if (starting === 0) resolve();
    },
    stopped: (partition, reason) => {
      reject(new Error(`partition ${String(partition)} stopped: ${reason.message}`));
    },
    released: () => undefined,
  };
  const lane = benchLane({ ...options, name: "bench lane", address: null, listener });
  const joined = lane.join().then(unwrap);
  return { lane, servesAll: Promise.all([joined, served]).then(() => undefined) };
}
