// Soak of the way to the database, `npm run soak:database -- --for 1h`: three units under load on
// one grid and one PostgreSQL, a fault every 20 s; after each the database must catch up, and in
// the end be the fold of the log and the client's ledger.
// Owns: the clock of the faults, the record of the run, the exit code (0 good, 1 wrong, 2 usage).
// Does not own: the faults (soak-faults.ts), the units and the verdict (database-run.ts).
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { systemClock } from "../src/base/clock.ts";
import { seededRandom } from "../src/base/random.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { spread } from "../src/base/spread.ts";
import { DatabaseRun } from "./database-run.ts";
import { environment } from "./machine.ts";
import { textTable } from "./scenario.ts";
import { soakFaults } from "./soak-faults.ts";

const run = {
  units: 3,
  lanes: 2,
  partitions: 12,
  textBytes: Array<number>(12).fill(256),
  chains: 1,
  pauseMs: 40,
  gridBytesMax: 2 ** 28,
};
/** The verdict over everything, beside that at the end: after so many faults. */
const faultsPerVerdict = 15;
const patienceMs = 120_000;

interface Options {
  readonly for: number;
  readonly every: number;
  readonly seed: number;
  readonly json?: string;
}

/** A fault that happened, and how long the database then took to hold all that was acknowledged. */
interface Happened {
  readonly atMs: number;
  readonly name: string;
  readonly what: string;
  readonly lastedMs: number;
  readonly caughtUpMs: number;
}

function duration(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text);
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ""];
  if (unitMs === undefined) throw new InvalidArgumentError("It must be like 20s, 10m or 1h.");
  return Number(match?.[1]) * unitMs;
}

function seedOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number.");
}

class Soak {
  readonly happened: Happened[] = [];
  readonly problems: string[] = [];
  keptBytesMax = 0;
  isEnding = false;
  readonly #run: DatabaseRun;
  readonly #options: Options;
  readonly #startMs = systemClock.monotonicMs();

  constructor(started: DatabaseRun, options: Options) {
    this.#run = started;
    this.#options = options;
  }

  get ms(): number {
    return systemClock.monotonicMs() - this.#startMs;
  }

  /** Faults, until the time is over or something is wrong. */
  async faults(): Promise<void> {
    const random = seededRandom(this.#options.seed);
    for (let next = this.#options.every; next <= this.#options.for; next += this.#options.every) {
      await delay(systemTimers, Math.max(0, next - this.ms));
      if (this.isEnding) return;
      await this.#one(random);
      this.keptBytesMax = Math.max(this.keptBytesMax, await this.#run.metric("orrery_grid_bytes"));
      if (this.happened.length % faultsPerVerdict === 0) await this.#verdict();
      if (this.problems.length > 0) return;
    }
  }

  /** The last word: nothing more is sent, everything is there. */
  async end(): Promise<void> {
    await this.#run.load.serves(this.#run.proxies.map((_, unit) => unit));
    await this.#run.load.stop();
    await this.#run.caughtUp(patienceMs);
    await this.#verdict();
  }

  async #one(random: ReturnType<typeof seededRandom>): Promise<void> {
    const fault = random.pick(soakFaults);
    const atMs = this.ms;
    const what = await fault.happen(this.#run, random);
    const endMs = this.ms;
    await this.#run.caughtUp(patienceMs);
    const one = {
      atMs: Math.round(atMs),
      name: fault.name,
      what,
      lastedMs: Math.round(endMs - atMs),
      caughtUpMs: Math.round(this.ms - endMs),
    };
    this.happened.push(one);
    const { acknowledged } = this.#run.ledger;
    say(
      `${(atMs / 1000).toFixed(0)} s: ${one.name} ${one.what}: lasted ${String(one.lastedMs)} ms, ` +
        `caught up in ${String(one.caughtUpMs)} ms; ${String(acknowledged)} acknowledged`,
    );
  }

  async #verdict(): Promise<void> {
    const problems = await this.#run.problems();
    this.problems.push(...problems);
    say(problems.length === 0 ? "the database is the fold, and the ledger's" : "WRONG");
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function summary(soak: Soak, started: DatabaseRun): { report: string; figures: object } {
  const names = [...new Set(soak.happened.map(({ name }) => name))].sort();
  const rows = names.map((name) => {
    const times = soak.happened.filter((one) => one.name === name);
    const caughtUp = spread(times.map(({ caughtUpMs }) => caughtUpMs));
    return [name, String(times.length), caughtUp.median.toFixed(0), caughtUp.max.toFixed(0)];
  });
  const table = textTable([["fault", "times", "caught up after ms, median", "worst"], ...rows]);
  const { ledger } = started;
  const { acknowledged, sent } = ledger;
  const counts = `${String(sent)} commands sent, ${String(acknowledged)} acknowledged`;
  const kept = `at most ${String(soak.keptBytesMax)} bytes kept in the grid`;
  const lasted = `${(soak.ms / 60_000).toFixed(1)} minutes, ${String(soak.happened.length)} faults`;
  return {
    report: `${table}\n\n${lasted}; ${counts}; ${kept}`,
    figures: {
      lastedMs: Math.round(soak.ms),
      sent,
      acknowledged,
      keptBytesMax: soak.keptBytesMax,
      faults: soak.happened,
    },
  };
}

async function main(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "orrery-soak-"));
  chmodSync(folder, 0o755); // PostgreSQL runs as another user
  const startedAt = new Date().toISOString();
  const started = await DatabaseRun.start({
    ...run,
    folder,
    store: `lmdb:${join(folder, "grid")}`,
  });
  const soak = new Soak(started, options);
  process.once("SIGINT", () => {
    say("ending");
    soak.isEnding = true;
  });
  try {
    await soak.faults();
    if (soak.problems.length === 0) await soak.end();
  } catch (error) {
    soak.problems.push(error instanceof Error ? error.message : String(error));
  }
  const { report, figures } = summary(soak, started);
  const { problems } = soak;
  const { seed, every } = options;
  const facts = { startedAt, seed, everyMs: every, problems, environment: environment(folder) };
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ ...facts, ...figures }, null, 2)}\n`);
  }
  process.stdout.write(`${report}\nseed ${String(seed)}\n`);
  for (const problem of problems) process.stdout.write(`WRONG: ${problem}\n`);
  await started.close();
  rmSync(folder, { recursive: true, force: true });
  process.exit(problems.length === 0 ? 0 : 1);
}

await new Command("soak-database")
  .description("A fault every so often; in the end database = fold = the client's ledger.")
  .option("--for <duration>", "how long, like 10m or 1h", duration, 600_000)
  .option("--every <duration>", "between faults", duration, 20_000)
  .option("--seed <n>", "draws the faults", seedOf, 1)
  .option("--json <file>", "write the record of the run there")
  .action(main)
  .parseAsync();
