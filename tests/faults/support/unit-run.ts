// Unit run: three units of two lanes each in processes of their own, on one grid, under load over
// HTTP by a client that keeps a ledger on disk; faults, how long they were felt, the judgement.
// Owns: putting a run together, what is measured of each fault, comparing what the partitions hold
// in the end, taken over by fresh lanes, with the ledger.
// Does not own: the faults, which are the stories' (unit-stories.ts).
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, type TestContext } from "vitest";
import { must } from "../../../src/base/assert.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { failed, unwrap } from "../../../src/base/failure.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { Reaper } from "../../../src/faults/reaper.ts";
import { RunningUnit } from "../../../src/faults/running-unit.ts";
import { CommandLoad, type LoadedCommand } from "../../../src/load/command-load.ts";
import { metricOf } from "../../end-to-end/support/unit-process.ts";
import { FaultLedger } from "./fault-ledger.ts";
import { gridOn, openLanes } from "./fault-run.ts";
import { FsyncedLedger } from "./fsynced-ledger.ts";

const units = 3;
const lanes = 2;
const partitions = 12;
const patient = { chains: 2, deadlineMs: 30_000 };
const hastyDeadlineMs = 20;
/** The load is at its full rate by then, in each partition. */
const answersBefore = 20 * partitions;
const rateWindowMs = 1000;

const application = new URL("./numbering-application.ts", import.meta.url).href;

/** Where a unit lives. */
export interface UnitHome {
  readonly host: string;
  readonly prefix: readonly string[];
}

const loopback: UnitHome = { host: "127.0.0.1", prefix: [] };

/** A fault, as the clients of those units felt it that are not hit. */
interface Strike {
  readonly what: string;
  readonly survivors: readonly number[];
  readonly mayRefuse: boolean;
  readonly atMs: number;
  /** Commands acknowledged in the second before. */
  readonly perSecond: number;
  /** Commands under way at the fault, in the partition that had fewest. */
  readonly underWay: number;
  /** Until each of those units served each partition again. */
  servedMs: number;
}

type Seen = (command: LoadedCommand) => void;

export class UnitRun {
  readonly folder: string;
  readonly store: string;
  readonly load: CommandLoad;
  readonly #homes: readonly UnitHome[];
  readonly #units: RunningUnit[];
  readonly #ledger: FsyncedLedger;
  readonly #reaper: Reaper;
  readonly #strikes: Strike[] = [];
  readonly #watchers: Set<Seen>;

  private constructor(
    parts: Pick<UnitRun, "folder" | "store" | "load"> & {
      readonly homes: readonly UnitHome[];
      readonly units: RunningUnit[];
      readonly ledger: FsyncedLedger;
      readonly reaper: Reaper;
      readonly watchers: Set<Seen>;
    },
  ) {
    this.folder = parts.folder;
    this.store = parts.store;
    this.load = parts.load;
    this.#homes = parts.homes;
    this.#units = parts.units;
    this.#ledger = parts.ledger;
    this.#reaper = parts.reaper;
    this.#watchers = parts.watchers;
  }

  /** All units serve, under load; everything ends with the test. Default store: LMDB. */
  static async start(
    storeUrl: string | null,
    homes: readonly UnitHome[] = Array.from({ length: units }, () => loopback),
  ): Promise<UnitRun> {
    // On a disk, not in the system's folder for temporary files where that lies in memory.
    const folder = mkdtempSync(join(tmpdir(), "orrery-units-"));
    const store = storeUrl ?? `lmdb:${join(folder, "grid")}`;
    const reaper = new Reaper();
    onTestFinished(async () => {
      await reaper.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const started = await Promise.all(
      homes.map((home, unit) => startUnit({ store, folder, reaper, home, unit })),
    );
    const ledger = new FsyncedLedger(join(folder, "ledger.jsonl"));
    const watchers = new Set<Seen>();
    const load = new CommandLoad({
      urls: started.map(({ url }) => url),
      partitions,
      command: "enter",
      patient,
      hastyDeadlineMs,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      note: async (command) => {
        await ledger.note(command);
        if (command.outcome === null) return;
        for (const watcher of [...watchers]) watcher(command);
      },
    });
    const parts = { folder, store, load, homes, units: started, ledger, reaper, watchers };
    const run = new UnitRun(parts);
    onTestFinished(async ({ task }) => {
      load.end();
      if (task.result?.state === "fail") console.error(await run.#report());
    });
    await load.start();
    await load.serves(started.map((_, unit) => unit));
    return run;
  }

  unit(number: number): RunningUnit {
    return must(this.#units[number], () => `there is no unit ${String(number)}`);
  }

  /**
   * True when so many commands, sent from now on, were acknowledged as there are partitions; false
   * when one was answered that the grid is unavailable.
   */
  async gridAnswers(): Promise<boolean> {
    const fromMs = systemClock.monotonicMs();
    let answers = 0;
    let isAway = false;
    await this.answered(({ sentMs, outcome }) => {
      if (sentMs >= fromMs && outcome?.ok === true) answers++;
      isAway = outcome?.ok === false && outcome.failure.code === "GRID_UNAVAILABLE";
      return isAway || answers >= partitions;
    });
    return !isAway;
  }

  /** Resolves when a command is answered that is `it`. */
  answered(it: (command: LoadedCommand) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (command: LoadedCommand) => {
        if (!it(command)) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }

  /**
   * The fault, at full load, with commands under way to every partition; resolves when the units
   * `survivors` serve every partition again. No patient command of their clients may be refused.
   * A fault that takes effect later than it is called says so by `now`.
   */
  async strike(
    what: string,
    survivors: readonly number[],
    fault: (now: () => void) => unknown,
    mayRefuse = false,
  ): Promise<void> {
    let answers = 0;
    await this.answered(
      ({ outcome }) =>
        outcome?.ok === true &&
        ++answers >= answersBefore &&
        Math.min(...this.load.underWay()) >= patient.chains,
    );
    const strike = {
      what,
      survivors,
      mayRefuse,
      atMs: systemClock.monotonicMs(),
      perSecond: this.load.rate(rateWindowMs),
      underWay: Math.min(...this.load.underWay()),
      servedMs: 0,
    };
    this.#strikes.push(strike);
    await fault(() => {
      strike.atMs = systemClock.monotonicMs();
    });
    await this.load.serves(survivors);
    strike.servedMs = systemClock.monotonicMs() - strike.atMs;
  }

  /** The same, of a fault that lasts longer than a command waits. */
  strikeHard(
    what: string,
    survivors: readonly number[],
    fault: (now: () => void) => unknown,
  ): Promise<void> {
    return this.strike(what, survivors, fault, true);
  }

  /** A unit that was killed is started anew, and its clients go back to it. */
  async restart(unit: number): Promise<void> {
    const { folder, store } = this;
    const home = must(this.#homes[unit], "a home for each unit");
    this.#units[unit] = await startUnit({ store, folder, reaper: this.#reaper, home, unit });
    await this.load.replace(unit, this.unit(unit).url);
  }

  /** Partitions that serve in a unit, as it says: a second or two old. */
  async share(unit: number): Promise<number> {
    return (await metricOf(this.unit(unit).url, "orrery_partitions_serving")) ?? 0;
  }

  /** Null where each unit serves as many partitions as the others; else what each serves. */
  async unevenShares(): Promise<string | null> {
    const shares = await Promise.all(this.#units.map((_, unit) => this.share(unit)));
    return shares.every((share) => share === partitions / units) ? null : shares.join(", ");
  }

  /** How often a partition was claimed so far, by anybody: as the units' logs say. */
  claims(): number {
    const logs = this.#units.map(({ name }) =>
      readFileSync(join(this.folder, `${name}.log`), "utf8"),
    );
    return logs.reduce((sum, log) => sum + log.split(`"partition serves"`).length - 1, 0);
  }

  /**
   * Ends the load and kills all units; fresh lanes take everything over. What is wrong with what
   * they hold, and with the answers that clients of units got that no kill -9 hit: each command
   * with seconds to wait must have been served.
   */
  async judge(context: TestContext): Promise<string[]> {
    await this.load.stop();
    for (const strike of this.#strikes) await context.annotate(this.#summary(strike));
    await Promise.all(this.#units.map((unit) => unit.kill()));
    const ledger = new FaultLedger();
    ledger.adopt(this.#ledger.read());
    this.#ledger.close();
    const nothingNew = () => Promise.resolve(failed("GRID_LOST", "the grid has been made"));
    const identity = unwrap(await gridOn(this.store, nothingNew));
    const fresh = await openLanes({ url: this.store, identity });
    const holdings = fresh.holdings();
    const problems: string[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const holding = holdings.get(partition);
      if (holding === undefined) {
        problems.push(`partition ${partition}: ${fresh.halted.get(partition)?.message ?? "gone"}`);
      } else problems.push(...ledger.problems(partition, holding));
    }
    for (const strike of this.#strikes.filter(({ mayRefuse }) => !mayRefuse)) {
      const { refused } = this.#felt(strike);
      for (const { id, outcome } of refused) {
        problems.push(`${strike.what}: command ${id} was answered ${JSON.stringify(outcome)}`);
      }
    }
    await context.annotate(JSON.stringify({ acknowledged: ledger.acknowledged().length }));
    return problems;
  }

  /** For a person, where a test fails: where it stood, and what the units say. */
  async #report(): Promise<string> {
    const nowMs = systemClock.monotonicMs();
    const open = this.load.commands
      .filter(({ outcome }) => outcome === null)
      .map(({ id, sentMs, units: sentTo }) => {
        return `${id} to unit ${sentTo.join(", ")}: open for ${Math.round(nowMs - sentMs)} ms`;
      });
    const said = await Promise.all(
      this.#units.map(async (unit) => {
        const { name, url } = unit;
        const signal = AbortSignal.timeout(1000);
        const ready = await fetch(`${url}/readyz`, { signal }).then(
          (answer) => answer.text(),
          String,
        );
        return `${name}: ${ready}\n${unit.report()}`;
      }),
    );
    return [...this.#strikes.map((strike) => this.#summary(strike)), ...open, ...said].join("\n");
  }

  /** Commands that were under way at a fault or sent before all was served again. */
  #felt({ survivors, atMs, servedMs }: Strike) {
    const felt = this.load.commands.filter(
      ({ sentMs, answeredMs }) => answeredMs >= atMs && sentMs <= atMs + servedMs,
    );
    const whole = felt.filter(
      ({ units: [first = -1, ...others] }) => others.length === 0 && survivors.includes(first),
    );
    const hasty = whole.filter(({ deadlineMs }) => deadlineMs === hastyDeadlineMs);
    // A disk that stands still for a second is the machine's: nothing was done, and it says so.
    const isRefused = ({ outcome }: LoadedCommand) =>
      outcome?.ok !== true && outcome?.failure.code !== "GRID_UNAVAILABLE";
    return {
      felt,
      refused: whole.filter(({ deadlineMs }) => deadlineMs !== hastyDeadlineMs).filter(isRefused),
      hasty,
      hastyRefused: hasty.filter(isRefused),
    };
  }

  #summary(strike: Strike): string {
    const { felt, refused, hasty, hastyRefused } = this.#felt(strike);
    return JSON.stringify({
      fault: strike.what,
      perSecond: Math.round(strike.perSecond),
      underWay: strike.underWay,
      servedMs: Math.round(strike.servedMs),
      felt: felt.length,
      repeated: felt.filter(({ units: sentTo }) => sentTo.length > 1).length,
      refused: countBy(refused),
      hasty: hasty.length,
      hastyRefused: hastyRefused.length,
    });
  }
}

/** How often each failure was answered. */
function countBy(commands: readonly LoadedCommand[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of commands) {
    const code = outcome === null ? "none" : outcome.ok ? "ok" : outcome.failure.code;
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

function startUnit(options: {
  readonly store: string;
  readonly folder: string;
  readonly reaper: Reaper;
  readonly home: UnitHome;
  readonly unit: number;
}): Promise<RunningUnit> {
  const { store, folder, reaper, home, unit } = options;
  const { host, prefix } = home;
  const name = `unit-${String(unit)}`;
  return RunningUnit.start(
    { name, store, application, lanes, partitions, host },
    { folder, reaper, prefix },
  );
}
