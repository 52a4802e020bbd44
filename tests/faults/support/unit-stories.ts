// Unit stories: what happens to three units of two lanes each under load, on any engine.
// Owns: the faults, and what must be so after each. Does not own: the run (unit-run.ts).
import { expect } from "vitest";
import type { Member } from "../../../src/faults/member-process.ts";
import type { MemberNetwork } from "../../../src/faults/network.ts";
import { notReady } from "../../end-to-end/support/unit-process.ts";
import { until } from "../../end-to-end/support/until.ts";
import type { UnitRun } from "./unit-run.ts";

const all = [0, 1, 2];

/** kill -9 of one lane, which its unit replaces; of one unit, which comes back; of one member. */
export async function kills(run: UnitRun, member: Member | null): Promise<void> {
  await run.strike("kill -9 of a lane", [1, 2], () => {
    run.unit(0).killLane();
  });
  await until("the lane is replaced", () => notReady(run.unit(0).url));
  await run.strike("kill -9 of a unit", [0, 1], () => run.unit(2).kill());
  if (member !== null) await run.strike("kill -9 of a member", [0, 1], () => member.kill());
  await run.restart(2);
  await run.load.serves(all);
}

/**
 * SIGSTOP of one unit until the others have all, which is beyond suspicion; then SIGCONT.
 * LMDB has one lock for all its writers: a unit that is stopped while it holds the lock stops the
 * grid, for as long as it lives. Then it is woken, and stopped in another moment.
 */
export async function freeze(run: UnitRun): Promise<void> {
  const unit = run.unit(1);
  // Longer than a command waits: those to what was the frozen unit's may be refused.
  await run.strikeHard("SIGSTOP of a unit", [0, 2], async (now) => {
    for (;;) {
      now();
      unit.freeze();
      if (await run.gridAnswers()) return;
      unit.resume();
      await run.load.serves(all);
    }
  });
  await run.strike("SIGCONT", all, () => {
    unit.resume();
  });
  await until("it has its share again", () => notReady(unit.url));
  await until("it owns partitions again", async () => {
    const share = await run.share(1);
    return share > 0 ? null : "it owns none";
  });
}

/**
 * A cut between two units, in which nobody claims: a lane that stood still on a slow machine is
 * rightly taken for dead, a duel of those that cannot reach one another would come each time.
 */
export async function cut(run: UnitRun, network: MemberNetwork): Promise<void> {
  let claimed = -1;
  for (let time = 0; time < 3 && claimed !== 0; time++) claimed = await claimsOfCut(run, network);
  expect(claimed).toBe(0);
}

/**
 * Units 0 and 1 are cut from one another, while both reach the grid and unit 2: nobody claims what
 * another one serves; what cannot be reached is refused, and /readyz says so, until the cut heals.
 */
async function claimsOfCut(run: UnitRun, network: MemberNetwork): Promise<number> {
  // What came before may still move partitions, which is no claim of the cut's.
  await until("each unit has its even share", () => run.unevenShares());
  const claims = run.claims();
  const unreachable = run.answered(
    ({ units: [unit], outcome }) =>
      unit === 0 && outcome?.ok === false && outcome.failure.code === "PEER_UNREACHABLE",
  );
  await run.strike("cut between two units", [2], () => network.cut(1, [2]));
  await unreachable;
  await until("it says so", async () => {
    const ready = await (await fetch(`${run.unit(0).url}/readyz`)).text();
    return /lane \d of \S+ lives, but cannot be reached/.test(ready) ? null : ready;
  });
  await until("unit 2 is ready", () => notReady(run.unit(2).url));
  await network.heal();
  await run.load.serves(all);
  await until("both are ready", async () => {
    const [one, other] = await Promise.all([0, 1].map((unit) => notReady(run.unit(unit).url)));
    return one ?? other ?? null;
  });
  return run.claims() - claims;
}
