// Lanes of one application with a database: one in memory, which can be taken away, or another.
import { systemClock } from "../../src/base/clock.ts";
import { must } from "../../src/base/assert.ts";
import type { Outcome } from "../../src/base/failure.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Database } from "../../src/data-pump/database.ts";
import { Pump } from "../../src/data-pump/pump.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { Application } from "../../src/processing-units/application.ts";
import type { SubmitOptions } from "../../src/processing-units/edge-context.ts";
import type { Lane } from "../../src/processing-units/lane.ts";
import { tablesOf } from "../../src/processing-units/load-application.ts";
import { DatabaseServer } from "../../src/simulation/database-server.ts";
import { counterApplication } from "./counter-application.ts";
import { LaneNetwork } from "./lane-network.ts";
import { MemoryDatabase } from "./memory-database.ts";
import { newMemoryGrid } from "./memory-grid.ts";

export interface LanesWithDatabase {
  readonly server: DatabaseServer;
  readonly network: LaneNetwork;
  /** Away: no call of any lane does anything. */
  readonly database: { isAway: boolean };
  /** One that has not joined yet. */
  readonly add: (name: string) => Lane;
  readonly pumpOf: (lane: Lane) => Pump;
}

/** `connect` makes a lane's way to another database than the one in memory. */
export async function lanesWithDatabase(
  partitions: number,
  application: Application = counterApplication,
  connect?: (identity: GridIdentity) => Database,
): Promise<LanesWithDatabase> {
  const { store, identity } = await newMemoryGrid(partitions);
  const server = new DatabaseServer(partitions);
  const network = new LaneNetwork(identity, application);
  const database = { isAway: false };
  const connectInMemory = () => {
    const fault = () => (database.isAway ? "away" : "none");
    return new MemoryDatabase({ server, timers: systemTimers, fault });
  };
  const newPump = (lane: () => Lane) =>
    new Pump({
      database: connect?.(identity) ?? connectInMemory(),
      identity,
      spaces: tablesOf(application),
      clock: systemClock,
      timers: systemTimers,
      random: seededRandom(1),
      listener: {
        written: (partition, position) => {
          lane().written(partition, position);
        },
        deadLettered: (letter) => {
          lane().deadLettered(letter);
        },
        halted: (partition, reason) => {
          lane().halt(partition, reason);
        },
      },
    });
  const pumps = new Map<Lane, Pump>();
  const add = (name: string): Lane => {
    const pump = newPump(() => lane);
    const lane: Lane = network.add({ name, store, pump });
    pumps.set(lane, pump);
    return lane;
  };
  const pumpOf = (lane: Lane) => must(pumps.get(lane), "a lane of these");
  return { server, network, database, add, pumpOf };
}

/** A key of each partition that this lane serves. */
export function keysIn(lane: Lane, partitions: number): string[] {
  const keys = new Map<number, string>();
  const served = lane.partitionStatus().map(({ partition }) => partition);
  for (let key = 0; keys.size < served.length; key++) {
    const partition = partitionOf(String(key), partitions);
    if (served.includes(partition) && !keys.has(partition)) keys.set(partition, String(key));
  }
  return [...keys.values()];
}

export function submit(
  lane: Lane,
  name: string,
  input: Value,
  options: SubmitOptions = { deadlineMs: 30_000 },
): Promise<Outcome<Value>> {
  return new Promise((respond) => {
    lane.submit(name, input, options, respond);
  });
}
