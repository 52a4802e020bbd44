// Network of members: each in a network namespace of its own, so that one can be cut off from
// others as a broken cable does it: nobody is told, packets are just gone.
// Owns: namespaces, their switch, addresses, the cuts. Linux as root only.
// Does not own: the members in it (hazelcast-members.ts starts them at `places`).
//
//   this process ── switch ─┬─ member 1     all in 10.A.B.0/24: we are .1, member n is .(10 + n);
//                           ├─ member 2     the switch has a namespace, too, in which no firewall
//                           └─ member 3     of this machine (Docker's, say) drops anything
//
// Nothing stays behind: the reaper removes it all, also when this process is killed.
import { execFileSync } from "node:child_process";
import { must } from "../base/assert.ts";
import type { MemberPlace } from "./member-process.ts";
import { Reaper } from "./reaper.ts";
import { runProgram } from "./run-program.ts";

const memberPort = 5701;

/** An end of a cut: a member's number (from 1), or whoever is in this process's namespace. */
export type NetworkEnd = number | "client";

interface Host {
  readonly address: string;
  /** null: this process's own. */
  readonly namespace: string | null;
}

let networksMade = 0;

/** Why there can be no such network here; null: there can. */
export function missingForNetwork(): string | null {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `orrtry${process.pid}`;
  try {
    execFileSync("ip", ["netns", "add", name], { stdio: "pipe" });
    execFileSync("ip", ["netns", "del", name], { stdio: "pipe" });
    return null;
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n").at(-1) ?? "") : "";
    return `there are no network namespaces (${why})`;
  }
}

export class MemberNetwork {
  /** Where members live, member 1 first: for HazelcastMembers.start. */
  readonly places: readonly MemberPlace[];
  readonly #hosts: ReadonlyMap<NetworkEnd, Host>;
  readonly #reaper: Reaper;
  /** Arguments of `ip` that undo each cut. */
  #undo: string[][] = [];

  private constructor(hosts: ReadonlyMap<NetworkEnd, Host>, reaper: Reaper) {
    this.#hosts = hosts;
    this.#reaper = reaper;
    this.places = [...hosts.values()].flatMap(({ address, namespace }) =>
      namespace === null
        ? []
        : [{ host: address, port: memberPort, prefix: ["ip", "netns", "exec", namespace] }],
    );
  }

  /** Makes the network. Throws an Error with what `ip` said. */
  static async make(members = 3): Promise<MemberNetwork> {
    // At most 15 characters each; and no second network of this machine has the same.
    const name = `orr${process.pid.toString(36)}${(++networksMade).toString(36)}`;
    const subnet = `10.${128 + (process.pid % 100)}.${networksMade % 256}`;
    const hosts = new Map<NetworkEnd, Host>();
    hosts.set("client", { address: `${subnet}.1`, namespace: null });
    for (let number = 1; number <= members; number++) {
      hosts.set(number, { address: `${subnet}.${10 + number}`, namespace: `${name}m${number}` });
    }
    const reaper = new Reaper(removal(name, hosts));
    try {
      await build(name, hosts);
    } catch (error) {
      await reaper.close();
      throw error;
    }
    return new MemberNetwork(hosts, reaper);
  }

  /**
   * From now on no packet passes between the member and `from`, in neither direction; connections
   * stay open on both sides. Default: all other members, while clients still reach it.
   */
  async cut(member: number, from: readonly NetworkEnd[] = this.#others(member)): Promise<void> {
    for (const end of from) {
      await this.#drop(member, end);
      await this.#drop(end, member);
    }
  }

  /** Address of this process in the network. */
  get clientHost(): string {
    return this.#host("client").address;
  }

  /** Undoes all cuts. */
  async heal(): Promise<void> {
    for (const args of this.#undo.splice(0)) await runProgram("ip", args);
  }

  /** Removes everything; what still runs in there keeps a network without any cable. */
  async close(): Promise<void> {
    await this.#reaper.close();
  }

  #others(member: number): NetworkEnd[] {
    return [...this.#hosts.keys()].filter((end) => end !== member && end !== "client");
  }

  /** What `from` sends to `to` is dropped without a word. */
  async #drop(from: NetworkEnd, to: NetworkEnd): Promise<void> {
    const { namespace } = this.#host(from);
    const at = namespace === null ? [] : ["-netns", namespace];
    const route = ["blackhole", `${this.#host(to).address}/32`];
    await runProgram("ip", [...at, "route", "add", ...route]);
    this.#undo.push([...at, "route", "del", ...route]);
  }

  #host(end: NetworkEnd): Host {
    return must(this.#hosts.get(end), () => `there is no ${end} in this network`);
  }
}

async function build(name: string, hosts: ReadonlyMap<NetworkEnd, Host>): Promise<void> {
  const center = `${name}s`;
  const ip = (command: string) => runProgram("ip", command.split(" "));
  await ip(`netns add ${center}`);
  await ip(`-netns ${center} link add hub type bridge`);
  await ip(`-netns ${center} link set hub up`);
  for (const [end, { address, namespace }] of hosts) {
    const plug = `port${end}`;
    // Ours is seen by the whole machine, so it has a name of its own.
    const cable = namespace ?? `${name}c`;
    if (namespace !== null) await ip(`netns add ${namespace}`);
    await ip(`link add ${cable} type veth peer name ${plug} netns ${center}`);
    await ip(`-netns ${center} link set ${plug} master hub up`);
    if (namespace !== null) await ip(`link set ${cable} netns ${namespace}`);
    const at = namespace === null ? "" : `-netns ${namespace} `;
    await ip(`${at}address add ${address}/24 dev ${cable}`);
    await ip(`${at}link set ${cable} up`);
    if (namespace !== null) await ip(`${at}link set lo up`);
  }
}

/** Shell commands, each of which may find nothing to do. Cables go with their namespaces. */
function removal(name: string, hosts: ReadonlyMap<NetworkEnd, Host>): string {
  const commands = [`ip link del ${name}c`, `ip netns del ${name}s`];
  for (const { address, namespace } of hosts.values()) {
    if (namespace === null) continue;
    commands.push(`ip netns del ${namespace}`, `ip route del blackhole ${address}/32`);
  }
  return commands.join("\n");
}
