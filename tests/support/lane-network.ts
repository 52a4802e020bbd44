// Lanes in this thread, linked to one another by message channels: for tests of what they do
// together. Each stands for a unit of its own.
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { systemClock } from "../../src/base/clock.ts";
import { failed, ok, unwrap } from "../../src/base/failure.ts";
import { newId } from "../../src/base/ids.ts";
import { seededRandom, systemRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Pump } from "../../src/data-pump/pump.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import type { Store } from "../../src/grid/store.ts";
import { PortLink } from "../../src/messaging-grid/port-link.ts";
import type { Application } from "../../src/processing-units/application.ts";
import type { LaneListener } from "../../src/processing-units/lane-options.ts";
import { Lane } from "../../src/processing-units/lane.ts";

export interface NetworkedLane {
  readonly name: string;
  readonly store: Store;
  readonly listener?: Partial<LaneListener>;
  /** Left out: there is no database. */
  readonly pump?: Pump | null;
}

export class LaneNetwork {
  readonly #identity: GridIdentity;
  readonly #application: Application;
  readonly #lanes = new Map<string, Lane>();
  #isCut = false;
  readonly #ports = new Set<MessagePort>();

  constructor(identity: GridIdentity, application: Application) {
    this.#identity = identity;
    this.#application = application;
  }

  get lanes(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  /** A lane that has not joined yet. */
  add({ name, store, listener, pump = null }: NetworkedLane): Lane {
    const incarnation = newId(systemRandom());
    const lane = new Lane({
      lane: { incarnation, unit: name, name, address: name, release: "test", database: null },
      predecessor: null,
      identity: this.#identity,
      store,
      application: this.#application,
      pump,
      gridBytesMax: 2 ** 32,
      clock: systemClock,
      timers: systemTimers,
      random: seededRandom(this.#lanes.size),
      listener: {
        serving: () => undefined,
        stopped: () => undefined,
        released: () => undefined,
        lost: () => undefined,
        received: (_peer, _request, respond) => respond,
        ...listener,
      },
      connect: (address, hello, wanted) => {
        const other = this.#lanes.get(address);
        if (other === undefined || this.#isCut)
          return Promise.resolve(failed("PEER_GONE", `no lane ${wanted}`));
        const { port1, port2 } = new MessageChannel();
        for (const port of [port1, port2]) {
          this.#ports.add(port);
          port.once("close", () => this.#ports.delete(port));
        }
        other.accept(hello, new PortLink(port2));
        return Promise.resolve(ok(new PortLink(port1)));
      },
    });
    this.#lanes.set(name, lane);
    return lane;
  }

  /** All that were added join; resolves when every partition serves, and all agree on where. */
  async join(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    for (const joined of await Promise.all(lanes.map((lane) => lane.join()))) unwrap(joined);
    await this.settled();
  }

  /** Resolves when every lane has what it should have and knows who has the rest. */
  settled(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    return new Promise((resolve) => {
      const look = systemTimers.every(10, () => {
        if (!lanes.every((lane) => lane.gridStatus().settled)) return;
        const served = lanes.flatMap((lane) => lane.partitionStatus());
        const shares = lanes.map((lane) => lane.partitionStatus().length);
        const isEven = Math.max(...shares) - Math.min(...shares) <= 1;
        if (served.length !== this.#identity.partitions || !isEven) return;
        look.cancel();
        resolve();
      });
    });
  }

  /** All links end, and no new one can be made until `mend`. */
  async cut(): Promise<void> {
    this.#isCut = true;
    const ports = [...this.#ports];
    this.#ports.clear();
    const closed = ports.map((port) => new Promise((resolve) => port.once("close", resolve)));
    for (const port of ports) port.close();
    await Promise.all(closed);
  }

  mend(): void {
    this.#isCut = false;
  }
}
