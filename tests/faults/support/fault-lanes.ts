// Fault lanes: lanes of the numbering application in this thread, each with a store of its own,
// opened as src/processing-units/lane-worker.ts opens it, and linked to one another.
// Owns: putting lanes together, which of their partitions serve or halted, their end.
// Does not own: what is sent to them (fault-load.ts), the members behind the stores.
import { MessageChannel } from "node:worker_threads";
import { systemClock } from "../../../src/base/clock.ts";
import { failure, unwrap, type Failure } from "../../../src/base/failure.ts";
import { newId } from "../../../src/base/ids.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { holdsGrid, type GridIdentity } from "../../../src/grid/grid-directory.ts";
import { openStore } from "../../../src/grid/stores/open-store.ts";
import { Messenger } from "../../../src/messaging-grid/messenger.ts";
import { staticOwners, type OwnerTable } from "../../../src/messaging-grid/owner-table.ts";
import { PortLink } from "../../../src/messaging-grid/port-link.ts";
import { Lane } from "../../../src/processing-units/lane.ts";
import { partitionOfId, type Holding } from "./fault-ledger.ts";
import { entered, numberingApplication } from "./numbering-application.ts";
import { StoreTap } from "./store-tap.ts";

export interface FaultLanesOptions {
  /** Store URL of the members. */
  readonly url: string;
  readonly identity: GridIdentity;
  /** Default: partition p belongs to lane p mod 2. */
  readonly owners?: OwnerTable;
  /** Lanes that live here. Default: 0 and 1. */
  readonly numbers?: readonly number[];
}

interface OneLane {
  readonly number: number;
  readonly lane: Lane;
  readonly store: StoreTap;
  readonly messenger: Messenger;
}

export class FaultLanes {
  readonly identity: GridIdentity;
  readonly owners: OwnerTable;
  /** What the stores said of themselves. */
  readonly notices: string[] = [];
  readonly #options: FaultLanesOptions;
  readonly #incarnation = newId(systemRandom());
  readonly #lanes: OneLane[] = [];
  readonly #serving = new Set<number>();
  readonly #halted = new Map<number, Failure>();
  #settled: (() => void) | null = null;

  private constructor(options: FaultLanesOptions) {
    this.#options = options;
    this.identity = options.identity;
    this.owners = options.owners ?? staticOwners(options.identity.partitions, 2);
  }

  /** Opens them and claims their partitions; resolves when each of these serves, or has halted. */
  static async open(options: FaultLanesOptions): Promise<FaultLanes> {
    const lanes = new FaultLanes(options);
    for (const number of options.numbers ?? [0, 1]) lanes.#lanes.push(await lanes.#newLane(number));
    for (const [index, one] of lanes.#lanes.entries()) {
      for (const other of lanes.#lanes.slice(index + 1)) {
        const { port1, port2 } = new MessageChannel();
        one.messenger.connect(other.number, new PortLink(port1));
        other.messenger.connect(one.number, new PortLink(port2));
      }
    }
    const settled = new Promise<void>((resolve) => (lanes.#settled = resolve));
    for (const { lane } of lanes.#lanes) lane.open();
    await settled;
    return lanes;
  }

  /** Partitions of these lanes. */
  get partitions(): number[] {
    return this.#lanes.flatMap(({ number }) => this.owners.ownedBy(number));
  }

  /** Partitions that stopped for good, and why. */
  get halted(): ReadonlyMap<number, Failure> {
    return this.#halted;
  }

  /** Partitions whose append the members have not answered. */
  get appending(): number[] {
    return this.#lanes.flatMap(({ store }) => store.appending);
  }

  /** The lane that owns a partition, or where there is one another lane. */
  entrance(partition: number, byWayOfAnother: boolean): Lane {
    const owner = this.owners.ownerOf(partition);
    const other = byWayOfAnother ? this.#lanes.find(({ number }) => number !== owner) : undefined;
    const found = other ?? this.#lanes.find(({ number }) => number === owner);
    if (found === undefined) throw new Error(`partition ${partition} is not owned here`);
    return found.lane;
  }

  /** What each partition that serves holds. */
  holdings(): Map<number, Holding> {
    const holdings = new Map<number, Map<string, number>>();
    for (const partition of this.#serving) holdings.set(partition, new Map());
    for (const { lane } of this.#lanes) {
      for (const [id, { number }] of lane.entries(entered)) {
        holdings.get(partitionOfId(id))?.set(id, number);
      }
    }
    return holdings;
  }

  /** Ends them as a crash does: nothing is waited for. */
  async close(): Promise<void> {
    const reason = failure("SHUTTING_DOWN", "the test is over");
    for (const { lane, messenger, number } of this.#lanes) {
      messenger.close();
      for (const partition of this.owners.ownedBy(number)) lane.halt(partition, reason);
    }
    await Promise.all(this.#lanes.map(({ store }) => store.close()));
  }

  async #newLane(number: number): Promise<OneLane> {
    const { identity, url } = this.#options;
    let checkLogs = () => undefined as void;
    const opened = await openStore(url, {
      admits: (behind) => holdsGrid(behind, identity),
      changed: () => {
        checkLogs();
      },
      log: (message) => this.notices.push(`lane ${number}: ${message}`),
    });
    const store = new StoreTap(unwrap(opened));
    const messenger = new Messenger({
      clock: systemClock,
      timers: systemTimers,
      onRequest: (_peer, request, respond) => {
        lane.receive(request, respond);
      },
    });
    const lane: Lane = new Lane({
      lane: number,
      address: `lane-${number}`,
      incarnation: this.#incarnation + String(number),
      identity,
      store,
      application: numberingApplication,
      owners: this.owners,
      messenger,
      pump: null,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      listener: {
        serving: (partition) => {
          this.#serving.add(partition);
          this.#settleOne();
        },
        stopped: (partition, reason, halted) => {
          this.#serving.delete(partition);
          if (halted) this.#halted.set(partition, reason);
          this.#settleOne();
        },
      },
    });
    checkLogs = () => {
      lane.checkLogs();
    };
    return { number, lane, store, messenger };
  }

  #settleOne(): void {
    const open = this.partitions.filter(
      (partition) => !this.#serving.has(partition) && !this.#halted.has(partition),
    );
    if (open.length === 0) this.#settled?.();
  }
}
