// Goal: where a database is told to run all transactions as SERIALIZABLE, and a trigger of
// somebody's has every one of them change the same row, lanes get in one another's way all the
// time; none starves: each goes on being written, each change once. Method: three units under load,
// such a row; each partition is written further and further; then the row and the tables.
import { expect, test, vi } from "vitest";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun, expectWritten } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const units = [0, 1, 2];
const run = databaseRun({ units: units.length, partitions: 3 });
const goes = 15;

test("D6: lanes whose transactions all fail to serialize with one another are all written", async () => {
  const { judge, proxies, ledger } = run();
  const count = async (query: string) =>
    Number(Object.values((await judge.run(query))[0] ?? {})[0]);
  await judge.run(
    "BEGIN",
    "LOCK TABLE entries IN EXCLUSIVE MODE",
    "CREATE TABLE shared AS SELECT count(*) AS rows FROM entries",
    `CREATE FUNCTION share() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN UPDATE shared SET rows = rows + 1; RETURN NULL; END $$`,
    "CREATE TRIGGER shared AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION share()",
    "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'",
    "COMMIT",
  );
  await Promise.all(proxies.map((proxy) => proxy.cut("after commit"))); // connect anew
  const failures = "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
  const before = await count(failures);
  for (let time = 0; time < goes; time++) {
    const goal = new Map(ledger.highest());
    await until("every partition is written further", async () => {
      return (await judge.holds(goal)) ? null : `time ${String(time)}`;
    });
  }
  await until("many have failed", async () => {
    const failed = (await count(failures)) - before;
    return failed > goes ? null : `${String(failed)} have failed`;
  });
  await run().load.stop();
  await expectWritten(run());
  expect(await count("SELECT rows FROM shared")).toBe(await count("SELECT count(*) FROM entries"));
});
