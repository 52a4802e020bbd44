// Database run: units of the written application on one grid, each with a proxy of its own
// to one PostgreSQL, under load over HTTP by a client that keeps a ledger.
// Owns: putting it together, taking it apart, restarting a unit, the verdict over the database.
// Does not own: the faults, which are those of a test (tests/faults) or a soak (soak-database.ts).
import { must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import type { ArmedFailpoint } from "../src/base/failpoints.ts";
import { systemRandom } from "../src/base/random.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { PostgresProxy } from "../src/faults/postgres-proxy.ts";
import { PostgresServer } from "../src/faults/postgres-server.ts";
import { Reaper } from "../src/faults/reaper.ts";
import { RunningUnit } from "../src/faults/running-unit.ts";
import { WrittenJudge } from "../src/faults/written-judge.ts";
import { WrittenLedger } from "../src/faults/written-ledger.ts";
import type { WrittenOptions } from "../src/faults/written-application.ts";
import { CommandLoad, type LoadedCommand } from "../src/load/command-load.ts";
import { metricsOf } from "./unit-counts.ts";

const application = new URL("../src/faults/written-application.ts", import.meta.url).href;
const host = "127.0.0.1";
const patientMs = 5000;
const hastyMs = 500;
const pollMs = 50;
/** What the client forgets of itself, once the ledger has it. */
const keptCommandsMax = 20_000;

export interface DatabaseRunOptions {
  /** Where everything lies; PostgreSQL's user can reach it. Somebody else removes it. */
  readonly folder: string;
  readonly units: number;
  readonly lanes: number;
  readonly partitions: number;
  /** Of an entry's text, by partition. */
  readonly textBytes: readonly number[];
  /** Commands that wait at each unit for each partition. */
  readonly chains: number;
  /** Between the commands of one chain. */
  readonly pauseMs: number;
  readonly gridBytesMax: number;
  /** Of the grid: lmdb:… or hazelcast://… */
  readonly store: string;
}

export class DatabaseRun {
  readonly options: DatabaseRunOptions;
  readonly server: PostgresServer;
  readonly proxies: readonly PostgresProxy[];
  readonly judge: WrittenJudge;
  readonly ledger = new WrittenLedger();
  readonly #units: RunningUnit[] = [];
  readonly #reaper = new Reaper();
  #load: CommandLoad | null = null;
  /** Sees each command that is sent or answered. */
  #watcher: ((command: LoadedCommand) => void) | null = null;

  private constructor(
    options: DatabaseRunOptions,
    server: PostgresServer,
    proxies: readonly PostgresProxy[],
  ) {
    this.options = options;
    this.server = server;
    this.proxies = proxies;
    this.judge = new WrittenJudge(server.url, options.partitions);
  }

  /** Resolves when all units serve under load. */
  static async start(options: DatabaseRunOptions): Promise<DatabaseRun> {
    const server = await PostgresServer.start(options.folder);
    const proxies: PostgresProxy[] = [];
    for (let unit = 0; unit < options.units; unit++) {
      proxies.push(await PostgresProxy.listen(server.port));
    }
    const run = new DatabaseRun(options, server, proxies);
    try {
      await run.#begin();
      return run;
    } catch (error) {
      await run.close();
      throw error;
    }
  }

  unit(number: number): RunningUnit {
    return must(this.#units[number], () => `there is no unit ${String(number)}`);
  }

  proxy(unit: number): PostgresProxy {
    return must(this.proxies[unit], () => `there is no proxy ${String(unit)}`);
  }

  get load(): CommandLoad {
    return must(this.#load, "a run has its load");
  }

  /** Starts a unit, or starts it again, and sends it its clients. */
  async startUnit(number: number, failpoint?: ArmedFailpoint): Promise<void> {
    const { folder, store, lanes, partitions, textBytes, gridBytesMax } = this.options;
    this.#units[number] = await RunningUnit.start(
      {
        name: `unit-${String(number)}`,
        store,
        database: this.proxy(number).urlOf(this.server.url),
        application,
        options: { textBytes } satisfies WrittenOptions,
        lanes,
        partitions,
        host,
        gridBytesMax,
      },
      { folder, reaper: this.#reaper, ...(failpoint && { failpoint }) },
    );
    const { url } = this.unit(number);
    if (this.#load !== null && url !== "") await this.#load.replace(number, url);
  }

  /**
   * Resolves when the database holds all that was acknowledged before this call; throws an Error
   * where that does not come.
   */
  async caughtUp(patienceMs = 300_000): Promise<void> {
    const highest = this.ledger.highest();
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += pollMs) {
      if (await this.judge.holds(highest)) return;
      await delay(systemTimers, pollMs);
    }
    throw new Error(`the database did not catch up\n${this.report()}`);
  }

  /**
   * True when a command to each partition, on the average, was acknowledged from now on; false when
   * one was answered that the grid is unavailable.
   */
  gridAnswers(): Promise<boolean> {
    let answers = 0;
    const fromMs = systemClock.monotonicMs();
    return new Promise((resolve) => {
      this.#watcher = ({ sentMs, outcome }) => {
        if (sentMs < fromMs) return;
        if (outcome?.ok === true) answers++;
        const isAway = outcome?.ok === false && outcome.failure.code === "GRID_UNAVAILABLE";
        if (!isAway && answers < this.options.partitions) return;
        this.#watcher = null;
        resolve(!isAway);
      };
    });
  }

  /** What is wrong with the database, compared with the ledger, at this moment. */
  problems(): Promise<string[]> {
    return this.judge.problems(this.ledger);
  }

  /** Sum of a metric over the units that run; a second old. */
  async metric(name: string): Promise<number> {
    const running = this.#units.filter(({ isRunning }) => isRunning);
    const all = await Promise.all(running.map(({ url }) => metricsOf(url).catch(() => null)));
    return all.reduce((sum, metrics) => sum + (metrics?.get(name) ?? 0), 0);
  }

  /** What the units said last. */
  report(): string {
    return this.#units.map((unit) => `${unit.name}:\n${unit.report()}`).join("\n");
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#load?.end();
    await this.#reaper.close();
    for (const proxy of this.proxies) await proxy.close();
    await this.server.close();
  }

  async #begin(): Promise<void> {
    const numbers = this.proxies.map((_, unit) => unit);
    await this.startUnit(0); // makes the grid and the tables
    await this.judge.keepSums();
    await Promise.all(numbers.slice(1).map((unit) => this.startUnit(unit)));
    const { partitions, chains, pauseMs } = this.options;
    const load: CommandLoad = new CommandLoad({
      urls: this.#units.map(({ url }) => url),
      partitions,
      command: "enter",
      patient: { chains, deadlineMs: patientMs },
      hastyDeadlineMs: hastyMs,
      pauseMs,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      note: (command: LoadedCommand) => {
        this.ledger.note(command);
        this.#watcher?.(command);
        if (load.commands.length > keptCommandsMax) load.forget();
        return Promise.resolve();
      },
    });
    this.#load = load;
    await load.start();
    await load.serves(numbers);
  }
}
