// Write-behind process: one candidate, one window, in a process of its own: a lane and its pump in
// this thread, or rows fed raw. Prints one line of JSON and ends.
// Owns: the loop of commands, warm-up, window, what is counted in it. Does not own: the database,
// rounds (write-behind.ts).
import { assert, must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { limits } from "../src/base/limits.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { routes } from "./entries-application.ts";
import {
  countRows,
  emptyDatabase,
  feedRaw,
  openWritingLane,
  type WritingLane,
} from "./write-behind-lane.ts";

export interface WriteBehindJob {
  /**
   * `raw`: no lane. `rows`: commands of many rows each, as fast as the pump writes. `commands`:
   * commands of one row each, as fast as lane and pump both can; `paced`: so many a second.
   */
  readonly kind: "raw" | "rows" | "commands" | "paced";
  /** postgres://…; null: the lane has no database. */
  readonly database: string | null;
  /** It is stopped, and will not answer: nothing is waited for. */
  readonly isAway?: boolean;
  readonly perSecond: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
}

export interface WriteBehindWindow {
  readonly seconds: number;
  readonly commands: number;
  /** Paced ones that were due while too many were under way. */
  readonly notSent: number;
  /** How often which failure was answered. */
  readonly failures: Readonly<Record<string, number>>;
  /** Processor time of this process. */
  readonly cpuUs: number;
  readonly rows: number;
  /** Rows asked for that the table lacks in the end; null: nobody looked. */
  readonly missing: number | null;
  readonly transactions: number;
  readonly backlogRecords: number;
  /** From journaled to known to be written. */
  readonly syncP50Ms: number;
  readonly syncP99Ms: number;
}

type LaneJob = WriteBehindJob & { readonly kind: Exclude<WriteBehindJob["kind"], "raw"> };

const partitions = 32;
const rowsPerCommand = 50;
const rowsPerRawTransaction = 5000;
const outstanding = 256;
/** Of paced commands: as many as a lane takes, so that a stall leaves none out. */
const pacedUnderWayMax = limits.laneCommandsInFlightMax;
/**
 * Records that wait for the database; more are not asked for. Some transactions' worth: the pump is
 * never idle, and never so far behind that it has to read the log again.
 */
const backlogMax = { rows: 2000, commands: 10_000 };
const paceMs = 2;
const firstLookMs = 10;
/** Backlog and all are to be in the database after so long. */
const drainMs = 120_000;

class Loop {
  commands = 0;
  notSent = 0;
  readonly failures: Record<string, number> = {};
  #underWay = 0;
  #next = 0;
  #isRunning = true;
  #isFilling = false;
  #fill = (): void => undefined;
  readonly #writing: WritingLane;
  readonly #routes = routes(partitions);
  readonly #rowsEach: number;

  constructor(writing: WritingLane, rowsEach: number) {
    this.#writing = writing;
    this.#rowsEach = rowsEach;
  }

  /** Keeps `outstanding` commands under way, while nothing holds them back. */
  full(isHeldBack: () => boolean): void {
    this.#fill = () => {
      this.#isFilling = false;
      while (this.#isRunning && this.#underWay < outstanding && !isHeldBack()) this.#send();
    };
    this.#fill();
    const beat = systemTimers.every(paceMs, () => {
      if (this.#isRunning) this.#fill();
      else beat.cancel();
    });
  }

  /** So many a second, evenly; after a stall of the machine not all that was due meanwhile. */
  paced(perSecond: number): void {
    const startMs = systemClock.monotonicMs();
    let sent = 0;
    const beat = systemTimers.every(paceMs, () => {
      if (!this.#isRunning) beat.cancel();
      const due = ((systemClock.monotonicMs() - startMs) / 1000) * perSecond;
      for (; this.#isRunning && sent < due; sent++) {
        if (this.#underWay < pacedUnderWayMax) this.#send();
        else this.notSent++;
      }
    });
  }

  /** Sends no more; resolves with the rows that were asked for, once all is answered. */
  async stop(): Promise<number> {
    this.#isRunning = false;
    while (this.#underWay > 0) await delay(systemTimers, paceMs);
    return this.#next;
  }

  #send(): void {
    const from = this.#next;
    this.#next += this.#rowsEach;
    this.#underWay++;
    const route = must(this.#routes[(from / this.#rowsEach) % partitions], "a route");
    const input = { route, from, count: this.#rowsEach };
    this.#writing.lane.submit("write", input, { deadlineMs: 30_000 }, (outcome) => {
      this.#underWay--;
      this.commands++;
      if (!this.#isFilling) {
        this.#isFilling = true;
        setImmediate(this.#fill); // answers of one tick are replaced together
      }
      if (outcome.ok) return;
      const { code } = outcome.failure;
      this.failures[code] = (this.failures[code] ?? 0) + 1;
    });
  }
}

async function measure(job: LaneJob): Promise<WriteBehindWindow> {
  const { kind, database, warmUpMs, windowMs } = job;
  const writing = await openWritingLane(database, partitions);
  const loop = new Loop(writing, kind === "rows" ? rowsPerCommand : 1);
  const status = () => writing.pump?.status() ?? null;
  if (kind === "paced") loop.paced(job.perSecond);
  else loop.full(() => (writing.pump?.backlogRecords ?? 0) > backlogMax[kind]);
  const isAway = () => job.isAway !== true && status()?.transactions === 0;
  while (isAway()) await delay(systemTimers, firstLookMs);
  await delay(systemTimers, warmUpMs);
  const before = { commands: loop.commands, status: status(), cpu: process.cpuUsage() };
  const [rows, transactions] = [before.status?.rows ?? 0, before.status?.transactions ?? 0];
  before.status?.syncTime.reset();
  const startMs = systemClock.monotonicMs();
  await delay(systemTimers, windowMs);
  // On a machine that does something else a short window would show nothing.
  const isEmpty = () => job.isAway !== true && status()?.transactions === transactions;
  while (isEmpty() || loop.commands === before.commands) await delay(systemTimers, firstLookMs);
  const { user, system } = process.cpuUsage(before.cpu);
  const after = status();
  const measured = {
    seconds: (systemClock.monotonicMs() - startMs) / 1000,
    commands: loop.commands - before.commands,
    notSent: loop.notSent,
    failures: loop.failures,
    cpuUs: user + system,
    rows: (after?.rows ?? 0) - rows,
    transactions: (after?.transactions ?? 0) - transactions,
    backlogRecords: after?.backlogRecords ?? 0,
    syncP50Ms: after?.syncTime.percentileMs(50) ?? 0,
    syncP99Ms: after?.syncTime.percentileMs(99) ?? 0,
  };
  return { ...measured, missing: await missingRows(job, writing, loop) };
}

/** Lets the pump write everything, and counts what is there. */
async function missingRows(
  { database, isAway }: WriteBehindJob,
  { pump }: WritingLane,
  loop: Loop,
): Promise<number | null> {
  if (database === null || pump === null || isAway === true) return null;
  const asked = await loop.stop();
  const isDrained = await pump.drain(drainMs);
  assert(isDrained, () => `${String(pump.backlogRecords)} records are not written`);
  return asked - (await countRows(database));
}

async function raw({ database, warmUpMs, windowMs }: WriteBehindJob): Promise<WriteBehindWindow> {
  assert(database !== null, "rows are fed to a database");
  const perSecond = await feedRaw(database, rowsPerRawTransaction, warmUpMs, windowMs);
  const seconds = windowMs / 1000;
  const none = {
    commands: 0,
    notSent: 0,
    cpuUs: 0,
    missing: null,
    backlogRecords: 0,
    syncP50Ms: 0,
    syncP99Ms: 0,
  };
  const rows = perSecond * seconds;
  return { ...none, failures: {}, seconds, rows, transactions: rows / rowsPerRawTransaction };
}

const job = JSON.parse(process.argv[2] ?? "") as WriteBehindJob;
if (job.database !== null) await emptyDatabase(job.database).catch(() => undefined); // it is away
const { kind } = job;
const window = kind === "raw" ? await raw(job) : await measure({ ...job, kind });
process.stdout.write(`${JSON.stringify(window)}\n`, () => process.exit());
