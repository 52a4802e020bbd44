// Local lanes: a grid in a store of this process, and lanes of it in this very thread.
// Owns: putting them together, asking them. Does not own: what is asked, and when they come and go.
import { MessageChannel } from "node:worker_threads";
import { failed, ok, unwrap } from "../src/base/failure.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import type { GridIdentity } from "../src/grid/grid-directory.ts";
import type { Value } from "../src/grid/log-record.ts";
import type { Store } from "../src/grid/store.ts";
import { openStore } from "../src/grid/stores/open-store.ts";
import { PortLink } from "../src/messaging-grid/port-link.ts";
import type { SubmitOptions } from "../src/processing-units/edge-context.ts";
import type { Lane } from "../src/processing-units/lane.ts";
import { benchLane, newGrid } from "./bench-lane.ts";
import { entriesApplication } from "./entries-application.ts";

/** Far from any latency: what is slow is slow, and not wrong. */
const deadlineMs = 60_000;

/** Called when a lane serves a partition, and when it has released one. */
export interface Moves {
  serving(name: string, partition: number): void;
  released(name: string, partition: number): void;
}

/** For who does not care when that is. */
export const noMoves: Moves = { serving: () => undefined, released: () => undefined };

const lookMs = 2;

export class LocalLanes {
  readonly identity: GridIdentity;
  readonly #store: Store;
  readonly #moves: Moves;
  readonly #lanes = new Map<string, Lane>();
  #joins = 0;

  private constructor(store: Store, identity: GridIdentity, moves: Moves) {
    this.#store = store;
    this.identity = identity;
    this.#moves = moves;
  }

  /** A new grid in the store of this URL, and no lane yet. */
  static async open(url: string, partitions: number, moves: Moves): Promise<LocalLanes> {
    const store = unwrap(await openStore(url));
    return new LocalLanes(store, await newGrid(store, partitions), moves);
  }

  /** Resolves when a lane serves so many partitions. */
  async serves(name: string, count: number): Promise<void> {
    while (this.served(name).length !== count) await delay(systemTimers, lookMs);
  }

  /** A lane that joins; it gets its share when it and the others have seen one another. */
  async join(name: string): Promise<void> {
    const lane = benchLane({
      // One that came again under the same name would get its share later each time.
      name: `${name} ${String(++this.#joins)}`,
      address: name,
      identity: this.identity,
      store: this.#store,
      application: entriesApplication,
      connect: (address, hello, wanted) => {
        const other = this.#lanes.get(address);
        if (other === undefined) return Promise.resolve(failed("PEER_GONE", `no lane ${wanted}`));
        const { port1, port2 } = new MessageChannel();
        other.accept(hello, new PortLink(port2));
        return Promise.resolve(ok(new PortLink(port1)));
      },
      listener: {
        serving: (partition) => {
          this.#moves.serving(name, partition);
        },
        released: (partition) => {
          this.#moves.released(name, partition);
        },
        stopped: (partition, reason) => {
          if (reason.code === "SHUTTING_DOWN") return; // it was still loading when its lane left
          throw new Error(`partition ${String(partition)} stopped: ${reason.message}`);
        },
      },
    });
    this.#lanes.set(name, lane);
    unwrap(await lane.join());
  }

  /** Hands over all that a lane has, and ends it. */
  async leave(name: string): Promise<void> {
    const lane = this.#lanes.get(name);
    this.#lanes.delete(name);
    await lane?.close();
  }

  /** Partitions that a lane serves. */
  served(name: string): number[] {
    const status = this.#lanes.get(name)?.partitionStatus() ?? [];
    return status.flatMap(({ partition, phase }) => (phase === "serving" ? [partition] : []));
  }

  /** Bytes that all logs and checkpoints take in the grid, about. */
  gridBytes(): number {
    let bytes = 0;
    for (const lane of this.#lanes.values()) {
      for (const { gridBytes } of lane.partitionStatus()) bytes += gridBytes;
    }
    return bytes;
  }

  /** Asks by way of one lane; resolves with the answer, rejects with any failure. */
  ask(name: string, command: string, input: Value, options: SubmitOptions = {}): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#lanes.get(name)?.submit(command, input, { deadlineMs, ...options }, (outcome) => {
        if (outcome.ok) resolve(outcome.value);
        else reject(new Error(`${outcome.failure.code}: ${outcome.failure.message}`));
      });
    });
  }

  /** Puts `count` entries into a partition. */
  async fill(name: string, route: string, count: number): Promise<void> {
    const atOnce = 1000;
    for (let from = 0; from < count; from += atOnce) {
      await this.ask(name, "fill", { route, from, count: Math.min(atOnce, count - from) });
    }
  }

  async close(): Promise<void> {
    for (const name of [...this.#lanes.keys()]) await this.leave(name);
    await this.#store.close();
  }
}
