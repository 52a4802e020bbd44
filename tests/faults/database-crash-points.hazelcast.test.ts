// Goal: the crash points of a grid on members: an append that is at the one member and not yet at
// the others, and a hand-over in which both owners live; the tables end as the fold of what was
// acknowledged, each change once.
// Method: two units under load on three real members and a real PostgreSQL. kill -9 of a unit and
// of a member at once, with appends under way to every partition; a unit that leaves stands still
// at the point between its release and its word of it, until the other has all and has written it.
import { beforeAll, describe, expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import { until } from "../end-to-end/support/until.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { databaseRun, dieAtRelease, expectWritten, owns } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const startMsMax = 600_000;
const memberCount = 3;

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("crash points on members"), () => {
  let started: HazelcastMembers | null = null;
  beforeAll(async () => {
    started = await startMembers();
  }, startMsMax);
  const members = () => must(started, "the members have started");
  const run = databaseRun(
    { textBytes: [1024, 1024, 1024, 1024], chains: 4, pauseMs: 0 },
    () => members().url,
  );

  const numbers = Array.from({ length: memberCount }, (_, index) => index + 1);
  test.for(numbers)("D1: kill -9 of a unit and member %i at once", async (number) => {
    const { load } = run();
    await until("commands are under way to every partition", () => {
      const least = Math.min(...load.underWay());
      return Promise.resolve(least > 0 ? null : "there is a partition without");
    });
    await Promise.all([run().unit(1).kill(), members().member(number).kill()]);
    await load.serves([0]);
    await expectWritten(run());
    await members().member(number).start();
    await members().whole();
    await run().startUnit(1);
    await owns(run(), 1, 1);
  });

  test("D1: kill -9 in a planned hand-over, released, and nobody told", async () => {
    await dieAtRelease(run());
    await expectWritten(run());
  });

  test("D2: a planned hand-over, both owners alive, a transaction of the old one late", async () => {
    const proxy = run().proxy(1);
    await run().unit(1).kill();
    await run().startUnit(1, { name: "partition.released", does: "stop", time: 1 });
    await owns(run(), 1, 1);
    await proxy.hold();
    const ended = run().unit(1).stop();
    await owns(run(), 0, run().options.partitions);
    await run().caughtUp(); // the new owner has written what the old one holds in its hands
    expect(run().unit(1).isRunning).toBe(true);
    proxy.release();
    run().unit(1).resume();
    await ended;
    await expectWritten(run());
  });
});
