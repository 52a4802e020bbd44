// Goal: members that are killed or restarted cost no acknowledged command, and those that are left
// go on by themselves; a member that is left alone acknowledges nothing.
// Method: two real lanes under load on three real members; kill -9 and SIGTERM with appends in
// flight; then fresh lanes load everything, and it is compared with a ledger outside of the engine.
import { describe, expect, test } from "vitest";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import { startFaultRun } from "./support/fault-run.ts";

const timeout = 600_000;

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("loss of members"), () => {
  test("L1: one member is killed; the others have it all", { timeout }, async (context) => {
    const run = await startFaultRun();
    await run.strike(() => run.members.member(1).kill());
    await run.load.servesAgain();
    expect(await run.judge(context)).toEqual([]);
  });

  test("S3: two are killed at once; the third waits for company", { timeout }, async (context) => {
    const run = await startFaultRun();
    const [one, two] = [run.members.member(1), run.members.member(2)];
    await run.strike(() => Promise.all([one.kill(), two.kill()]));
    const alone = run.ledger.size;
    await run.load.failsEverywhere();
    await run.load.failsEverywhere();
    expect(run.ledger.acknowledged(alone)).toEqual([]);
    await one.start();
    await run.load.servesAgain();
    expect(await run.judge(context)).toEqual([]);
  });

  test("L1: a killed member comes back, then each is restarted", { timeout }, async (context) => {
    const run = await startFaultRun();
    const { members, load } = run;
    await run.strike(() => members.member(2).kill());
    await members.member(2).start();
    await members.whole();
    for (const member of members.members) {
      await run.strike(() => member.stop());
      await load.servesAgain();
      await member.start();
      await members.whole();
    }
    await load.servesAgain();
    expect(await run.judge(context)).toEqual([]);
  });
});
