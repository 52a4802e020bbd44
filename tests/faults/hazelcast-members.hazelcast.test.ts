// Goal: members started from deploy/hazelcast are one cluster with the settings that Orrery counts
// on, and none of their processes outlives who started them.
// Method: real members; a client directly; the system's table of processes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Client, SplitBrainProtectionError } from "hazelcast-client";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import { gridSettings, settingsDifference } from "../../src/grid/stores/hazelcast-settings.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { isRunning } from "../support/process-tree.ts";
import { startProcess } from "../support/processes.ts";

const parentProgram = fileURLToPath(new URL("./members-parent-process.ts", import.meta.url));

async function connect(cluster: HazelcastMembers): Promise<Client> {
  const client = await Client.newHazelcastClient({
    clusterName: cluster.cluster,
    network: { clusterMembers: cluster.members.map(({ address }) => address) },
    customLogger: silent,
  });
  onTestFinished(() => client.shutdown());
  return client;
}

/** The client's types leave them out. */
function attributesOf(member: object): Map<string, string> {
  const attributes = "attributes" in member ? member.attributes : null;
  return attributes instanceof Map
    ? (attributes as Map<string, string>)
    : new Map<string, string>();
}

const silent = {
  log: () => undefined,
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  trace: () => undefined,
};

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("three members"), () => {
  let cluster: HazelcastMembers;
  beforeAll(async () => {
    cluster = await startMembers();
  }, 600_000);

  test("start: each is ready, all are one cluster whose copies are in place", async () => {
    expect(await Promise.all(cluster.members.map((member) => member.ready()))).toEqual([
      true,
      true,
      true,
    ]);
    const healths = await Promise.all(cluster.members.map((member) => member.health()));
    for (const health of healths)
      expect(health).toMatchObject({ clusterSize: 3, clusterSafe: true });
    const addresses = cluster.members.map(({ address }) => address).join(",");
    expect(cluster.url).toBe(`hazelcast://${addresses}/${cluster.cluster}`);
  });

  test("settings: each member states those that Orrery counts on", async () => {
    const client = await connect(cluster);
    const members = client.getCluster().getMembers();
    expect(members.map(({ address }) => address.toString()).sort()).toEqual(
      cluster.members.map(({ address }) => address).sort(),
    );
    for (const member of members) expect(settingsDifference(attributesOf(member))).toBeNull();
    expect(client.getPartitionService().getPartitionCount()).toBe(
      Number(gridSettings["partition-count"]),
    );
  });

  test("restart: a member that was killed comes back on its port, as another process", async () => {
    const member = cluster.member(2);
    const { pid, port } = member;
    await member.kill();
    expect(await member.ended).toEqual({ code: null, signal: "SIGKILL" });
    expect(await member.ready()).toBe(false);
    await cluster.whole();
    await member.start();
    await cluster.whole();
    expect(member.port).toBe(port);
    expect(member.pid).not.toBe(pid);
    expect((await member.health())?.clusterSize).toBe(3);
  }, 600_000);

  test("majority: the maps of the grid refuse where one member is left, others do not", async () => {
    const client = await connect(cluster);
    await cluster.member(3).stop();
    await cluster.whole();
    await cluster.member(2).kill();
    await cluster.whole();
    for (const name of ["grid", "grid.1"]) {
      const map = await client.getMap<string, string>(name);
      await expect(map.putIfAbsent("a", "b")).rejects.toBeInstanceOf(SplitBrainProtectionError);
      await expect(map.get("a")).rejects.toBeInstanceOf(SplitBrainProtectionError);
    }
    const other = await client.getMap<string, string>("other");
    expect(await other.putIfAbsent("a", "b")).toBeNull();
  }, 600_000);
});

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("the end of members"), () => {
  test("stop: frozen members end, too", async () => {
    const cluster = await startMembers({ members: 2 });
    cluster.member(1).freeze();
    const pids = cluster.members.map(({ pid }) => pid);
    expect(pids.every(isRunning)).toBe(true);
    await cluster.stop();
    expect(pids.filter(isRunning)).toEqual([]);
  }, 600_000);

  test("kill -9 of who started them: no member, no guard is left", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "orrery-members-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const parent = startProcess(parentProgram, [folder]);
    const [, list = ""] = await parent.line(/^members (.+)$/);
    const pids = list.split(" ").map(Number);
    expect(pids).toHaveLength(3);
    expect(pids.every(isRunning)).toBe(true);
    process.kill(parent.pid, "SIGKILL");
    // Others than our own child give no event: their end is read from the system's table.
    while (pids.some(isRunning)) await new Promise((resolve) => setImmediate(resolve));
  }, 600_000);
});
