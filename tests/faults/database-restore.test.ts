// Goal: a database that was set back to an older backup is noticed, by idle owners too: what the
// log still has is written again, once; where it has been trimmed, that partition says which
// records the database lacks, and no other does. `rebuild --from grid` then writes the state of the
// grid over it, and everything goes on from there, over one connection per lane. Method: the
// partitions' logs grow at different rates, so that only that of partition 0 is trimmed beyond the
// backup; tables against the ledger.
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";
import writtenApplication, { latestRows } from "../../src/faults/written-application.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";
import { existingGrid } from "../../src/processing-units/grid-rebuild.ts";
import { rebuildRows } from "../../src/processing-units/rows-rebuild.ts";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun, send } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const textBytes = 65_536;
// Paced, so that in all the time that the test may take the others stay far below such a size.
const run = databaseRun({ textBytes: [textBytes], pauseMs: 20 });

test("D7: a restored database is replayed from the log, or lost where the log is trimmed", async () => {
  const { server, judge, ledger, load } = run();
  await run().caughtUp();
  await server.backUp("early");
  const before = must(ledger.highest().get(0), "partition 0 has entries");
  // About so much is kept of a partition whose log is checkpointed and trimmed; the metric is of
  // all partitions together.
  const partitionBytes = 4 * limits.checkpointLogBytesMin;
  const keptMax = partitionBytes * run().options.partitions;
  await until("the log of partition 0 begins behind the backup", async () => {
    const written = must(ledger.highest().get(0), "partition 0 has entries") - before;
    const kept = await run().metric("orrery_grid_bytes");
    const isBehind = written * textBytes > 2 * keptMax && kept < keptMax;
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

  await Promise.all([0, 1].map((unit) => run().unit(unit).stop()));
  const rebuilt = await rowsFromGrid();
  expect(rebuilt.lost.map(({ partition }) => partition)).toEqual([0]);
  expect(await judge.holds(highest)).toBe(true);
  await Promise.all([0, 1].map((unit) => run().startUnit(unit)));
  for (let round = 0; round < latestRows; round++) await enterEverywhere();
  expect(await judge.problems(ledger, [...others.keys()])).toEqual([]);
  await expectFoldWithGap(must(highest.get(0), "partition 0 has entries"));
  await expectOneConnectionPerLane();
});

/** What is more than that belonged to a moment, and ends; the bound of docs/operations. */
async function expectOneConnectionPerLane(): Promise<void> {
  const { units, lanes } = run().options;
  const query = `SELECT count(*) FROM pg_stat_activity
                 WHERE application_name = 'orrery' AND pid <> pg_backend_pid()`;
  await until("each lane has one connection, and nobody else has any", async () => {
    const count = Number((await run().judge.run(query))[0]?.["count"]);
    return count === units * lanes ? null : `${String(count)} connections`;
  });
}

/** What `orrery rebuild --from grid --yes` does, for this application. */
async function rowsFromGrid() {
  const { options, server } = run();
  const store = unwrap(await openStore(`lmdb:${join(options.folder, "grid")}`));
  try {
    const identity = unwrap(await existingGrid(store));
    const address = unwrap(parseDatabaseUrl(server.url));
    if (address.kind !== "postgres") throw new Error("not the address of a server");
    const application = writtenApplication({ textBytes: options.textBytes });
    const progress = () => undefined;
    return unwrap(await rebuildRows({ store, identity, address, application, progress }));
  } finally {
    await store.close();
  }
}

/** One command to each partition, answered when it is written. */
async function enterEverywhere(): Promise<void> {
  for (let partition = 0; partition < run().options.partitions; partition++) {
    unwrap(await send(run(), "enter", partition, { "x-ack": "written" }));
  }
}

/**
 * Partition 0: all that is kept in memory is the fold again; of the write-only rows those of the
 * trimmed records are missing, and nothing else, and none is there twice.
 */
async function expectFoldWithGap(before: number): Promise<void> {
  const { judge, ledger } = run();
  const last = must(ledger.highest().get(0), "partition 0 has entries");
  expect(last).toBe(before + latestRows);
  const column = async (query: string) =>
    (await judge.run(query)).map((row) => Number(Object.values(row)[0]));
  expect(await column("SELECT last FROM numbers WHERE partition = '0'")).toEqual([last]);
  const latest = Array.from({ length: latestRows }, (_, index) => before + 1 + index);
  const ordered = "WHERE partition = 0 ORDER BY number";
  expect(await column(`SELECT number FROM latest ${ordered}`)).toEqual(latest);
  const numbers = await column(`SELECT number FROM entries ${ordered}`);
  expect(new Set(numbers).size).toBe(numbers.length);
  const jumps = numbers.filter((number, index) => number !== (numbers[index - 1] ?? 0) + 1);
  expect(jumps).toHaveLength(1);
  expect(numbers.slice(-latestRows)).toEqual(latest);
  expect(await column("SELECT rows FROM sums WHERE partition = 0")).toEqual([numbers.length]);
}
