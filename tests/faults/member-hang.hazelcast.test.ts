// Goal: a member that hangs beyond failure detection costs no acknowledged command where it is
// guarded; where it is not, and comes back with what it had, a loss does not stay unnoticed.
// Method: two real lanes under load on three real members; SIGSTOP with appends in flight, SIGCONT
// after the others have expelled the member; then fresh lanes load everything, and it is compared
// with a ledger outside of the engine.
import { describe, expect, test } from "vitest";
import { missingForGuard, type HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import { until } from "../end-to-end/support/until.ts";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import { startFaultRun } from "./support/fault-run.ts";
import { mergingSoon } from "./support/merging-soon.ts";

const timeout = 600_000;

/** Resolves when the members other than 1 say that it is none of theirs. */
async function expelled({ members }: HazelcastMembers): Promise<void> {
  await until("the others have expelled member 1", async () => {
    const sizes = await Promise.all(members.slice(1).map((member) => member.clusterSize()));
    const isSo = sizes.every((size) => size !== null && size < members.length);
    return isSo ? null : `their clusters have ${sizes.join(" and ")}`;
  });
}

const guardMissing = hazelcastMissing ?? missingForGuard();

describe.skipIf(guardMissing !== null)(
  hazelcastTitle("a guarded member hangs", guardMissing),
  () => {
    test("L1: alone; its guard kills it, the others go on", { timeout }, async (context) => {
      const run = await startFaultRun({ guarded: true });
      const member = run.members.member(1);
      await run.strike(() => {
        member.freeze();
      });
      expect(await member.ended).toEqual({ code: 3, signal: null });
      await run.load.servesAgain();
      await member.start();
      await run.members.whole();
      await run.load.servesAgain();
      expect(await run.judge(context)).toEqual([]);
    });

    test("L1: with its guard; it is killed as they wake", { timeout }, async (context) => {
      const run = await startFaultRun({ guarded: true });
      const member = run.members.member(1);
      await run.strike(() => {
        member.freeze("member and guard");
      });
      await expelled(run.members);
      member.resume();
      expect(await member.ended).toEqual({ code: 3, signal: null });
      await run.load.servesAgain();
      expect(await run.judge(context)).toEqual([]);
    });
  },
);

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("a member without a guard hangs"), () => {
  test("L11: it comes back; what is lost is named", { timeout }, async (context) => {
    const run = await startFaultRun({ environment: await mergingSoon() });
    const member = run.members.member(1);
    await run.strike(() => {
      member.freeze();
    });
    await expelled(run.members);
    member.resume();
    await run.members.whole();
    await run.load.servesAgain();
    expect(await run.judge(context, true)).toEqual([]);
  });
});
