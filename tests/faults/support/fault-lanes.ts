// Fault lanes: lanes of the numbering application in this thread, each with a store and a door of
// its own, put together as src/processing-units/lane-worker.ts does it; each is a unit of its own.
// Owns: putting lanes together, which of their partitions halted, their end.
// Does not own: what is sent to them (fault-load.ts), the members behind the stores.
import { systemClock } from "../../../src/base/clock.ts";
import { failed, unwrap, type Failure } from "../../../src/base/failure.ts";
import { newId } from "../../../src/base/ids.ts";
import { limits } from "../../../src/base/limits.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { holdsGrid, type GridIdentity } from "../../../src/grid/grid-directory.ts";
import { openStore } from "../../../src/grid/stores/open-store.ts";
import { connectLink } from "../../../src/messaging-grid/ws-client.ts";
import { listenForLinks, type WsServer } from "../../../src/messaging-grid/ws-server.ts";
import { Lane } from "../../../src/processing-units/lane.ts";
import type { PartitionStatus } from "../../../src/processing-units/unit-status.ts";
import { partitionOfId, type Holding } from "./fault-ledger.ts";
import { MortalTimers } from "./mortal-timers.ts";
import { entered, numberingApplication } from "./numbering-application.ts";
import { StoreTap } from "./store-tap.ts";

export interface FaultLanesOptions {
  /** Store URL of the members. */
  readonly url: string;
  readonly identity: GridIdentity;
  /** Default: lanes 0 and 1. */
  readonly names?: readonly string[];
  /** Where other lanes reach these. Default: only those of this machine do. */
  readonly host?: string | undefined;
  /** Lanes elsewhere have their share; default: these have everything. */
  readonly share?: boolean;
}

interface OneLane {
  readonly lane: Lane;
  readonly store: StoreTap;
  readonly door: WsServer;
}

const token = "all lanes of fault tests know it";
const lookMs = 10;

export class FaultLanes {
  readonly identity: GridIdentity;
  /** What the stores said of themselves. */
  readonly notices: string[] = [];
  readonly #options: FaultLanesOptions;
  readonly #timers = new MortalTimers();
  readonly #lanes: OneLane[] = [];
  readonly #halted = new Map<number, Failure>();
  #isSevered = false;

  private constructor(options: FaultLanesOptions) {
    this.#options = options;
    this.identity = options.identity;
  }

  /**
   * Opens them; they join the grid. Resolves when each partition that is to be theirs serves, or
   * has halted. Throws a FailureError where one cannot join.
   */
  static async open(options: FaultLanesOptions): Promise<FaultLanes> {
    const lanes = new FaultLanes(options);
    try {
      for (const name of options.names ?? ["lane 0", "lane 1"]) await lanes.#add(name);
      const joins = await Promise.all(lanes.#lanes.map(({ lane }) => lane.join()));
      for (const joined of joins) unwrap(joined);
      await lanes.#settled();
      return lanes;
    } catch (error) {
      await lanes.close();
      throw error;
    }
  }

  /** Partitions that one of these lanes has. */
  get partitions(): number[] {
    return this.#statuses()
      .map(({ partition }) => partition)
      .sort((a, b) => a - b);
  }

  /** Partitions that stopped for good, and why. */
  get halted(): ReadonlyMap<number, Failure> {
    return this.#halted;
  }

  /** Partitions whose append the members have not answered. */
  get appending(): number[] {
    return this.#lanes.flatMap(({ store }) => store.appending);
  }

  /** The lane that has a partition, or where there is one another lane. */
  entrance(partition: number, byWayOfAnother: boolean): Lane {
    const lanes = this.#lanes.map(({ lane }) => lane);
    const owner = lanes.find((lane) =>
      lane.partitionStatus().some((status) => status.partition === partition),
    );
    const other = lanes.find((lane) => lane !== owner);
    const found = byWayOfAnother ? (other ?? owner) : (owner ?? other);
    if (found === undefined) throw new Error("there are no lanes here");
    return found;
  }

  /** What each partition that serves here holds. */
  holdings(): Map<number, Holding> {
    const holdings = new Map<number, Map<string, number>>();
    for (const { partition, phase } of this.#statuses()) {
      if (phase === "serving") holdings.set(partition, new Map());
    }
    for (const { lane } of this.#lanes) {
      for (const [id, { number }] of lane.entries(entered)) {
        holdings.get(partitionOfId(id))?.set(id, number);
      }
    }
    return holdings;
  }

  /** From now on the grid hears nothing of them, and no lane can reach them: they are given up. */
  async sever(): Promise<void> {
    this.#isSevered = true;
    for (const { store } of this.#lanes) store.keepsSilent = true;
    await Promise.all(this.#lanes.map(({ door }) => door.close()));
  }

  /** Ends them as a crash does: nothing is waited for. */
  async close(): Promise<void> {
    this.#timers.end();
    await this.sever();
    await Promise.all(this.#lanes.map(({ store }) => store.close()));
  }

  async #add(name: string): Promise<void> {
    const { identity, url, host } = this.#options;
    const incarnation = newId(systemRandom());
    const opened = await openStore(url, {
      admits: (behind) => holdsGrid(behind, identity),
      changed: () => {
        lane.checkLogs();
      },
      log: (message) => this.notices.push(`${name}: ${message}`),
    });
    const store = new StoreTap(unwrap(opened));
    const listening = await listenForLinks({
      host,
      port: 0,
      token,
      incarnation,
      timers: this.#timers,
      onLink: (hello, link) => {
        lane.accept(hello, link);
      },
    });
    const door = unwrap(listening);
    const unit = `${name} ${incarnation}`;
    const lane: Lane = new Lane({
      lane: { incarnation, unit, name: unit, address: door.url, release: "test", database: null },
      predecessor: null,
      identity,
      store,
      application: numberingApplication,
      pump: null,
      gridBytesMax: 2 ** 32,
      clock: systemClock,
      timers: this.#timers,
      random: systemRandom(),
      listener: {
        serving: () => undefined,
        released: () => undefined,
        stopped: (partition, reason, halted) => {
          if (halted) this.#halted.set(partition, reason);
        },
        lost: (reason) => this.notices.push(`${name}: ${reason.message}`),
        received: (_peer, _request, respond) => respond,
      },
      connect: (address, hello, wanted) =>
        this.#isSevered
          ? Promise.resolve(failed("PEER_UNREACHABLE", "the test has severed this lane"))
          : connectLink({
              url: address,
              hello,
              wanted,
              token,
              timers: this.#timers,
              deadlineMs: limits.peerConnectMs,
            }),
    });
    this.#lanes.push({ lane, store, door });
  }

  #statuses(): PartitionStatus[] {
    return this.#lanes.flatMap(({ lane }) => lane.partitionStatus());
  }

  /** Resolves when these lanes have what is to be theirs, evenly, and it serves or has halted. */
  #settled(): Promise<void> {
    return new Promise((resolve) => {
      const look = systemTimers.every(lookMs, () => {
        const shares = this.#lanes.map(({ lane }) => lane.partitionStatus().length);
        const all = this.#statuses();
        const isDone = all.every(({ phase }) => phase === "serving" || phase === "halted");
        const isAll = new Set(all.map(({ partition }) => partition)).size;
        const wanted = this.#options.share === true ? 1 : this.identity.partitions;
        const isEven = Math.max(...shares) - Math.min(...shares) <= 1;
        if (!isDone || !isEven || isAll < wanted) return;
        if (!this.#lanes.every(({ lane }) => lane.gridStatus().settled)) return;
        look.cancel();
        resolve();
      });
    });
  }
}
