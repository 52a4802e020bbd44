// Goal: where all members are lost, nothing is ever acknowledged by those that come in their place,
// and they are not mistaken for a new grid; where members are merely away, commands fail in time
// and work goes on when they are back.
// Method: two real lanes under load on three real members; kill -9 and SIGSTOP of all of them.
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { directoryMapName, generationMapName, gridIdKey } from "../../src/grid/grid-keys.ts";
import { headKey, recordKey, slotKey } from "../../src/grid/grid-keys.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import {
  databaseKnows,
  gridOn,
  openLanes,
  startFaultRun,
  type FaultRun,
} from "./support/fault-run.ts";

const timeout = 600_000;
const recordsLooked = 200;

/** Names of what the members hold of the run's grid: nothing, where nothing was written. */
async function heldBy({ members, lanes }: FaultRun): Promise<string[]> {
  const store = unwrap(await openStore(members.url));
  const held: string[] = [];
  const directory = store.map(directoryMapName);
  if (unwrap(await directory.get(gridIdKey, limits.storeReadMs)) !== null) held.push("grid id");
  const map = store.map(generationMapName(lanes.identity.generation));
  if (unwrap(await map.get(slotKey(0), limits.storeReadMs)) !== null) held.push("slot");
  for (const partition of lanes.partitions) {
    const records = Array.from({ length: recordsLooked }, (_, at) => recordKey(partition, at));
    const values = await map.getMany([headKey(partition), ...records], limits.storeReadMs);
    const found = unwrap(values).findIndex((value) => value !== null);
    if (found >= 0) held.push(found === 0 ? "head" : `record ${found - 1}`);
  }
  await store.close();
  return held;
}

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("loss of the grid"), () => {
  test("G1: all members are lost; nothing begins anew", { timeout }, async () => {
    const run = await startFaultRun();
    const { members, ledger, lanes } = run;
    await run.strike(() => Promise.all(members.members.map((member) => member.kill())));
    const lost = ledger.size;
    await Promise.all(members.members.map((member) => member.start()));
    await run.load.halts();
    await members.whole();
    await run.load.failsEverywhere();
    await run.load.stop();
    expect(ledger.acknowledged(lost)).toEqual([]);
    expect([...lanes.halted.values()].map(({ code }) => code)).toEqual(
      lanes.partitions.map(() => "GRID_LOST"),
    );
    const anew = await gridOn(members.url, databaseKnows);
    expect(anew).toMatchObject({ ok: false, failure: { code: "GRID_LOST" } });
    const fresh = openLanes({ url: members.url, identity: lanes.identity });
    await expect(fresh).rejects.toThrow("the members hold another grid, or none");
    expect(await heldBy(run)).toEqual([]);
  });

  test("E1: no member answers; commands fail in time, and go on", { timeout }, async (context) => {
    const run = await startFaultRun();
    const all = run.members.members;
    await run.strike(() => {
      for (const member of all) member.freeze();
    });
    const away = run.ledger.size;
    await run.load.failsEverywhere();
    await run.load.failsEverywhere(/no member is connected/);
    expect(run.ledger.acknowledged(away)).toEqual([]);
    for (const member of all) member.resume();
    await run.load.servesAgain();
    expect(await run.judge(context)).toEqual([]);
  });
});
