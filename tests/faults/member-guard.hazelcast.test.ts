// Goal: under its guard a member that hangs is gone before the others count it as failed, and comes
// back as a new one. Method: three real members under their guards, frozen by SIGSTOP; half of the
// usual limit, so that it is half as long.
import { describe, expect, test } from "vitest";
import { missingForGuard, type HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import { until } from "../end-to-end/support/until.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { isRunning } from "../support/process-tree.ts";

const missing = hazelcastMissing ?? missingForGuard();
/** What a member says of another one that the failure detection gave up. */
const expelled = /not sent any heartbeats/;
const environment = { GUARD_NOT_READY_MS: "2500" };

async function said(cluster: HazelcastMembers): Promise<string> {
  return (await Promise.all(cluster.members.map((member) => member.output()))).join("");
}

describe.skipIf(missing !== null)(hazelcastTitle("guarded members", missing), () => {
  test("frozen alone, a member is killed where it stands; the others go on without it", async () => {
    const cluster = await startMembers({ guarded: true, environment });
    const member = cluster.member(2);
    const { pid } = member;
    member.freeze();
    expect(await member.ended).toEqual({ code: 3, signal: null });
    expect(isRunning(pid)).toBe(false);
    await cluster.whole();
    await member.start();
    await cluster.whole();
    expect(await said(cluster)).not.toMatch(expelled);
  }, 600_000);

  test("frozen with its guard beyond failure detection, it is killed when both wake", async () => {
    const cluster = await startMembers({ guarded: true, environment });
    const member = cluster.member(1);
    member.freeze("member and guard");
    await cluster.whole([cluster.member(2), cluster.member(3)]); // they have expelled it
    expect(await said(cluster)).toMatch(expelled);
    expect(isRunning(member.pid)).toBe(true);
    member.resume();
    expect(await member.ended).toEqual({ code: 3, signal: null });
    expect(isRunning(member.pid)).toBe(false);
    await member.start();
    await cluster.whole();
  }, 600_000);

  test("the only member is spared, however long it is frozen, and goes on", async () => {
    const cluster = await startMembers({ guarded: true, environment, members: 1 });
    const guarded = (pattern: RegExp) => async () =>
      pattern.test(await said(cluster)) ? null : "not yet";
    await until("it is guarded", guarded(/is ready, and guarded/));
    cluster.member(1).freeze();
    await until("its guard spares it", guarded(/not ready, but the only member/));
    cluster.member(1).resume();
    await cluster.whole();
  }, 600_000);

  test("SIGTERM: a member hands over and ends; its guard says that all is well", async () => {
    const cluster = await startMembers({ guarded: true, environment, members: 2 });
    expect(await cluster.member(2).stop()).toEqual({ code: 0, signal: null });
    await cluster.whole();
  }, 600_000);
});
