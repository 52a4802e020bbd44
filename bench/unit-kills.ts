// Unit kills: kill -9 of one of three units of two lanes on one LMDB folder, under load over HTTP;
// how long until the others serve every partition, and what their clients felt of it.
// Owns: the units, the kills, what was answered against what was counted. Does not own: the load
// (src/load/command-load.ts), what is concluded (recovery.ts).
import { join } from "node:path";
import { must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { systemRandom } from "../src/base/random.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { Reaper } from "../src/faults/reaper.ts";
import { RunningUnit } from "../src/faults/running-unit.ts";
import { CommandLoad, type LoadedCommand } from "../src/load/command-load.ts";
import type { ScenarioOptions } from "./scenario.ts";

const units = [0, 1, 2];
const lanes = 2;
const partitions = 24;
const patientMs = 5000;
const hastyMs = 20;
/** Commands that wait at each unit for each partition: to see what can be had, and at a kill. */
const capacityChains = 8;
const loadChains = 5;
const full = { capacityMs: 4000, steadyMs: 2000 };
const smoke: typeof full = { capacityMs: 500, steadyMs: 500 };

const application = new URL("./recovery-application.ts", import.meta.url).href;

export interface Kill {
  readonly unit: number;
  /** Until both other units had served every partition. */
  readonly servedMs: number;
  readonly perSecond: number;
  /** Commands under way at the kill, in the partition that had fewest. */
  readonly underWay: number;
  /** Of clients of the other units: commands that were under way at the kill or sent until then. */
  readonly patient: Felt;
  readonly hasty: Felt;
  /** Commands of clients of the killed unit, that were repeated at another one. */
  readonly repeated: Felt;
}

export interface Felt {
  readonly commands: number;
  readonly failed: number;
}

/** The three units, and how to start them. */
class Cluster {
  readonly store: string;
  readonly #folder: string;
  readonly #reaper = new Reaper();
  readonly #units: RunningUnit[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    this.store = `lmdb:${join(folder, "grid")}`;
  }

  unit(number: number): RunningUnit {
    return must(this.#units[number], "a unit that was started");
  }

  async start(number: number): Promise<void> {
    const name = `unit-${String(number)}`;
    const host = "127.0.0.1";
    this.#units[number] = await RunningUnit.start(
      { name, store: this.store, application, lanes, partitions, host },
      { folder: this.#folder, reaper: this.#reaper },
    );
  }

  newLoad(chains: number): CommandLoad {
    return new CommandLoad({
      urls: units.map((number) => this.unit(number).url),
      partitions,
      command: "enter",
      patient: { chains, deadlineMs: patientMs },
      hastyDeadlineMs: hastyMs,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      note: () => Promise.resolve(),
    });
  }

  async close(): Promise<void> {
    await this.#reaper.close();
  }
}

export interface Kills {
  /** Commands a second that the three can do. */
  readonly capacity: number;
  /** One for each round. */
  readonly kills: readonly Kill[];
  /** Where answers and counts disagree. */
  readonly problems: readonly string[];
}

/** Kills one unit a round, in turn, and starts it again. */
export async function killUnits(options: ScenarioOptions): Promise<Kills> {
  const size = options.smoke ? smoke : full;
  const cluster = new Cluster(options.folder);
  try {
    await Promise.all(units.map((number) => cluster.start(number)));
    const books = new Books();
    const capacity = await capacityOf(cluster, size.capacityMs, books);
    options.progress(`capacity: ${capacity.toFixed(0)} commands a second`);
    const load = cluster.newLoad(loadChains);
    await load.start();
    await load.serves(units);
    const kills: Kill[] = [];
    for (let round = 0; round < options.rounds; round++) {
      await delay(systemTimers, size.steadyMs);
      const kill = await killOne(cluster, load, round % units.length, size.steadyMs);
      kills.push(kill);
      books.take(load);
      options.progress(
        `kill ${String(round + 1)}: unit ${String(kill.unit)}, ` +
          `${kill.servedMs.toFixed(0)} ms, ${String(kill.hasty.failed)} hasty failed`,
      );
    }
    await load.stop();
    books.take(load);
    return { capacity, kills, problems: books.problems() };
  } finally {
    await cluster.close();
  }
}

/** Commands a second with so many under way that more would only wait longer. */
async function capacityOf(cluster: Cluster, windowMs: number, books: Books): Promise<number> {
  const load = cluster.newLoad(capacityChains);
  await load.start();
  await delay(systemTimers, 2 * windowMs);
  const perSecond = load.rate(windowMs);
  await load.stop();
  books.take(load);
  return perSecond;
}

async function killOne(
  cluster: Cluster,
  load: CommandLoad,
  unit: number,
  steadyMs: number,
): Promise<Kill> {
  const survivors = units.filter((number) => number !== unit);
  const perSecond = load.rate(steadyMs / 2);
  const underWay = Math.min(...load.underWay());
  const atMs = systemClock.monotonicMs();
  const killed = cluster.unit(unit).kill();
  const servedMs = await load.serves(survivors);
  await killed;
  await cluster.start(unit);
  await load.replace(unit, cluster.unit(unit).url);
  await load.serves(units);
  const felt = load.commands.filter(
    ({ sentMs, answeredMs, outcome }) =>
      outcome !== null && answeredMs >= atMs && sentMs <= atMs + servedMs,
  );
  const whole = felt.filter(({ units: [first = -1, ...others] }) => {
    return others.length === 0 && survivors.includes(first);
  });
  return {
    unit,
    servedMs,
    perSecond,
    underWay,
    patient: feltBy(whole.filter(({ deadlineMs }) => deadlineMs === patientMs)),
    hasty: feltBy(whole.filter(({ deadlineMs }) => deadlineMs === hastyMs)),
    repeated: feltBy(felt.filter(({ units: sentTo }) => sentTo.length > 1)),
  };
}

function feltBy(commands: readonly LoadedCommand[]): Felt {
  const failed = commands.filter(({ outcome }) => outcome?.ok !== true).length;
  return { commands: commands.length, failed };
}

/** What was answered in all, against what was counted: nothing lost, nothing counted twice. */
class Books {
  readonly #acknowledged = new Map<number, number>();
  readonly #unknown = new Map<number, number>();
  /** The highest count that was answered. */
  readonly #counted = new Map<number, number>();

  /** Takes what a load has answered, which then forgets it. */
  take(load: CommandLoad): void {
    for (const { partition, outcome } of load.commands) {
      if (outcome?.ok === true) {
        addOne(this.#acknowledged, partition);
        const before = this.#counted.get(partition) ?? 0;
        this.#counted.set(partition, Math.max(before, Number(outcome.value)));
      } else if (outcome?.failure.kind === "unknown") addOne(this.#unknown, partition);
    }
    load.forget();
  }

  problems(): string[] {
    return [...this.#acknowledged].flatMap(([partition, least]) => {
      const most = least + (this.#unknown.get(partition) ?? 0);
      const counted = this.#counted.get(partition) ?? 0;
      if (counted >= least && counted <= most) return [];
      const where = `partition ${String(partition)} counted ${String(counted)}`;
      return [`${where}, and answered ${String(least)} to ${String(most)}`];
    });
  }
}

function addOne(counts: Map<number, number>, partition: number): void {
  counts.set(partition, (counts.get(partition) ?? 0) + 1);
}
