// Goal: what is acknowledged by three units on one LMDB folder outlives a lane, a unit, and a cut
// between two units; somebody serves again every time. (A unit that is frozen while it holds
// LMDB's lock stops the others, so a pause is told on members: unit-loss.hazelcast.test.ts.)
// Method: see the stories; the partitions, taken over by fresh lanes, are compared with the ledger
// of a client that was under way all the time.
import { expect, onTestFinished, test } from "vitest";
import { MemberNetwork, missingForNetwork } from "../../src/faults/network.ts";
import { UnitRun } from "./support/unit-run.ts";
import { cut, kills } from "./support/unit-stories.ts";

const timeout = 600_000;
const missing = missingForNetwork();
const skipped = missing === null ? "" : ` (skipped: ${missing})`;

test("L1: kill -9 of a lane, then of a unit", { timeout }, async (context) => {
  const run = await UnitRun.start(null);
  await kills(run, null);
  expect(await run.judge(context)).toEqual([]);
});

test.skipIf(missing !== null)(
  `O1: two units are cut from one another, and nobody duels${skipped}`,
  { timeout },
  async (context) => {
    const network = await MemberNetwork.make();
    onTestFinished(() => network.close());
    const run = await UnitRun.start(null, network.places);
    await cut(run, network);
    expect(await run.judge(context)).toEqual([]);
  },
);
