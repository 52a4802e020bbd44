// Scenario rivals: one reservation (a user's cap and a campaign's budget checked, the price taken,
// a record kept) made beside the code and over the wire by Orrery, by Redis, by PostgreSQL, and
// by Hazelcast's client alone.
// Owns: PostgreSQL, the members, one process for each window, the order of windows. Does not own:
// the rivals (rivals-servers.ts), what happens in a window (rivals-process.ts), the summary
// (rivals-report.ts).
import { chmodSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { HazelcastMembers, missingForHazelcast } from "../src/faults/hazelcast-members.ts";
import { PostgresServer } from "../src/faults/postgres-server.ts";
import { runChild } from "./child.ts";
import { probed } from "./machine.ts";
import { missingForRedis } from "./redis-server.ts";
import { planSeed, type Shape } from "./rivals-plan.ts";
import type { MeasuredRival } from "./rivals-figures.ts";
import type { RivalJob, RivalWindow } from "./rivals-process.ts";
import { rivalsReport } from "./rivals-report.ts";
import { rivalList, type Ground, type Rival } from "./rivals-servers.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";

interface Size {
  /** Reservations under way: each rival is measured with each. */
  readonly loads: readonly number[];
  readonly rawMs: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  readonly differentInputs: number;
  readonly hotLoad: number;
}

/** 256 under way: eight for each partition, so that records hold several; and two. */
const full: Size = {
  ...{ loads: [64, 256], hotLoad: 64, differentInputs: 20_000 },
  ...{ rawMs: 500, warmUpMs: 1500, windowMs: 3000 },
};
const smoke: Size = {
  ...{ loads: [64], hotLoad: 64, differentInputs: 500 },
  ...{ rawMs: 50, warmUpMs: 200, windowMs: 300 },
};

/** For runs of minutes: compiled fully, a heap that holds the largest window three times. */
const javaOptions = ["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"];
/** Windows on the members that do not count: they compile what they do. */
const warmUpWindows = 2;

const program = fileURLToPath(new URL("./rivals-process.ts", import.meta.url));

export const rivals: Scenario = {
  name: "rivals",
  summary: "one reservation on Redis, PostgreSQL, Hazelcast, and ours beside the code and by HTTP",
  takes: "about 30 minutes",
  roundsDefault: 5,
  run: (options) => measureRivals(options, rivalList),
};

/** Measures these rivals; those for which this machine lacks something are left out. */
export async function measureRivals(
  options: ScenarioOptions,
  list: readonly Rival[],
): Promise<ScenarioResult> {
  const leftOut = new Map<string, string>();
  const isNeeded = (what: Rival["needs"]) => list.some(({ needs }) => needs === what);
  const noMembers = isNeeded("members") ? missingForHazelcast() : null;
  const noRedis = isNeeded("redis") ? missingForRedis() : null;
  if (noMembers !== null) leftOut.set("members", noMembers);
  if (noRedis !== null) leftOut.set("redis", noRedis);
  const here = list.filter(({ needs }) => needs === null || !leftOut.has(needs));
  const needs = (what: Rival["needs"]) => here.some((rival) => rival.needs === what);
  const folder = resolve(options.folder);
  chmodSync(folder, 0o755); // PostgreSQL runs as another user
  let postgres: PostgresServer | null = null;
  let members: HazelcastMembers | null = null;
  try {
    options.progress("starting what serves all windows");
    if (needs("postgres")) postgres = await PostgresServer.start(folder);
    if (needs("members")) {
      const java = options.smoke ? {} : { javaOptions };
      members = await HazelcastMembers.start({ folder, ...java });
    }
    return await measureOn({ folder, members, postgres }, here, leftOut, options);
  } finally {
    await members?.stop();
    await postgres?.close();
  }
}

interface Turn {
  readonly rival: Rival;
  readonly shape: Shape;
  readonly outstanding: number;
}

async function measureOn(
  ground: Ground,
  here: readonly Rival[],
  leftOut: ReadonlyMap<string, string>,
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const size = options.smoke ? smoke : full;
  const spread = size.loads.flatMap((outstanding) =>
    here.map((rival): Turn => ({ rival, shape: "spread", outstanding })),
  );
  const hot = here
    .filter(({ runsHot }) => runsHot)
    .map((rival): Turn => ({ rival, shape: "hot", outstanding: size.hotLoad }));
  const turns = [...spread, ...hot];
  if (ground.members !== null && !options.smoke) await warmUp(ground, here, size, options);
  const windows: MeasuredRival[] = [];
  const total = String(turns.length * options.rounds);
  for (let round = 0; round < options.rounds; round++) {
    for (const turn of turns) {
      const window = await probed(() => measureTurn(turn, ground, size));
      const { rival, shape, outstanding } = turn;
      windows.push({ rival: rival.name, shape, outstanding, round, ...window });
      const perSecond = Math.round(window.answers / window.seconds).toLocaleString("en");
      options.progress(
        `${String(windows.length)}/${total}  round ${String(round + 1)}  ${shape}, ` +
          `${String(outstanding)} under way  ${rival.name}: ${perSecond}/s`,
      );
    }
  }
  const { loads, hotLoad, warmUpMs, windowMs } = size;
  return {
    ...rivalsReport({ loads, hotLoad, warmUpMs, windowMs, rivals: here, windows, leftOut }),
    seeds: { plan: planSeed },
  };
}

async function warmUp(
  ground: Ground,
  here: readonly Rival[],
  size: Size,
  options: ScenarioOptions,
): Promise<void> {
  const onMembers = here.filter(({ needs }) => needs === "members");
  for (let window = 0; window < warmUpWindows; window++) {
    options.progress("warming the members up");
    for (const rival of onMembers) {
      await measureTurn({ rival, shape: "spread", outstanding: size.hotLoad }, ground, size);
    }
  }
}

async function measureTurn(turn: Turn, ground: Ground, size: Size): Promise<RivalWindow> {
  const { rival, shape, outstanding } = turn;
  const started = await rival.start(ground, shape);
  const { target, serverPids } = started;
  try {
    const { rawMs, warmUpMs, windowMs, differentInputs } = size;
    const times = { rawMs, warmUpMs, windowMs, differentInputs };
    return await runProcess({ target, shape, serverPids, outstanding, ...times });
  } finally {
    await started.stop();
  }
}

/** One window in a fresh process. */
async function runProcess(job: RivalJob): Promise<RivalWindow> {
  const { code, stdout, stderr } = await runChild(program, [JSON.stringify(job)]);
  if (code !== 0) throw new Error(`the process of ${job.target.engine} failed:\n${stderr}`);
  return JSON.parse(stdout) as RivalWindow;
}
