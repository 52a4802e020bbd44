// Goal: a constraint or trigger that somebody added by hand holds nothing up: what it refuses
// becomes a dead letter, in the transaction that goes past it, whatever else is killed meanwhile;
// rows and letters together are everything that was acknowledged, once. Method: a check and a
// trigger that refuse one entry in forty each; kill -9 of the postmaster and of a unit among them;
// then the rows without the letters.
import { expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const run = databaseRun({});
const lettersMin = 10;

test("D1: rows and dead letters are what was acknowledged, each once", async () => {
  const { judge, server, ledger, load } = run();
  await judge.run("ALTER TABLE entries ADD CONSTRAINT by_hand CHECK (number % 40 <> 0) NOT VALID");
  await judge.run(
    `CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN IF NEW.number % 40 = 20 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$`,
    "CREATE TRIGGER by_hand BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION by_hand()",
  );
  const count = async (query: string) =>
    Number(Object.values(must((await judge.run(query))[0], query))[0]);
  const letters = () => count("SELECT count(*) FROM orrery.dead_letters");
  await until("there are dead letters", async () => {
    const there = await letters().catch(() => 0);
    return there >= lettersMin / 2 ? null : String(there);
  });
  server.kill();
  await run().unit(1).kill();
  await run().startUnit(1);
  await until("there are more dead letters", async () => {
    const there = await letters().catch(() => 0);
    return there >= lettersMin ? null : String(there);
  });
  await load.stop();
  await run().caughtUp();
  for (const reason of ["%by_hand%", "not this one%"]) {
    const where = `WHERE reason LIKE '${reason}'`;
    expect(await count(`SELECT count(*) FROM orrery.dead_letters ${where}`)).toBeGreaterThan(0);
  }
  for (const [partition, last] of ledger.highest()) {
    const where = `WHERE partition = ${String(partition)}`;
    const rows = await count(`SELECT count(*) FROM entries ${where}`);
    const distinct = await count(`SELECT count(DISTINCT number) FROM entries ${where}`);
    const refused = await count(`SELECT count(*) FROM orrery.dead_letters ${where}`);
    const written = await count(`SELECT last FROM numbers ${where.replace("= ", "= '")}'`);
    expect(written).toBeGreaterThanOrEqual(last);
    // Those before the constraint came are rows.
    const accepted = await count(`SELECT count(*) FROM entries ${where} AND number % 20 = 0`);
    expect(distinct).toBe(rows);
    expect(rows + refused).toBe(written);
    expect(accepted + refused).toBe(Math.floor(written / 20));
    expect(await count(`SELECT rows FROM sums ${where}`)).toBe(rows);
  }
});
