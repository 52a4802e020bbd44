// Unit stories: what happens to three units of two lanes each, on any engine.
// Owns: the faults, and what must be so after each. Does not own: the run (unit-run.ts).
import { expect, onTestFinished, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import type { HazelcastMembers } from "../../../src/faults/hazelcast-members.ts";
import { MemberNetwork, missingForNetwork } from "../../../src/faults/network.ts";
import { notReady } from "../../end-to-end/support/unit-process.ts";
import { until } from "../../end-to-end/support/until.ts";
import { UnitRun } from "./unit-run.ts";

export interface UnitEngine {
  readonly name: string;
  /**
   * A new, empty grid. `store` null: LMDB in the run's folder. Members live at `host`, default: on
   * the loopback interface.
   */
  open(
    host?: string,
  ): Promise<{ readonly store: string | null; readonly members: HazelcastMembers | null }>;
}

const timeout = 120_000;
const all = [0, 1, 2];

/** Declares the tests for an engine. */
export function unitStories(engine: UnitEngine): void {
  test(
    `L1: ${engine.name}: a lane is killed, then a unit; nothing acknowledged is lost`,
    { timeout },
    async (context) => {
      const { store, members } = await engine.open();
      const run = await UnitRun.start(store);
      await run.strike(
        "kill -9 of a lane",
        () => {
          run.unit(0).killLane();
        },
        [1, 2],
      );
      await until("the lane is replaced", () => notReady(run.unit(0).url));
      await run.strike("kill -9 of a unit", () => run.unit(2).kill(), [0, 1]);
      if (members !== null) {
        await run.strike("kill -9 of a member", () => members.member(1).kill(), [0, 1]);
      }
      await run.restart(2);
      await run.load.serves(all);
      expect(await run.judge(context)).toEqual([]);
    },
  );

  test(
    `L6: ${engine.name}: a unit is frozen until others have all; it wakes, and comes back`,
    { timeout },
    async (context) => {
      const { store } = await engine.open();
      const run = await UnitRun.start(store);
      const frozen = `SIGSTOP of a unit for more than ${String(limits.peerSilenceMsMax)} ms`;
      await run.strike(frozen, () => {
        run.unit(1).freeze();
      }, [0, 2]);
      await run.strike(
        "SIGCONT",
        () => {
          run.unit(1).resume();
        },
        all,
      );
      await until("it has its share again", () => notReady(run.unit(1).url));
      // Longer than a command waits: those to what had been the frozen unit's are refused.
      expect(await run.judge(context, [frozen])).toEqual([]);
    },
  );

  const missing = missingForNetwork();
  test.skipIf(missing !== null)(
    `O1: ${engine.name}: two units are cut from one another, not from the grid; nobody duels` +
      (missing === null ? "" : ` (skipped: ${missing})`),
    { timeout },
    async (context) => {
      const network = await MemberNetwork.make();
      onTestFinished(() => network.close());
      const { store } = await engine.open(network.clientHost);
      const run = await UnitRun.start(store, network.places);
      const claims = run.claims();
      const unreachable = run.answered(
        ({ units: [unit], outcome }) =>
          unit === 0 && outcome?.ok === false && outcome.failure.code === "PEER_UNREACHABLE",
      );
      const cut = "cut between two units";
      await run.strike(cut, () => network.cut(1, [2]), [2]);
      await unreachable;
      await until("it says so", async () => {
        const ready = await readiness(run.unit(0).url);
        return /lane \d of \S+ lives, but cannot be reached/.test(ready) ? null : ready;
      });
      expect(await notReady(run.unit(2).url)).toBeNull();
      await network.heal();
      await run.load.serves(all);
      await until("both are ready", async () => {
        return (await notReady(run.unit(0).url)) ?? (await notReady(run.unit(1).url));
      });
      expect(run.claims()).toBe(claims);
      expect(await run.judge(context)).toEqual([]);
    },
  );
}

async function readiness(url: string): Promise<string> {
  const answer = await fetch(`${url}/readyz`);
  return answer.text();
}
