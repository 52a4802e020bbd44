// Soak faults: what a database run is exposed to, one after the other, drawn by a seed.
// Owns: the faults, each with its end: when it resolves, everything runs again.
// Does not own: the run (database-run.ts), when one comes, what must hold then (soak-database.ts).
import type { FailpointName } from "../src/base/failpoints.ts";
import type { Random } from "../src/base/random.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import type { CutPlace } from "../src/faults/postgres-proxy.ts";
import type { DatabaseRun } from "./database-run.ts";

export interface SoakFault {
  readonly name: string;
  /** Returns what exactly it was. */
  happen(run: DatabaseRun, random: Random): Promise<string>;
}

const awayMsMax = 5000;
const points: readonly FailpointName[] = [
  "log.append",
  "store.stored",
  "log.durable",
  "log.claimed",
  "pump.claimed",
  "pump.write",
  "pump.written",
];
const places: readonly CutPlace[] = ["mid-transaction", "before commit", "after commit"];

function anyUnit(run: DatabaseRun, random: Random): number {
  return random.below(run.options.units);
}

function unitName(unit: number): string {
  return `unit ${String(unit)}`;
}

/** A second or several. */
async function aWhile(random: Random): Promise<string> {
  const forMs = 1000 + random.below(awayMsMax - 1000);
  await delay(systemTimers, forMs);
  return `${String(forMs)} ms`;
}

function others(run: DatabaseRun, unit: number): number[] {
  return run.proxies.map((_, each) => each).filter((each) => each !== unit);
}

export const soakFaults: readonly SoakFault[] = [
  {
    name: "kill -9 of a unit",
    async happen(run, random) {
      const unit = anyUnit(run, random);
      await run.unit(unit).kill();
      await run.load.serves(others(run, unit));
      await run.startUnit(unit);
      return unitName(unit);
    },
  },
  {
    name: "kill -9 at a failpoint",
    async happen(run, random) {
      const unit = anyUnit(run, random);
      const name = random.pick(points);
      const isOnce = name === "log.claimed" || name === "pump.claimed";
      const time = isOnce ? 1 : 1 + random.below(100);
      await run.unit(unit).kill();
      await run.startUnit(unit, { name, does: "kill", time });
      await run.unit(unit).ended;
      await run.startUnit(unit);
      return `${unitName(unit)} at ${name}, time ${String(time)}`;
    },
  },
  {
    name: "kill -9 while a transaction is out",
    async happen(run, random) {
      const unit = anyUnit(run, random);
      const place = random.pick(places);
      const end = await run.proxy(unit).stall(place);
      await run.unit(unit).kill();
      end();
      await run.startUnit(unit);
      return `${unitName(unit)} ${place}`;
    },
  },
  {
    name: "end of a lane's thread",
    happen(run, random) {
      const unit = anyUnit(run, random);
      run.unit(unit).killLane();
      return Promise.resolve(unitName(unit));
    },
  },
  {
    name: "stop and start of a unit",
    async happen(run, random) {
      const unit = anyUnit(run, random);
      await run.unit(unit).stop();
      await run.startUnit(unit);
      return unitName(unit);
    },
  },
  {
    name: "SIGSTOP of a unit",
    async happen(run, random) {
      const unit = anyUnit(run, random);
      run.unit(unit).freeze();
      const forHowLong = await aWhile(random);
      run.unit(unit).resume();
      return `${unitName(unit)} for ${forHowLong}`;
    },
  },
  {
    name: "kill -9 of the postmaster",
    happen(run) {
      run.server.kill();
      return Promise.resolve("");
    },
  },
  {
    name: "kill -9 of a backend",
    async happen(run) {
      await run.server.killBackend();
      return "";
    },
  },
  {
    name: "cut of a connection",
    async happen(run, random) {
      const place = random.pick(places);
      await run.proxy(anyUnit(run, random)).cut(place);
      return place;
    },
  },
  {
    name: "SIGSTOP of the database",
    async happen(run, random) {
      run.server.freeze();
      const forHowLong = await aWhile(random);
      run.server.resume();
      return forHowLong;
    },
  },
  {
    name: "the database is stopped",
    async happen(run, random) {
      await run.server.stop();
      const forHowLong = await aWhile(random);
      await run.server.start();
      return forHowLong;
    },
  },
  {
    name: "a statement that hangs, cancelled",
    async happen(run, random) {
      const cancel = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted";
      const lock = ["BEGIN", "LOCK TABLE numbers IN EXCLUSIVE MODE"];
      const sleep = `SELECT pg_sleep(${String(1 + random.below(2))})`;
      await run.judge.run(...lock, sleep, cancel, "COMMIT");
      return "";
    },
  },
];
