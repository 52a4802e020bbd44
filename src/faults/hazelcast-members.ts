// Hazelcast members on this machine, for tests, benchmarks and lessons: a whole cluster in a few
// seconds, whose members can be killed, frozen and cut off.
// Owns: ports, the order of the start, waiting until the cluster is whole, the end of them all.
// Does not own: one member's process (member-process.ts), networks (network.ts), clients.
// Nothing stays behind: what stop() does not end is ended by the reaper, when this process ends.
import { createServer } from "node:net";
import { delay, systemTimers } from "../base/timers.ts";
import { hazelcastProgram } from "./hazelcast-program.ts";
import { Member, type MemberPlace } from "./member-process.ts";
import { Reaper } from "./reaper.ts";

export { missingForGuard, missingForHazelcast } from "./hazelcast-program.ts";
export type { Member } from "./member-process.ts";

const loopback = "127.0.0.1";
// Below what the system gives to outgoing connections: a port stays free while its member is down.
const firstPort = 20_000;
const portsPerProcess = 40;
const portBlocks = 300;
const pollMs = 25;
const wholeMsMax = 300_000;

export interface MembersOptions {
  /** Logs of the members: member-1.log and so on. */
  readonly folder: string;
  /** Default: 3. */
  readonly members?: number;
  /** Each under its guard, as in production. Default: false. */
  readonly guarded?: boolean;
  /** Where each lives; default: on loopback, on free ports. */
  readonly places?: readonly MemberPlace[];
  /** Options of Java; default: up soon, 256 MiB of heap. */
  readonly javaOptions?: readonly string[];
  /** More of what deploy/hazelcast/member-guard reads (MEMBER_CONFIG, GUARD_NOT_READY_MS, …). */
  readonly environment?: Readonly<Record<string, string>>;
}

let clustersStarted = 0;

export class HazelcastMembers {
  /** Name of the cluster, of this run only. */
  readonly cluster: string;
  readonly members: readonly Member[];
  readonly #reaper: Reaper;

  private constructor(cluster: string, members: readonly Member[], reaper: Reaper) {
    this.cluster = cluster;
    this.members = members;
    this.#reaper = reaper;
  }

  /**
   * Starts them, and resolves when all are one cluster. Throws an Error with what the members said
   * where that does not come about.
   */
  static async start(options: MembersOptions): Promise<HazelcastMembers> {
    const { folder, guarded = false, environment = {} } = options;
    const places = options.places ?? (await freePlaces(options.members ?? 3));
    const program = await hazelcastProgram();
    const cluster = `orrery-${process.pid}-${++clustersStarted}`;
    const reaper = new Reaper();
    const members = places.map((place, index) => {
      const own = {
        MEMBER_CLUSTER: cluster,
        MEMBER_HOST: place.host,
        MEMBER_PORT: String(place.port),
        MEMBER_PEERS: places.map(({ host, port }) => `${host}:${port}`).join(","),
        MEMBER_CLASSPATH: program.jar,
        MEMBER_JAVA_OPTS: (options.javaOptions ?? program.quickOptions).join(" "),
        ...environment,
      };
      return new Member({ number: index + 1, place, guarded, folder, environment: own, reaper });
    });
    const started = new HazelcastMembers(cluster, members, reaper);
    try {
      await started.#startAll();
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  /** hazelcast://host:port,…/CLUSTER */
  get url(): string {
    return `hazelcast://${this.members.map(({ address }) => address).join(",")}/${this.cluster}`;
  }

  /** The member with that number, from 1. */
  member(number: number): Member {
    const found = this.members[number - 1];
    if (found === undefined) throw new Error(`there is no member ${number}`);
    return found;
  }

  /**
   * Resolves when all running members (or those given) are one cluster of just them, and every
   * copy is where it should be. Throws an Error with what they said after a minute.
   */
  async whole(
    members: readonly Member[] = this.members.filter(({ isRunning }) => isRunning),
  ): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += pollMs) {
      const isWhole = await areWhole(members);
      if (isWhole) return;
      if (waitedMs > wholeMsMax || members.some(({ isRunning }) => !isRunning)) {
        const reports = await Promise.all(members.map((member) => member.report()));
        throw new Error(`the members are no cluster of ${members.length}\n${reports.join("\n")}`);
      }
      await delay(systemTimers, pollMs);
    }
  }

  /** Ends all of them at once, as kill -9 does, and resolves when nothing is left. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.destroy()));
    await this.#reaper.close();
  }

  async #startAll(): Promise<void> {
    const [first, ...others] = this.members;
    // Members that look for others at the same time wait 5 s for one another. A head start of 0.8 s
    // is 1 s faster than this where the machine is quiet, and 4 s slower where it is not.
    await first?.start();
    if (first !== undefined) await this.whole([first]);
    await Promise.all(others.map((member) => member.start()));
    await this.whole(this.members);
  }
}

async function areWhole(members: readonly Member[]): Promise<boolean> {
  // Whoever hangs is still counted: while the number is too large, their health is not asked for.
  const sizes = await Promise.all(members.map((member) => member.clusterSize()));
  if (sizes.some((size) => size !== members.length)) return false;
  const healths = await Promise.all(members.map((member) => member.health()));
  return healths.every(
    (health) =>
      health?.ready === true &&
      health.clusterSize === members.length &&
      health.clusterSafe &&
      health.migrationQueueSize === 0,
  );
}

/** Ports of this process's own block, so that two runs at the same time do not meet. */
async function freePlaces(count: number): Promise<MemberPlace[]> {
  const places: MemberPlace[] = [];
  const from = firstPort + (process.pid % portBlocks) * portsPerProcess;
  for (let port = from; places.length < count; port++) {
    if (!givenPorts.has(port) && (await isFree(port))) {
      givenPorts.add(port);
      places.push({ host: loopback, port, prefix: [] });
    }
  }
  return places;
}

const givenPorts = new Set<number>();

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on("error", () => resolve(false));
    probe.listen({ port, host: loopback }, () => probe.close(() => resolve(true)));
  });
}
