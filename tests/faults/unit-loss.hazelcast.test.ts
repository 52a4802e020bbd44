// Goal: what is acknowledged by three units on three guarded members outlives a lane, a unit, a
// member, a pause that others take for death, and a cut between two units.
// Method: see the stories, here one after the other in one life of the grid; the partitions, taken
// over by fresh lanes, are compared with the ledger of a client that was under way all the time.
import { describe, expect, onTestFinished, test } from "vitest";
import { missingForGuard } from "../../src/faults/hazelcast-members.ts";
import { MemberNetwork, missingForNetwork } from "../../src/faults/network.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { UnitRun } from "./support/unit-run.ts";
import { cut, freeze, kills } from "./support/unit-stories.ts";

const missing = hazelcastMissing ?? missingForGuard();
const timeout = 600_000;
const ports = [5701, 5702, 5703];

/** A network for the units, where there can be one; members live outside of it. */
async function newNetwork(): Promise<MemberNetwork | null> {
  if (missingForNetwork() !== null) return null;
  const network = await MemberNetwork.make();
  onTestFinished(() => network.close());
  return network;
}

describe.skipIf(missing !== null)(hazelcastTitle("loss of units on members", missing), () => {
  const cuts = missingForNetwork() === null ? ", then a cut" : "";
  test(`L1: kills, then a pause${cuts}`, { timeout }, async (context) => {
    const network = await newNetwork();
    const host = network?.clientHost;
    const places = host === undefined ? {} : { places: placesAt(host) };
    const members = await startMembers({ guarded: true, ...places });
    const run = await UnitRun.start(members.url, network?.places);
    await kills(run, members.member(1));
    await freeze(run);
    if (network !== null) await cut(run, network);
    expect(await run.judge(context)).toEqual([]);
  });
});

function placesAt(host: string) {
  return ports.map((port) => ({ host, port, prefix: [] }));
}
