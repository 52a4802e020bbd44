// Goal: units that are stopped in the same moment leave nothing to one another: whatever each of
// them gave away is served or written by somebody, and the database says that it is complete.
// Method: three units under load get SIGTERM at once; then the progress rows, and the tables
// against the ledger; twice, as units that start again find what they left.
import { expect, test, vi } from "vitest";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const units = [0, 1, 2];
const run = databaseRun({ units: units.length, lanes: 2, partitions: 8 });

test("O4: units that stop at once, under load, leave everything written, and say so", async () => {
  for (const isLast of [false, true]) {
    const { judge, ledger, load } = run();
    const goal = ledger.acknowledged + 200;
    await until("commands are acknowledged", () => {
      return Promise.resolve(ledger.acknowledged >= goal ? null : String(ledger.acknowledged));
    });
    await Promise.all(units.map((unit) => run().unit(unit).stop()));
    const open = "SELECT partition, seq, epoch FROM orrery.progress WHERE NOT complete";
    expect(await judge.run(open)).toEqual([]);
    expect(await run().problems()).toEqual([]);
    expect(await judge.holds(ledger.highest())).toBe(true);
    if (isLast) await load.stop();
    else await Promise.all(units.map((unit) => run().startUnit(unit)));
  }
});
