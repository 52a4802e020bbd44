// Fault run: members, a new grid on them, lanes, a load that runs; and the judgement at the end.
// Owns: putting a run together, taking all partitions over by fresh lanes, comparing what they
// hold with the ledger. Does not own: the faults, which are the tests' (src/faults).
import { onTestFinished, type TestContext } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { failed, ok, unwrap, type Failure, type Outcome } from "../../../src/base/failure.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import type { HazelcastMembers, MembersOptions } from "../../../src/faults/hazelcast-members.ts";
import { openGrid, type GridIdentity } from "../../../src/grid/grid-directory.ts";
import { openStore } from "../../../src/grid/stores/open-store.ts";
import { startMembers } from "../../support/hazelcast.ts";
import type { CutOffLane } from "./cut-off-lane.ts";
import { FaultLanes, type FaultLanesOptions } from "./fault-lanes.ts";
import { FaultLedger } from "./fault-ledger.ts";
import { FaultLoad } from "./fault-load.ts";

const faultPartitions = 16;

/** Opens the grid on members as a unit does; `mayCreate` is what the database says. */
export async function gridOn(
  url: string,
  mayCreate: () => Promise<Outcome<null>>,
): Promise<Outcome<GridIdentity>> {
  const store = unwrap(await openStore(url));
  try {
    return await openGrid({
      store,
      timers: systemTimers,
      clock: systemClock,
      random: systemRandom(),
      partitions: null,
      partitionsDefault: faultPartitions,
      mayCreate,
    });
  } finally {
    await store.close();
  }
}

export class FaultRun {
  readonly members: HazelcastMembers;
  readonly lanes: FaultLanes;
  readonly ledger: FaultLedger;
  readonly load: FaultLoad;
  /** Partitions of lanes elsewhere. */
  readonly #halted = new Map<number, Failure>();
  #hit: number | null = null;

  constructor(members: HazelcastMembers, lanes: FaultLanes) {
    this.members = members;
    this.lanes = lanes;
    this.ledger = new FaultLedger();
    this.load = new FaultLoad(lanes, this.ledger);
  }

  /** The fault, with appends in flight; resolves with what it gives. */
  async strike<T>(fault: () => T): Promise<Awaited<T>> {
    const { result, hit } = await this.load.underPressure(fault);
    this.#hit = Math.min(this.#hit ?? hit, hit);
    return result;
  }

  /** What a lane elsewhere was asked and answered is judged with this run. */
  async adopt(elsewhere: CutOffLane): Promise<void> {
    const { lines, halted } = await elsewhere.ask({ what: "stop" });
    await this.load.stop();
    this.ledger.adopt(lines);
    for (const [partition, reason] of halted) this.#halted.set(partition, reason);
  }

  /**
   * Ends the load, and takes over all partitions with fresh lanes. What is wrong: with what they
   * hold, with lanes that acknowledge after they were taken over, with partitions that halted.
   * Where data `mayBeLost`, one that halted and named the loss is as it should be.
   */
  async judge(context: TestContext, mayBeLost = false): Promise<string[]> {
    await this.load.stop();
    const problems: string[] = [];
    if (this.#hit === 0) problems.push("no append was in flight at the fault");
    await context.annotate(this.#summary());
    await this.lanes.sever();
    const fresh = await openLanes({ url: this.members.url, identity: this.lanes.identity });
    const holdings = fresh.holdings();
    for (let partition = 0; partition < this.lanes.identity.partitions; partition++) {
      const halted = [this.lanes, fresh].map((lanes) => lanes.halted.get(partition));
      const [reason] = [...halted, this.#halted.get(partition)].filter((one) => one !== undefined);
      if (reason === undefined) {
        problems.push(...this.ledger.problems(partition, holdings.get(partition) ?? new Map()));
      } else if (!mayBeLost || reason.code !== "GRID_LOST") {
        problems.push(`partition ${partition} halted: ${reason.message}`);
      }
    }
    const from = this.ledger.size;
    this.load.sendEverywhere();
    await this.load.stop();
    for (const { partition } of this.ledger.acknowledged(from)) {
      problems.push(`partition ${partition}: acknowledged by a lane that was taken over`);
    }
    return problems;
  }

  #summary(): string {
    const { halted, partitions } = this.lanes;
    const serving = partitions.filter((partition) => !halted.has(partition));
    return JSON.stringify({
      hit: this.#hit,
      stallMs: Math.round(this.ledger.stallMs(serving)),
      silenceMs: Math.round(this.ledger.silenceMs()),
      halted: halted.size,
      ...this.ledger.counts(),
    });
  }
}

/** Lanes that end with the test. */
export async function openLanes(options: FaultLanesOptions): Promise<FaultLanes> {
  const lanes = await FaultLanes.open(options);
  onTestFinished(() => lanes.close());
  return lanes;
}

/**
 * A run whose partitions all serve under load; everything of it ends with the test. Its lanes are
 * 0 and 1, which lanes elsewhere reach at `host`.
 */
export async function startFaultRun(
  options: Omit<MembersOptions, "folder"> = {},
  host?: string,
): Promise<FaultRun> {
  const members = await startMembers(options);
  const identity = unwrap(await gridOn(members.url, () => Promise.resolve(ok(null))));
  const lanes = await openLanes({ url: members.url, identity, host });
  const run = new FaultRun(members, lanes);
  onTestFinished(async ({ task }) => {
    run.load.pause();
    if (task.result?.state !== "fail") return;
    const reports = await Promise.all(members.members.map((member) => member.report()));
    console.error([...lanes.notices, ...reports].join("\n"));
  });
  run.load.start();
  await run.load.servesAgain();
  return run;
}

/** A database that knows the grid: nothing may be made where the members hold none. */
export function databaseKnows(): Promise<Outcome<null>> {
  return Promise.resolve(failed("GRID_LOST", "the database holds rows of a grid"));
}
