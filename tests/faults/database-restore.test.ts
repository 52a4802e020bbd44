// Goal: a database that was set back to an older backup is noticed, by idle owners too: what the
// log still has is written again, once; where it has been trimmed, that partition says which
// records the database lacks, and no other does. Method: the partitions' logs grow at different
// rates, so that only that of partition 0 is trimmed beyond the backup.
import { expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 120_000 });

const checkpointBytes = 4 * 2 ** 20;
const textBytes = 65_536;
const run = databaseRun({ textBytes: [textBytes] });

test("D7: a restored database is replayed from the log, or lost where the log is trimmed", async () => {
  const { server, judge, ledger, load } = run();
  await run().caughtUp();
  await server.backUp("early");
  const before = must(ledger.highest().get(0), "partition 0 has entries");
  await until("the log of partition 0 begins behind the backup", async () => {
    const written = must(ledger.highest().get(0), "partition 0 has entries") - before;
    const kept = await run().metric("orrery_grid_bytes");
    const isBehind = written * textBytes > 3 * checkpointBytes && kept < 2 * checkpointBytes;
    return isBehind ? null : `${String(written)} entries, ${String(kept)} bytes kept`;
  });
  await load.stop();
  await run().caughtUp();
  await server.restore("early");
  const highest = ledger.highest();
  const others = new Map([...highest].filter(([partition]) => partition !== 0));
  await until("the others are written again", async () => {
    return (await judge.holds(others)) ? null : "they are not";
  });
  const lost = /DATABASE_LOST.*records \d+ to \d+ of partition 0/;
  await until("partition 0 says what the database lacks", () => {
    return Promise.resolve(lost.test(run().report()) ? null : run().report());
  });
  expect(await judge.problems(ledger, [...others.keys()])).toEqual([]);
  expect(await judge.holds(highest)).toBe(false);
});
