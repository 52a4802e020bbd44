// Log run: one partition's log, two or three lanes that take it from one another, and a store
// that lies; a seed decides everything. The first part of a run breaks things, the second heals
// them and demands that a fresh lane takes over, loads and appends.
// Owns: the mix of faults of a seed, and when which lane does what.
// Does not own: what is right (log-oracle.ts).
import { unwrap } from "../base/failure.ts";
import { seededRandom, type Random } from "../base/random.ts";
import { openGrid, type GridIdentity } from "../grid/grid-directory.ts";
import type { CheckpointSizes } from "../grid/checkpointer.ts";
import { everyRule, type LogRules } from "../grid/log-rules.ts";
import { LogOracle } from "./log-oracle.ts";
import { LogOwner, type OwnerSetting } from "./log-owner.ts";
import { LogProbes } from "./log-probes.ts";
import type { Replica } from "./replica-store.ts";
import { honest, LyingStore, type Lies } from "./lying-store.ts";
import { TraceHash } from "./trace-hash.ts";
import { VirtualProcess } from "./virtual-process.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface LogRunOptions {
  readonly seed: number;
  readonly rules?: LogRules;
  /** Once in the run all copies go back to an earlier state, or are emptied. */
  readonly rewinds?: boolean;
}

export interface LogRunResult {
  readonly violations: readonly string[];
  readonly probes: LogProbes;
  /** Equal for equal seeds. */
  readonly trace: string;
  readonly events: number;
  readonly acknowledgedRecords: number;
}

const partition = 0;
const eventsMax = 200_000;
/** A healed store lets a fresh lane serve within this time. */
const convergenceMs = 60_000;

/** Runs one seed. Never rejects: what went wrong stands in `violations`. */
export async function runLog(options: LogRunOptions): Promise<LogRunResult> {
  const run = new LogRun(options);
  try {
    await run.whole();
  } catch (error) {
    run.oracle.violate(`the run failed: ${String(error)}`);
  }
  run.trace.text(run.oracle.violations.join());
  return {
    violations: run.oracle.violations,
    probes: run.probes,
    trace: run.trace.digest,
    events: run.time.events,
    acknowledgedRecords: run.oracle.acknowledgedRecords,
  };
}

function drawLies(random: Random): Lies {
  const upTo = (most: number): number => (random.chance(0.3) ? 0 : random.fraction() * most);
  return {
    lostRequest: upTo(0.1),
    lostAnswer: upTo(0.15),
    missedBackup: upTo(random.chance(0.3) ? 0.7 : 0.25),
    duplicate: upTo(0.3),
    duplicateMsMax: 50 + random.fraction() * 600,
    lateRequest: upTo(0.1),
    quickError: 0.9,
    delayMsMax: random.pick([0.5, 2, 8]),
  };
}

/** Checkpoints after some records; a few entries make a segment, or few fit the delta. */
function drawSizes(random: Random): CheckpointSizes {
  return {
    logBytesMin: random.pick([400, 1500, Infinity]),
    handOverBytesMin: random.pick([1, 500]),
    segmentBytes: random.pick([30, 150, 5000]),
    deltaBytesMax: random.pick([60, 10_000]),
    sharedTimesMax: random.pick([0, 0.5, 2]),
  };
}

class LogRun {
  readonly time = new VirtualTime();
  readonly trace = new TraceHash();
  readonly probes = new LogProbes();
  readonly oracle: LogOracle;
  readonly #random: Random;
  readonly #store: LyingStore;
  readonly #rules: LogRules;
  readonly #breakChance: number;
  readonly #newsChance: number;
  /** So many actions before the end, and what the copies go back to. */
  readonly #rewindAt: number;
  #past: Replica;
  #owners: LogOwner[] = [];
  #actions: number;
  #numbers = 0;

  constructor({ seed, rules = everyRule, rewinds = false }: LogRunOptions) {
    this.#random = seededRandom(seed);
    this.#rules = rules;
    this.#breakChance = this.#random.pick([0, 0.03, 0.08, 0.25]);
    this.#actions = 60 + this.#random.below(140);
    this.#store = new LyingStore({
      time: this.time,
      random: this.#random.fork("store"),
      trace: this.trace,
      copies: this.#random.chance(0.7) ? 2 : 3,
      lies: drawLies(this.#random.fork("lies")),
    });
    this.oracle = new LogOracle(partition, 1, this.#store.copies);
    if (this.#random.chance(0.5)) this.oracle.written = 0;
    this.#newsChance = this.#random.pick([0, 0.02, 0.2]);
    this.#rewindAt = rewinds ? this.#random.below(this.#actions) : -1;
    this.#past = this.#store.copies.snapshot();
  }

  async whole(): Promise<void> {
    const identity = await this.#create();
    const setting: OwnerSetting = {
      time: this.time,
      store: this.#store,
      oracle: this.oracle,
      probes: this.probes,
      rules: this.#rules,
      sizes: drawSizes(this.#random.fork("sizes")),
      partition,
      gridId: identity.gridId,
      generation: identity.generation,
      nextNumber: () => ++this.#numbers,
    };
    const names = this.#random.chance(0.5) ? ["a", "b"] : ["a", "b", "c"];
    this.#owners = names.map((name) => new LogOwner(name, setting));
    if (this.#random.chance(0.5)) this.#store.onMissedBackup = () => this.#missed();
    this.time.after(0, () => this.#direct());
    const isDone = (): boolean => this.#actions === 0 || this.#isBroken;
    await this.time.run({ untilMs: Infinity, eventsMax, isDone });
    this.oracle.audit("before healing");
    if (this.#isBroken) return;
    if (this.#rewindAt >= 0) {
      await this.#settle();
      return;
    }
    await this.#converge(new LogOwner("z", setting));
    this.oracle.audit("at the end");
  }

  get #isBroken(): boolean {
    return this.oracle.violations.length > 0;
  }

  /** The grid is made by one lane, or by two at once over a store that lies already. */
  async #create(): Promise<GridIdentity> {
    const { lies } = this.#store;
    // Another maker who sleeps would make an emptied grid anew: not what is looked at here.
    const makers = this.#random.chance(0.2) && this.#rewindAt < 0 ? 2 : 1;
    if (makers === 1) this.#store.lies = honest;
    const made: GridIdentity[] = [];
    for (let maker = 0; maker < makers; maker++) {
      const process = new VirtualProcess(this.time);
      const random = this.#random.fork(`maker ${String(maker)}`);
      const store = this.#store.connect(process);
      const { timers, clock } = process;
      const open = async (): Promise<void> => {
        const mayCreate = () => Promise.resolve({ ok: true, value: null } as const);
        const options = { store, timers, clock, random, partitions: 1, partitionsDefault: 1 };
        const opened = await openGrid({ ...options, mayCreate });
        if (!opened.ok && opened.failure.code === "STORE_UNREACHABLE") return open();
        made.push(unwrap(opened));
      };
      open().catch((error: unknown) => this.oracle.violate(`creation: ${String(error)}`));
      // The other maker may wake up long after the grid was opened.
      if (maker === 1 && this.#random.chance(0.5)) {
        this.time.after(this.#random.fraction() * 10, () => process.pause());
        this.time.after(this.#random.fraction() * 300, () => process.resume());
      }
    }
    const isDone = (): boolean => made.length > 0 || this.#isBroken;
    await this.time.run({ untilMs: convergenceMs, eventsMax, isDone });
    this.#store.lies = lies;
    const [first] = made;
    if (first === undefined) throw new Error("the grid was not made");
    return first;
  }

  /** One thing happens, and after a short while the next. */
  #direct(): void {
    if (this.#actions === 0) return;
    this.#actions--;
    const random = this.#random;
    if (this.#actions === this.#rewindAt) this.#rewind();
    else if (this.#rewindAt >= 0 && random.chance(0.05)) {
      this.#past = this.#store.copies.snapshot();
    }
    if (random.chance(this.#newsChance)) this.#tellOwners(5);
    if (random.chance(0.2)) this.#pump();
    if (random.chance(this.#breakChance)) this.#breakStore();
    else this.#act(random.pick(this.#owners));
    this.time.after(random.fraction() * 10, () => this.#direct());
  }

  /** What keeps a backup from its message is often what ends the primary a little later. */
  #missed(): void {
    if (!this.#random.chance(0.15)) return;
    this.time.after(this.#random.fraction() * 12, () => this.#losePrimary());
  }

  #breakStore(): void {
    const { copies } = this.#store;
    const what = this.#random.below(4);
    if (what === 0) copies.catchUp();
    else if (copies.replicas.length === 1 || (what === 1 && copies.replicas.length < 3)) {
      copies.joinBackup();
    } else this.#losePrimary();
    this.#tellOwners(20);
  }

  /** Members changed: each owner hears of it, at a time of its own. */
  #tellOwners(withinMs: number): void {
    for (const owner of this.#owners) {
      this.time.after(this.#random.fraction() * withinMs, () => owner.membersChanged());
    }
  }

  /** The database has more of what was acknowledged; owners hear of it, some before it is so. */
  #pump(): void {
    const { written, lastKnown } = this.oracle;
    if (written === null || lastKnown <= written) return;
    const to = written + this.#random.below(lastKnown - written + 1);
    this.oracle.written = to;
    for (const owner of this.#owners) owner.written(this.#random.chance(0.1) ? lastKnown : to);
  }

  #rewind(): void {
    const empty = this.#random.chance(0.2);
    this.oracle.rewind(empty ? new Map<string, Buffer>() : this.#past);
    this.probes.reached(empty ? "emptied" : "rewound");
    this.#tellOwners(300);
  }

  #losePrimary(): void {
    const { copies } = this.#store;
    if (copies.replicas.length === 1) return;
    copies.losePrimary();
    this.probes.reached("primary lost");
    this.oracle.audit(`at ${this.time.nowMs.toFixed(1)} ms`);
    // Mostly another member joins soon, so that this can happen again.
    if (this.#random.chance(0.7)) {
      this.time.after(this.#random.fraction() * 50, () => copies.joinBackup());
    }
  }

  #act(owner: LogOwner): void {
    const random = this.#random;
    this.trace.text(owner.name + owner.phase);
    if (owner.process.state === "paused") return;
    const dice = random.below(100);
    if (dice < 6) owner.pause(random.fraction() * 200);
    else if (dice < 9) owner.kill();
    else if (dice < 12) owner.process.wallOffsetMs = random.below(20_000) - 10_000;
    else if (owner.phase === "idle") {
      if (dice < 50) owner.takeOver();
    } else if (owner.phase === "serving") {
      if (dice < 15) owner.handOver(random.chance(0.5));
      else if (dice < 45) owner.checkpoint();
      else owner.append(1 + random.below(3));
    }
  }

  /** After a rewind: all wake up, are asked for more, and come to rest, whatever that is. */
  async #settle(): Promise<void> {
    this.#store.lies = honest;
    this.#store.onMissedBackup = () => undefined;
    for (const owner of this.#owners) owner.process.resume();
    for (let push = 0; push < 50; push++) {
      this.time.after(push * 20, () => {
        for (const owner of this.#owners) owner.append(1);
      });
    }
    await this.time.run({ untilMs: this.time.nowMs + convergenceMs, eventsMax });
    const stuck = this.#owners.filter(({ unsettled }) => unsettled > 0);
    for (const { name } of stuck) this.oracle.violate(`L9: ${name} does not come to rest`);
  }

  /** Nothing lies any more, the others are stopped (or were only asleep): a fresh lane serves. */
  async #converge(fresh: LogOwner): Promise<void> {
    this.#store.lies = honest;
    this.#store.onMissedBackup = () => undefined;
    for (const owner of this.#owners) {
      owner.process.resume();
      if (this.#random.chance(0.5)) owner.kill();
    }
    let appended = false;
    const push = (): void => {
      if (fresh.phase === "idle") {
        appended = false;
        fresh.takeOver();
      } else if (fresh.phase === "serving" && !appended) {
        appended = true;
        fresh.append(3);
      }
      if (fresh.durableRecords === 0) this.time.after(5, push);
    };
    push();
    const isDone = (): boolean => fresh.durableRecords > 0 || this.#isBroken;
    await this.time.run({ untilMs: this.time.nowMs + convergenceMs, eventsMax, isDone });
    if (!isDone()) this.oracle.violate("I7: a fresh lane does not come to serve");
  }
}
