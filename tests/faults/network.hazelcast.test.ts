// Goal: a member can be cut off from others and come back; each side sees what it should, and the
// network leaves nothing behind. Method: three real members in namespaces; the system's lists.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missingForGuard, type HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import { MemberNetwork, missingForNetwork } from "../../src/faults/network.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { startProcess } from "../support/processes.ts";

const missing = hazelcastMissing ?? missingForGuard() ?? missingForNetwork();
const parentProgram = fileURLToPath(new URL("./network-parent-process.ts", import.meta.url));
const title = hazelcastTitle("members in a network", missing);

/** Namespaces, links and routes of this machine, as text. */
function networkState(): string {
  const commands = [["netns", "list"], ["-o", "link"], ["route"]];
  return commands.map((args) => execFileSync("ip", args).toString()).join("\n");
}

describe.skipIf(missing !== null)(title, () => {
  let network: MemberNetwork;
  let cluster: HazelcastMembers;
  beforeAll(async () => {
    network = await MemberNetwork.make();
    cluster = await startMembers({ places: network.places, guarded: true });
  }, 600_000);
  afterAll(async () => {
    await network.close();
  });

  test("a member that is cut off is expelled by the others, and comes back by itself", async () => {
    const { pid } = cluster.member(1);
    await network.cut(1);
    await cluster.whole([cluster.member(2), cluster.member(3)]);
    // We still reach it: it is alone, and ready. Its guard has no reason to kill it.
    await cluster.whole([cluster.member(1)]);
    await network.heal();
    await cluster.whole();
    expect(cluster.member(1).isRunning).toBe(true);
    expect(cluster.member(1).pid).toBe(pid);
  }, 600_000);

  test("cut off from clients only, a member stays in its cluster", async () => {
    const member = cluster.member(2);
    expect(await member.ready()).toBe(true);
    await network.cut(2, ["client"]);
    expect(await member.ready()).toBe(false);
    expect(await cluster.member(1).health()).toMatchObject({ clusterSize: 3, clusterSafe: true });
    await network.heal();
    expect(await member.ready()).toBe(true);
  }, 600_000);
});

describe.skipIf(missing !== null)(`${title}: the end`, () => {
  test("close removes it all, cuts included", async () => {
    const network = await MemberNetwork.make();
    const [place] = network.places;
    await network.cut(1, [2, "client"]);
    expect(networkState()).toContain(`blackhole ${place?.host ?? ""}`);
    await network.close();
    expect(isThere(place?.prefix.at(-1) ?? "", place?.host ?? "")).toBe(false);
  });

  test("kill -9 of who made it removes it all, too", async () => {
    const parent = startProcess(parentProgram);
    const [, namespace = "", address = ""] = await parent.line(/^network (\S+) (\S+)$/);
    expect(networkState()).toContain(`blackhole ${address}`);
    process.kill(parent.pid, "SIGKILL");
    while (isThere(namespace, address)) await new Promise(setImmediate);
  });
});

function isThere(namespace: string, address: string): boolean {
  const subnet = address.slice(0, address.lastIndexOf("."));
  const state = networkState();
  // The names of one network differ in their last letters.
  return state.includes(namespace.slice(0, -2)) || state.includes(`${subnet}.`);
}
