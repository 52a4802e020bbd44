// Goal: wherever on its way to the database a unit is killed, the tables end as the fold of what
// was acknowledged, each change once: in a table without a key, in one that forgets, in a sum that
// a trigger keeps.
// Method: two units under load; one dies of kill -9 at a named failpoint, or while its connection
// to the database stands still; the other takes over; the database is compared with the ledger.
import { test, vi } from "vitest";
import type { FailpointName } from "../../src/base/failpoints.ts";
import type { CutPlace } from "../../src/faults/postgres-proxy.ts";
import { databaseRun, dieAtRelease, expectWritten } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const run = databaseRun({ textBytes: [4096, 4096, 4096, 4096], gridBytesMax: 2 ** 27 });

/** At the how manieth time: late enough that the unit has its partitions, and is in full work. */
const points: readonly (readonly [FailpointName, number, string])[] = [
  ["log.append", 40, "before an append"],
  ["store.stored", 40, "after an append, before anybody knows"],
  ["log.durable", 40, "after it is safe, before its acknowledgement"],
  ["log.claimed", 1, "as the new owner, before the database knows it"],
  ["pump.claimed", 1, "as the new owner, before it writes"],
  ["pump.write", 5, "before a transaction"],
  ["pump.written", 5, "after the commit, before it is known"],
  ["log.trim", 1, "after the commit, before the trim"],
];

test.for(points)("D1: kill -9 at %s (time %i): %s", async ([name, time]) => {
  await run().unit(1).kill();
  await run().startUnit(1, { name, does: "kill", time });
  await run().unit(1).ended;
  await expectWritten(run());
});

test("D1: kill -9 in a planned hand-over, released, and nobody told", async () => {
  await dieAtRelease(run());
  await expectWritten(run());
});

const places: readonly CutPlace[] = ["before commit", "after commit"];

test.for(places)("D4: kill -9 while a transaction is out, %s", async (place) => {
  await run().unit(1).kill();
  await run().startUnit(1);
  const end = await run().proxy(1).stall(place);
  await run().unit(1).kill();
  end();
  await expectWritten(run());
});
