// Rivals' servers: who is compared, what its answers survive, and what must run for a window of it.
// Owns: the list of rivals; starting, for each window, what begins anew with it. Does not own: what
// happens in the window (rivals-process.ts), PostgreSQL and the members, which serve all windows.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../src/base/assert.ts";
import type { HazelcastMembers } from "../src/faults/hazelcast-members.ts";
import type { PostgresServer } from "../src/faults/postgres-server.ts";
import type { RunningUnitOptions } from "../src/faults/running-unit.ts";
import { ChildServer } from "./child-server.ts";
import { startRedis, type RedisPersistence } from "./redis-server.ts";
import type { RivalsOptions } from "./rivals-application.ts";
import type { DirectManner } from "./rivals-hazelcast.ts";
import { partitions, type Shape } from "./rivals-plan.ts";
import type { Target } from "./rivals-process.ts";
import type { PostgresManner } from "./rivals-postgres.ts";
import type { RedisManner } from "./rivals-redis.ts";

/** What all windows share; null: no rival needs it, or this machine cannot run it. */
export interface Ground {
  /** For the data of one window at a time. */
  readonly folder: string;
  readonly members: HazelcastMembers | null;
  readonly postgres: PostgresServer | null;
}

/** A rival that can be asked now. */
export interface Started {
  readonly target: Target;
  readonly serverPids: readonly number[];
  stop(): Promise<void>;
}

export interface Rival {
  readonly name: string;
  readonly isOurs: boolean;
  /** What must run, or be there to run, for it; null: nothing but ourselves. */
  readonly needs: "members" | "postgres" | "redis" | null;
  /** Whether answered reservations are lost when its process is killed (kill -9). */
  readonly lostAtKill: string;
  /** The same where the machine loses its power. */
  readonly lostAtPowerLoss: string;
  /** It is asked with one campaign that gets nearly everything, too. */
  readonly runsHot: boolean;
  start(ground: Ground, shape: Shape): Promise<Started>;
}

type Survival = Pick<Rival, "lostAtKill" | "lostAtPowerLoss">;

const environment = { MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true" };
const unitProgram = fileURLToPath(new URL("../src/faults/unit-process.ts", import.meta.url));
const application = new URL("./rivals-application.ts", import.meta.url).href;

const inMemory: Survival = { lostAtKill: "all", lostAtPowerLoss: "all" };
const unsynced: Survival = { lostAtKill: "none", lostAtPowerLoss: "the newest" };
const synced: Survival = { lostAtKill: "none", lostAtPowerLoss: "none" };
const onMembers: Survival = {
  lostAtKill: "none (two members may die)",
  lostAtPowerLoss: "all, if of all members",
};

const redisSurvival: Readonly<Record<RedisPersistence, Survival>> = {
  none: inMemory,
  everysec: { lostAtKill: "none, or 2 s (slow flush)", lostAtPowerLoss: "1 to 2 s" },
  always: synced,
};

export const rivalList: readonly Rival[] = [
  lane("orrery, memory:", inMemory, () => "memory:"),
  lane("orrery, lmdb: unsynced", unsynced, (folder) => `lmdb:${folder}?sync=off`),
  lane("orrery, lmdb: synced", synced, (folder) => `lmdb:${folder}`),
  {
    ...lane("orrery, three members", onMembers, () => ""),
    needs: "members",
    runsHot: false,
    start: ({ members }) => {
      const { url, pids } = membersOf(members);
      const target: Target = { engine: "lane", store: url };
      return Promise.resolve({ target, serverPids: pids, stop: nothing });
    },
  },
  unit("orrery over HTTP, memory:", inMemory, () => "memory:"),
  unit("orrery over HTTP, lmdb: synced", synced, (folder) => `lmdb:${folder}`),
  redis("redis, one connection", "one connection", "none", true),
  redis("redis, auto-pipelining", "auto-pipelining", "none", false),
  redis("redis, 64 connections", "64 connections", "none", false),
  redis("redis, AOF everysec", "one connection", "everysec", false),
  redis("redis, AOF always", "one connection", "always", true),
  postgres("postgresql, commit on", "one by one", true),
  postgres("postgresql, commit off", "one by one", false),
  postgres("postgresql, batches, commit on", "batches", true),
  postgres("postgresql, batches, commit off", "batches", false),
  hazelcast("hazelcast direct, reads", "reads"),
  hazelcast("hazelcast direct, remembers", "remembers"),
];

/** A lane in the process that asks. */
function lane(name: string, survival: Survival, store: (folder: string) => string): Rival {
  return {
    ...{ name, isOurs: true, needs: null, ...survival, runsHot: true },
    start: ({ folder }) => {
      const { data, clear } = dataIn(folder);
      const target: Target = { engine: "lane", store: store(data) };
      return Promise.resolve({ target, serverPids: [], stop: clear });
    },
  };
}

/** A unit with one lane in a process of its own. */
function unit(name: string, survival: Survival, store: (folder: string) => string): Rival {
  return {
    ...{ name, isOurs: true, needs: null, ...survival, runsHot: false },
    start: async ({ folder }, shape) => {
      const { data, clear } = dataIn(folder);
      const options: RunningUnitOptions = {
        name: "unit",
        store: store(data),
        application,
        options: { shape } satisfies RivalsOptions,
        lanes: 1,
        partitions,
        host: "127.0.0.1",
      };
      const server = await ChildServer.start(
        process.execPath,
        [unitProgram, JSON.stringify(options)],
        /^serving (http:\S+)$/,
        environment,
      );
      const target: Target = { engine: "unit", url: must(server.said[1], "it says where") };
      return { target, serverPids: [server.pid], stop: () => server.stop().then(clear) };
    },
  };
}

function redis(
  name: string,
  manner: RedisManner,
  persistence: RedisPersistence,
  runsHot: boolean,
): Rival {
  return {
    ...{ name, isOurs: false, needs: "redis", ...redisSurvival[persistence], runsHot },
    start: async ({ folder }) => {
      const { data, clear } = dataIn(folder);
      const server = await startRedis(data, persistence);
      const target: Target = { engine: "redis", port: server.port, manner };
      return { target, serverPids: [server.pid], stop: () => server.stop().then(clear) };
    },
  };
}

function postgres(name: string, manner: PostgresManner, isFlushed: boolean): Rival {
  const newest = "the newest (0.6 s)";
  const survival = isFlushed ? synced : { lostAtKill: newest, lostAtPowerLoss: newest };
  return {
    ...{ name, isOurs: false, needs: "postgres", ...survival, runsHot: manner === "one by one" },
    start: ({ postgres: server }) => {
      const { url, cluster } = must(server, "PostgreSQL runs");
      const [pid] = readFileSync(join(cluster, "postmaster.pid"), "utf8").split("\n");
      const target: Target = { engine: "postgres", url, manner, isFlushed };
      return Promise.resolve({ target, serverPids: [Number(pid)], stop: nothing });
    },
  };
}

function hazelcast(name: string, manner: DirectManner): Rival {
  return {
    ...{ name, isOurs: false, needs: "members", ...onMembers, runsHot: false },
    start: ({ members }) => {
      const { url, pids } = membersOf(members);
      const target: Target = { engine: "hazelcast", url, manner };
      return Promise.resolve({ target, serverPids: pids, stop: nothing });
    },
  };
}

function membersOf(members: HazelcastMembers | null) {
  const running = must(members, "members run");
  return { url: running.url, pids: running.members.map(({ pid }) => pid) };
}

/** An empty folder for one window, and how to be rid of it. */
function dataIn(folder: string) {
  const data = join(folder, "window");
  mkdirSync(data);
  const clear = () => {
    rmSync(data, { recursive: true });
    return Promise.resolve();
  };
  return { data, clear };
}

function nothing(): Promise<void> {
  return Promise.resolve();
}
