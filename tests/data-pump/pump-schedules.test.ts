// Goal (D1): under any schedule, the database equals the fold of records 1 to seq of every
// partition after each transaction, and of all records once everything is well again.
// Method: property over seeds. Several lanes take partitions from one another (the older owner
// goes on as a zombie), the database loses calls, applies them late, goes away and is restored
// from backups, logs cannot be read for a while; the comparison runs after each transaction.
import fc from "fast-check";
import { expect, test } from "vitest";
import { failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { CallName, Fault } from "../support/memory-database.ts";
import { item, PumpWorld, type MemoryLog, type WorldLane } from "../support/pump-world.ts";

const partitions = 3;
const faults: readonly Fault[] = ["away", "lost", "applied", "late"];

class Schedule {
  readonly world = new PumpWorld(partitions);
  readonly problems: string[] = [];
  readonly lanes: WorldLane[];
  readonly #random: Random;
  readonly #faultRate: number;
  /** Per partition: the lane that owns it, its epoch, and how far each older owner saw the log. */
  readonly #owners = new Map<number, { lane: WorldLane; epoch: number; tail: number | null }>();
  readonly #restores: (() => void)[] = [];
  #isHealed = false;
  #isAway = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#faultRate = this.#random.fraction() * 0.5;
    this.lanes = Array.from({ length: 3 }, () =>
      this.world.lane({
        fault: (call) => this.#fault(call),
        delayMs: () => this.#random.fraction() * 30,
      }),
    );
    this.world.server.onWritten = () => this.problems.push(...this.world.differences());
  }

  #fault(call: CallName): Fault {
    if (this.#isHealed) return "none";
    if (this.#isAway) return "away";
    if (!this.#random.chance(this.#faultRate)) return "none";
    const fault = this.#random.pick(faults);
    return call === "write" || fault === "applied" ? fault : "away";
  }

  /** A lane claims a partition; whoever had it sees nothing of the log from here on. */
  takeOver(log: MemoryLog): void {
    const before = this.#owners.get(log.partition);
    if (before !== undefined) {
      before.tail = log.tail;
      // Most owners notice soon; a zombie goes on.
      if (this.#random.chance(0.5)) before.lane.pump.detach(log.partition);
    }
    const others = this.lanes.filter((lane) => lane !== before?.lane);
    const owner: { lane: WorldLane; epoch: number; tail: number | null } = {
      lane: this.#random.pick(others),
      epoch: log.claim(),
      tail: null,
    };
    this.#owners.set(log.partition, owner);
    owner.lane.halted.delete(log.partition);
    owner.lane.pump.attach(log.source(owner.epoch, () => owner.tail ?? log.tail));
  }

  #put(log: MemoryLog): void {
    const owner = this.#owners.get(log.partition);
    if (owner === undefined) return;
    const key = `p${String(log.partition)}.${String(this.#random.below(4))}`;
    const count = this.#random.chance(0.2) ? null : log.tail;
    const bytes = this.#random.chance(0.1) ? limits.pumpMemoryBytesMax / 3 : 100;
    this.world.put(owner.lane, log, owner.epoch, [item(key, count)], bytes);
  }

  async step(): Promise<void> {
    const log = this.#random.pick(this.world.logs);
    const dice = this.#random.below(100);
    if (dice < 70) this.#put(log);
    else if (dice < 76) this.takeOver(log);
    else if (dice < 79) this.#restores.push(this.world.server.backup());
    else if (dice < 81 && this.#restores.length > 0) this.#random.pick(this.#restores)();
    else if (dice < 83) this.#isAway = !this.#isAway;
    else if (dice < 85) log.readFailures.push(failure("STORE_TIMEOUT", "no answer"));
    else await this.world.pass(this.#random.below(200));
  }

  /** Everything is well again; every owner writes what it has. */
  async heal(): Promise<void> {
    this.#isHealed = true;
    for (const log of this.world.logs) log.readFailures.length = 0;
    // Late transactions have landed, and a restore is noticed, after the second idle check.
    await this.world.pass(3 * limits.pumpIdleCheckMs + 2 * limits.pumpBackoffMsMax);
  }

  /** Reasons for which an owner that nobody followed has stopped. */
  wrongHalts(): string[] {
    return [...this.#owners].flatMap(([partition, { lane }]) => {
      const reason = lane.halted.get(partition);
      return reason === undefined ? [] : [`${partition}: ${reason.code} ${reason.message}`];
    });
  }
}

test("D1: the database is always the fold of what it has, and in the end of everything", async () => {
  const runs = Number(process.env["ORRERY_PUMP_RUNS"] ?? 150);
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 10, max: 150 }), async (seed, steps) => {
      const schedule = new Schedule(seed);
      for (const log of schedule.world.logs) schedule.takeOver(log);
      for (let step = 0; step < steps; step++) await schedule.step();
      expect(schedule.problems).toEqual([]);
      await schedule.heal();
      expect(schedule.problems).toEqual([]);
      expect(schedule.wrongHalts()).toEqual([]);
      for (const log of schedule.world.logs) {
        expect(schedule.world.server.row(log.partition)?.seq).toBe(log.tail);
      }
      expect(schedule.world.differences()).toEqual([]);
    }),
    { numRuns: runs },
  );
});
