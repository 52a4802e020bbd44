// A schedule for pumps: several lanes take partitions from one another (the older owner goes on as
// a zombie), the database loses calls, applies them late, goes away, is restored from backups and
// refuses rows; an operator retries dead letters; logs are trimmed, rewound, and cannot be read
// for a while. A seed decides everything.
// Owns: the draw of what happens, what must be true after each transaction and in the end.
import { failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { Change } from "../../src/grid/log-record.ts";
import type { CallName, Fault } from "./memory-database.ts";
import { item, PumpWorld, type MemoryLog, type WorldLane } from "./pump-world.ts";

const partitions = 3;
const faults: readonly Fault[] = ["away", "lost", "applied", "late"];

interface Owner {
  readonly lane: WorldLane;
  readonly epoch: number;
  /** How far it saw the log, once it was followed by another. */
  tail: number | null;
}

const keys = 4;

export class PumpSchedule {
  readonly world = new PumpWorld(partitions);
  readonly problems: string[] = [];
  readonly lanes: WorldLane[];
  readonly #random: Random;
  readonly #faultRate: number;
  readonly #owners = new Map<number, Owner>();
  #restores: (() => void)[] = [];
  #restoredMs = -Infinity;
  #trims = 0;
  #isHealed = false;
  #isAway = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#faultRate = this.#random.fraction() * 0.5;
    this.lanes = Array.from({ length: 3 }, () =>
      this.world.lane({
        fault: (call) => this.#fault(call),
        delayMs: () => this.#random.fraction() * 30,
        onWritten: (partition, position) => this.#told(partition, position),
      }),
    );
    this.world.server.onWritten = () => this.problems.push(...this.world.differences());
    for (const log of this.world.logs) this.takeOver(log);
  }

  /** Runs so many steps, then heals; what was wrong stands in `problems`. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps && this.problems.length === 0; step++) await this.#step();
    if (this.problems.length > 0) return;
    await this.#heal();
    for (const [partition, { lane }] of this.#owners) {
      const reason = lane.halted.get(partition);
      if (reason !== undefined) this.problems.push(`halted: ${reason.code} ${reason.message}`);
    }
    for (const { partition, tail } of this.world.logs) {
      const { seq = -1 } = this.world.server.row(partition) ?? {};
      if (seq !== tail) this.problems.push(`${partition}: ends at ${seq}, the log at ${tail}`);
    }
    this.problems.push(...this.world.differences());
  }

  #fault(call: CallName): Fault {
    if (this.#isHealed) return "none";
    if (this.#isAway) return "away";
    if (!this.#random.chance(this.#faultRate)) return "none";
    const fault = this.#random.pick(faults);
    return call === "write" || fault === "applied" ? fault : "away";
  }

  /** What a lane is told to be written is in the database, unless it was restored just now. */
  #told(partition: number, position: number): void {
    const { time, server } = this.world;
    if (time.nowMs - this.#restoredMs < 500) return;
    const { seq = -1 } = server.row(partition) ?? {};
    if (seq < position) this.problems.push(`${partition}: told ${position}, written ${seq}`);
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
    const owner: Owner = { lane: this.#random.pick(others), epoch: log.claim(), tail: null };
    this.#owners.set(log.partition, owner);
    owner.lane.halted.delete(log.partition);
    owner.lane.pump.attach(log.source(owner.epoch, () => owner.tail ?? log.tail));
  }

  /** The grid loses what the database does not have; the next owner claims before anybody knows. */
  #rewind(log: MemoryLog): void {
    const { server } = this.world;
    const { seq = 0 } = server.row(log.partition) ?? {};
    const before = this.#owners.get(log.partition);
    const claims = log.records.filter(({ record }) => record.body.type === "claim");
    const last = claims.at(-1)?.record.position ?? 0;
    this.#restores = []; // to both at once no owner has an answer
    if (before !== undefined) before.tail = log.tail;
    log.rewind(Math.max(seq, last) + this.#random.below(2));
    this.takeOver(log);
    const epoch = this.#owners.get(log.partition)?.epoch ?? 0;
    server.claim(1, [{ partition: log.partition, epoch }]);
  }

  /** What the owner's row says to be written is trimmed; claims stay. */
  #trim(log: MemoryLog): void {
    const owner = this.#owners.get(log.partition);
    if (owner === undefined) return;
    this.#restores = []; // a backup older than the log is a loss
    this.#trims++;
    void owner.lane.pump.confirmWritten(log.partition).then((seq) => {
      this.#trims--;
      this.#restores = [];
      if (seq === null || this.#owners.get(log.partition) !== owner) return;
      for (const { record } of log.records.slice(1, seq + 1)) {
        if (record.body.type !== "claim") log.gone.add(record.position);
      }
    });
  }

  #change(log: MemoryLog, part: number, number: number): Change {
    const key = `p${String(log.partition)}.${String(number)}`;
    const count = log.tail + part / 2;
    if (this.#random.chance(0.2)) return { space: "events", key, value: { count } };
    return item(key, this.#random.chance(0.2) ? null : count);
  }

  #put(log: MemoryLog): void {
    const owner = this.#owners.get(log.partition);
    if (owner === undefined) return;
    const { world } = this;
    const records = this.#random.chance(0.03) ? 200 : 1;
    for (let record = 0; record < records; record++) {
      const bytes = this.#random.chance(0.1) ? limits.pumpMemoryBytesMax / 30 : 100;
      const length = 1 + this.#random.below(2);
      let number = this.#random.below(keys);
      const changes = Array.from({ length }, (_, part) => {
        const change = this.#change(log, part, number);
        // Often the same key again: what follows a letter must be one.
        if (this.#random.chance(0.5)) number = this.#random.below(keys);
        return change;
      });
      world.put(owner.lane, log, owner.epoch, changes, bytes);
    }
  }

  #constrain(): void {
    const [modulus, rest] = [5 + this.#random.below(15), this.#random.below(5)];
    const isOn = this.#random.chance(0.7);
    this.world.server.refuses = (_table, _key, value) => {
      const { count } = value as { count: number };
      return isOn && count % modulus === rest;
    };
  }

  #retry(log: MemoryLog): void {
    const { server, tables } = this.world;
    const letters = server.letters(log.partition);
    if (letters.length === 0) return;
    // Mostly somebody has taken the constraint away first.
    if (this.#random.chance(0.7)) server.refuses = () => false;
    const { space, key } = this.#random.pick(letters);
    server.retryLetters(log.partition, space, key, tables);
  }

  async #step(): Promise<void> {
    const log = this.#random.pick(this.world.logs);
    const dice = this.#random.below(100);
    if (dice < 56) this.#put(log);
    else if (dice < 62) this.takeOver(log);
    else if (dice < 63) this.#rewind(log);
    else if (dice < 65) this.#trim(log);
    else if (dice < 68) this.#restores.push(this.world.server.backup());
    else if (dice < 70) this.#restore();
    else if (dice < 72) this.#isAway = !this.#isAway;
    else if (dice < 74) log.readFailures.push(failure("STORE_TIMEOUT", "no answer"));
    else if (dice < 76) this.#constrain();
    else if (dice < 81) this.#retry(log);
    else await this.world.pass(this.#random.below(200));
  }

  #restore(): void {
    if (this.#restores.length === 0 || this.#trims > 0) return;
    this.#random.pick(this.#restores)();
    this.#restoredMs = this.world.time.nowMs;
  }

  /** Everything is well again; every owner writes what it has. */
  async #heal(): Promise<void> {
    this.#isHealed = true;
    this.world.server.refuses = () => false;
    for (const log of this.world.logs) log.readFailures.length = 0;
    // Late transactions have landed, and a restore is noticed, after the second idle check.
    await this.world.pass(3 * limits.pumpIdleCheckMs + 4 * limits.pumpBackoffMsMax);
  }
}
