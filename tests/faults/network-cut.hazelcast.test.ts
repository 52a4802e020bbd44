// Goal: a member that is cut off costs no acknowledged command: the majority goes on, whoever is on
// the other side with it is refused, the others take over what it owned, and all is well again by
// itself when the cut is healed.
// Method: two real lanes under load on three real members in network namespaces, a third lane in
// that of the member that is cut off; blackhole routes with appends in flight; then fresh lanes
// load everything, and it is compared with a ledger outside of the engine.
import { describe, expect, onTestFinished, test } from "vitest";
import { MemberNetwork, missingForNetwork } from "../../src/faults/network.ts";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import { CutOffLane } from "./support/cut-off-lane.ts";
import { startFaultRun } from "./support/fault-run.ts";
import { mergingSoon } from "./support/merging-soon.ts";

const timeout = 600_000;
const missing = hazelcastMissing ?? missingForNetwork();

async function newNetwork(): Promise<MemberNetwork> {
  const network = await MemberNetwork.make();
  onTestFinished(() => network.close());
  return network;
}

describe.skipIf(missing !== null)(hazelcastTitle("a member is cut off", missing), () => {
  test("L1: with a lane; that one waits, the others go on", { timeout }, async (context) => {
    const network = await newNetwork();
    const [place] = network.places;
    if (place === undefined) throw new Error("the network has a place for each member");
    const run = await startFaultRun(
      { places: network.places, environment: await mergingSoon() },
      network.clientHost,
    );
    const { members, lanes } = run;
    const options = { url: members.url, identity: lanes.identity, host: place.host };
    const elsewhere = await CutOffLane.open(place, options);
    await run.strike(() => network.cut(1, [2, 3, "client"]));
    const refused = await elsewhere.ask({ what: "refuse" });
    await members.whole([members.member(2), members.member(3)]);
    await run.load.servesAgain();
    const { lines } = await elsewhere.ask({ what: "look" });
    const late = lines.slice(refused.from).filter(({ outcome }) => outcome?.ok === true);
    expect(late).toEqual([]);
    await network.heal();
    await elsewhere.ask({ what: "serve" });
    await members.whole();
    await run.load.servesAgain();
    await run.adopt(elsewhere);
    expect(await run.judge(context)).toEqual([]);
  });

  test("L1: from the others, not from clients; they go on", { timeout }, async (context) => {
    const network = await newNetwork();
    const run = await startFaultRun({ places: network.places, environment: await mergingSoon() });
    const { members } = run;
    await run.strike(() => network.cut(1));
    await members.whole([members.member(2), members.member(3)]);
    await members.whole([members.member(1)]);
    await run.load.servesAgain();
    await network.heal();
    await members.whole();
    await run.load.servesAgain();
    expect(await run.judge(context)).toEqual([]);
  });
});
