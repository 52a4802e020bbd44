// Goal: whatever befalls the database server or the way to it, commands go on, nothing is lost, and
// each change is in the database once when it is back; the log is trimmed all the while.
// Method: two units under load on a real PostgreSQL; faults of the server, of the connections, of
// the disk, of transactions; the database is compared with the client's ledger after each.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished, test, vi } from "vitest";
import type { DatabaseRun } from "../../bench/database-run.ts";
import { limits } from "../../src/base/limits.ts";
import type { CutPlace } from "../../src/faults/postgres-proxy.ts";
import { runProgram } from "../../src/faults/run-program.ts";
import { missingForSmallDisk, SmallDisk } from "../../src/faults/small-disk.ts";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun, expectWritten } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const textBytes = 8192;
const gridBytesMax = 2 ** 26;
const run = databaseRun({ textBytes: Array<number>(4).fill(textBytes), gridBytesMax });
const missing = missingForSmallDisk();

/** So many more commands are acknowledged from now on. */
async function goesOn(count: number): Promise<void> {
  const { ledger } = run();
  const goal = ledger.acknowledged + count;
  await until(`${String(count)} commands are acknowledged`, () => {
    return Promise.resolve(ledger.acknowledged >= goal ? null : String(ledger.acknowledged));
  });
}

/** A number that a query of one row and column gives. */
async function ask({ judge }: DatabaseRun, query: string): Promise<number> {
  const [row] = await judge.run(query);
  return Number(Object.values(row ?? {})[0]);
}

/** What the server said, in all its lives. */
function serverLog(): string {
  return readFileSync(join(run().options.folder, "postgres", "postgres.log"), "utf8");
}

test("D1: kill -9 of the postmaster", async () => {
  run().server.kill();
  await goesOn(50);
  await expectWritten(run());
});

test("D1: kill -9 of a backend in its work", async () => {
  await run().server.killBackend();
  await goesOn(50);
  await expectWritten(run());
});

const places: readonly CutPlace[] = ["mid-transaction", "before commit", "after commit"];

test.for(places)("D4: a connection is cut, %s", async (place) => {
  await Promise.all(run().proxies.map((proxy) => proxy.cut(place)));
  await goesOn(50);
  await expectWritten(run());
});

test("D6: a frozen server, and one that is stopped: commands go on, and are written later", async () => {
  run().server.freeze();
  await goesOn(200);
  run().server.resume();
  await run().caughtUp();
  await run().server.stop();
  await goesOn(200);
  await run().server.start();
  await expectWritten(run());
});

test.skipIf(missing !== null)(
  `D6: the disk is full${missing === null ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const { judge, server, options } = run();
    const disk = await SmallDisk.mount(join(options.folder, "disk"), 2 ** 30, server.cluster);
    onTestFinished(() => disk.close());
    await judge.run(`CREATE TABLESPACE small LOCATION '${disk.folder}'`);
    await judge.run("ALTER TABLE latest SET TABLESPACE small");
    // No row of it is written any more before there is room: each transaction has some.
    await disk.fill();
    await until("the disk is full", async () => {
      const away = await run().metric("orrery_database_away");
      return away === 2 ? null : `${String(away)} lanes cannot write`;
    });
    await goesOn(50);
    await disk.resize(2 ** 30);
    await expectWritten(run());
    await judge.run("ALTER TABLE latest SET TABLESPACE pg_default");
    await judge.run("DROP TABLESPACE small");
  },
);

test.skipIf(missing !== null)(
  `D6: no room for the server's own log: it dies, and goes on${missing === null ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const { server, options } = run();
    const disk = await SmallDisk.mount(join(options.folder, "wal"), 2 ** 30, server.cluster);
    onTestFinished(() => disk.close());
    const [usual, small] = [join(server.cluster, "pg_wal"), join(disk.folder, "pg_wal")];
    await server.stop();
    await runProgram("mv", [usual, small]);
    await runProgram("ln", ["-s", small, usual]);
    await server.start();
    await disk.fill();
    await until("the server cannot live", async () => {
      const away = await run().metric("orrery_database_away");
      const isFull = serverLog().includes("No space left on device");
      return isFull && away === 2 ? null : `${String(away)} lanes cannot write`;
    });
    await goesOn(50);
    await disk.resize(2 ** 30);
    await expectWritten(run());
    await server.stop();
    await runProgram("rm", [usual]);
    await runProgram("mv", [small, usual]);
    await server.start();
  },
);

/** SQL that lasts until a statement of somebody else waits for a lock, a minute at most. */
const untilOneWaits = `
  DO $$ BEGIN
    FOR look IN 1..6000 LOOP
      IF EXISTS (SELECT FROM pg_locks WHERE NOT granted) THEN EXIT; END IF;
      PERFORM pg_sleep(0.01);
    END LOOP;
  END $$`;

test("D6: statements that hang are cancelled by their timeout, and done again", async () => {
  const { judge, proxies } = run();
  const reconnect = () => Promise.all(proxies.map((proxy) => proxy.cut("after commit")));
  // What a connection asks for comes before the settings of its role, but not before these.
  await judge.run(
    `CREATE FUNCTION hasty() RETURNS event_trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM set_config('statement_timeout', '300ms', false); END $$`,
    "CREATE EVENT TRIGGER hasty ON login EXECUTE FUNCTION hasty()",
  );
  await reconnect();
  const patiently = "SET statement_timeout = 0";
  const hanging = judge.run(
    patiently,
    "BEGIN",
    "LOCK TABLE numbers IN EXCLUSIVE MODE",
    `DO $$ BEGIN
       WHILE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'enough') LOOP
         PERFORM pg_sleep(0.01);
       END LOOP;
     END $$`,
    "COMMIT",
  );
  await until("some statements are cancelled", () => {
    const count = serverLog().split("canceling statement due to statement timeout").length - 1;
    return Promise.resolve(count >= 2 ? null : String(count));
  });
  await judge.run(patiently, "CREATE TABLE enough ()");
  await hanging;
  await judge.run(patiently, "DROP TABLE enough", "DROP EVENT TRIGGER hasty");
  await reconnect();
  await expectWritten(run());
});

test("D6: transactions that fail to serialize are repeated", async () => {
  const { judge } = run();
  const serializable = "default_transaction_isolation = 'serializable'";
  await judge.run(`ALTER DATABASE postgres SET ${serializable}`);
  await Promise.all(run().proxies.map((proxy) => proxy.cut("after commit"))); // connect anew
  const failures = "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
  const before = await ask(run(), failures);
  // Who waited for a row that was changed meanwhile has seen an older one. This one waits for
  // whoever came first, and for one row only: no deadlock.
  const update = "UPDATE sums SET rows = rows WHERE partition = 0";
  const change = ["BEGIN ISOLATION LEVEL READ COMMITTED", update, untilOneWaits, "COMMIT"];
  await judge.run(...change, ...change, ...change);
  await until("one has failed", async () => {
    return (await ask(run(), failures)) > before ? null : "none has failed";
  });
  await judge.run("ALTER DATABASE postgres RESET default_transaction_isolation");
  await Promise.all(run().proxies.map((proxy) => proxy.cut("after commit")));
  await expectWritten(run());
});

test("D2: two owners alive at once: the transaction of the old one comes late", async () => {
  const { load } = run();
  const [unit, proxy] = [run().unit(1), run().proxy(1)];
  await proxy.hold();
  onTestFinished(() => {
    unit.resume();
  });
  // LMDB has one lock for all its writers: a unit that is stopped while it holds it stops the grid.
  for (;;) {
    unit.freeze();
    if (await run().gridAnswers()) break;
    unit.resume();
    await load.serves([0, 1]);
  }
  await load.serves([0]);
  await run().caughtUp(); // the new owner has written what the old one holds in its hands
  proxy.release();
  unit.resume();
  await load.serves([0, 1]);
  await expectWritten(run());
});

test("K6: what is written and behind a checkpoint is trimmed: the log stays small", async () => {
  // About so much is kept of a partition whose log is checkpointed and trimmed.
  const partitionBytes = 4 * limits.checkpointLogBytesMin;
  await until("much was journaled, and little is kept", async () => {
    const journaled = await run().metric("orrery_log_bytes");
    const kept = await run().metric("orrery_grid_bytes");
    const isSmall = kept <= 4 * partitionBytes && journaled >= 2 * 4 * partitionBytes;
    return isSmall ? null : `${String(journaled)} bytes journaled, ${String(kept)} kept`;
  });
  await expectWritten(run());
});
