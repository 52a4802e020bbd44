// Goal: eight lanes in four processes share a grid evenly, and go on sharing it when one process
// is killed and when one leaves in order.
// Method: real units on one LMDB folder; what each says that it serves. (That nothing is lost
// meanwhile is told by the unit-loss tests, under load; 64 lanes are told in simulation.)
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { Reaper } from "../../src/faults/reaper.ts";
import { RunningUnit } from "../../src/faults/running-unit.ts";
import { metricOf } from "../end-to-end/support/unit-process.ts";
import { until } from "../end-to-end/support/until.ts";

const partitions = 32;
const application = new URL("./support/numbering-application.ts", import.meta.url).href;

async function shares(units: readonly RunningUnit[]): Promise<number[]> {
  const all = units.map((unit) => metricOf(unit.url, "orrery_partitions_serving"));
  return (await Promise.all(all)).map((share) => share ?? 0).sort((a, b) => a - b);
}

/** Two lanes of each unit: every lane has the same, or one more. The shares of units then. */
async function untilEven(units: readonly RunningUnit[]): Promise<readonly number[]> {
  const least = 2 * Math.floor(partitions / (2 * units.length));
  const most = 2 * Math.ceil(partitions / (2 * units.length));
  let seen: readonly number[] = [];
  await until("the partitions are shared evenly", async () => {
    seen = await shares(units);
    const all = seen.reduce((sum, share) => sum + share, 0);
    const isEven = seen.every((share) => share >= least && share <= most);
    return all === partitions && isEven ? null : seen.join(", ");
  });
  return seen;
}

test(
  "O1: eight lanes share a grid evenly, also after a kill and a leave",
  { timeout: 600_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "orrery-eight-"));
    const reaper = new Reaper();
    onTestFinished(async () => {
      await reaper.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const store = `lmdb:${join(folder, "grid")}`;
    const names = ["one", "two", "three", "four"];
    const options = { store, application, lanes: 2, partitions, host: "127.0.0.1" };
    const units = await Promise.all(
      names.map((name) => RunningUnit.start({ ...options, name }, { folder, reaper })),
    );
    expect(await untilEven(units)).toEqual([8, 8, 8, 8]);

    await must(units.pop(), "four units").kill();
    await untilEven(units);

    await must(units.pop(), "three units").stop();
    expect(await untilEven(units)).toEqual([16, 16]);
  },
);
