// Goal: lanes hold slots, and judge one another, as the roster promises: while the store lies and
// loses primaries, while lanes pause, die, leave and come back; and all is well once it is over.
// Method: seeds; each decides a run in virtual time of lanes that only hold slots and watch; what
// they were told is compared with the copies of the store and with what was done to them. A lane
// that lost its slot comes back as another. ORRERY_SEEDS sets how many (default 20); ORRERY_SEED
// runs one alone.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { honest, type Lies } from "../../src/simulation/lying-store.ts";
import { RosterRun, type RosterLane } from "./roster-lanes.ts";

const lies: Lies = {
  lostRequest: 0.02,
  lostAnswer: 0.03,
  missedBackup: 0.05,
  duplicate: 0.05,
  duplicateMsMax: 2000,
  lateRequest: 0.02,
  quickError: 0.5,
  delayMsMax: 5,
};
const eventsMax = 5_000_000;

const only = process.env["ORRERY_SEED"];
const seedCount = only === undefined ? Number(process.env["ORRERY_SEEDS"] ?? 20) : 1;
const firstSeed = only === undefined ? 1 : Number(only);
const seeds = Array.from({ length: seedCount }, (_, index) => firstSeed + index);
const timeout = 60_000 + seedCount * 1000;

async function pass(run: RosterRun, lengthMs: number): Promise<void> {
  await run.time.run({ untilMs: run.time.nowMs + lengthMs, eventsMax });
}

/** One thing that goes wrong, somewhere. */
function disturb(run: RosterRun, random: Random): void {
  const { copies } = run.store;
  if (random.chance(0.3)) {
    if (copies.replicas.length > 2) {
      copies.losePrimary();
      run.counts.primariesLost++;
      run.primaryLostMs = run.time.nowMs;
    } else copies.joinBackup();
    return;
  }
  const alive = run.lanes.filter((lane) => lane.isAlive);
  if (alive.length === 0) return;
  const lane = random.pick(alive);
  const fate = random.below(4);
  if (fate === 0 && lane.slot >= 0) {
    lane.kill();
    // Somebody who saw it die takes its slot; somebody who did not looks first.
    const predecessor = { slot: lane.slot, incarnation: lane.incarnation };
    run.start(lane.name, random.chance(0.5) ? predecessor : null, random.chance(0.5));
  } else if (fate === 1 && lane.state === "holding") {
    run.counts.left++;
    void lane.leave();
    run.time.after(random.below(500), () => run.start(lane.name, null, true));
  } else {
    lane.process.pause();
    // Others may take it for dead meanwhile, and one that joins may take its slot.
    run.time.after(random.below(4 * limits.heartbeatStillMs), () => lane.process.resume());
    if (random.chance(0.5)) run.start(lane.name, null, false);
  }
}

function replaceLost(run: RosterRun, known: Set<RosterLane>): void {
  for (const lane of [...run.lanes]) {
    if (lane.state !== "lost" || known.has(lane)) continue;
    known.add(lane);
    lane.kill();
    run.start(lane.name, null, true);
  }
}

/** Everybody who should be there is there, once, and everybody sees it. */
function expectWhole(run: RosterRun): void {
  const holding = run.lanes.filter((lane) => lane.isAlive);
  expect(holding.map(({ state }) => state)).toEqual(holding.map(() => "holding"));
  const slots = holding.map(({ slot }) => slot);
  expect(new Set(slots).size).toBe(slots.length);
  for (const observer of holding) {
    const members = observer.watch.members();
    const live = members.filter(({ entry: { slot } }) => !observer.watch.isStill(slot));
    const seen = live.map(({ entry }) => [entry.slot, entry.card.incarnation]);
    const there = holding.map(({ slot, incarnation }) => [slot, incarnation] as const);
    expect(seen).toEqual(there.sort((a, b) => a[0] - b[0]));
    expect(
      Math.abs(observer.watch.clockOffsetMs(observer.process.clock.wallMs()) ?? 1e9),
    ).toBeLessThan(2 * limits.heartbeatMs);
  }
}

async function runRoster(seed: number, lanes: number, disturbances: number): Promise<RosterRun> {
  const random = seededRandom(seed);
  const run = new RosterRun(random.fork("run"), lies);
  run.lateMsMax = lies.duplicateMsMax + 2 * lies.delayMsMax;
  for (let index = 0; index < lanes; index++) {
    run.time.after(random.below(1000), () => run.start(`lane ${String(index)}`, null, true));
  }
  const replaced = new Set<RosterLane>();
  run.time.timers.every(100, () => replaceLost(run, replaced));
  await pass(run, 2000);
  for (let count = 0; count < disturbances; count++) {
    disturb(run, random);
    await pass(run, random.below(300));
  }
  run.heal();
  await pass(run, 6000);
  return run;
}

async function expectWitnessed(run: RosterRun): Promise<void> {
  const positions = [...run.witness].map(async ([partition, position]) => {
    expect(await run.acknowledged(partition)).toBeGreaterThanOrEqual(position);
  });
  const checked = Promise.all(positions);
  await pass(run, 100);
  await checked;
}

test(
  "R1, R2, R3, R4, R5: whatever happens, slots and judgements are right",
  async () => {
    const sum = { judgedStill: 0, taken: 0, lost: 0, left: 0, primariesLost: 0 };
    for (const seed of seeds) {
      const run = await runRoster(seed, 8, 40);
      expect(run.problems, `ORRERY_SEED=${String(seed)}`).toEqual([]);
      expectWhole(run);
      await expectWitnessed(run);
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += run.counts[name];
    }
    if (only === undefined) expect(Math.min(...Object.values(sum))).toBeGreaterThan(10);
  },
  timeout,
);

test(
  "R1, R2, R3, R4, R5: 64 lanes",
  async () => {
    const run = await runRoster(64, 64, 60);
    expect(run.problems).toEqual([]);
    expectWhole(run);
    await expectWitnessed(run);
  },
  timeout,
);

test(
  "R5: where the store is honest, a lane that died is seen in time, and nobody else",
  async () => {
    const run = new RosterRun(seededRandom(5), honest);
    for (let index = 0; index < 64; index++) run.start(`lane ${String(index)}`, null, true);
    await pass(run, 2000);
    run.heal();
    const [dies, sleeps, observes] = run.lanes as [RosterLane, RosterLane, RosterLane];
    sleeps.process.pause();
    await pass(run, 10_000);
    expect(observes.watch.isStill(sleeps.slot)).toBe(true);
    dies.kill();
    sleeps.process.resume();
    // Its last heartbeat, the time, and a look: no more.
    await pass(run, limits.heartbeatStillMs + 2 * limits.heartbeatMs);
    for (const observer of run.lanes) {
      if (observer === dies) continue;
      const still = run.lanes.filter(({ slot }) => observer.watch.isStill(slot));
      expect(still).toEqual([dies]);
    }
    expect(run.problems).toEqual([]);
  },
  timeout,
);

test("a seed decides the whole run", async () => {
  const first = await runRoster(3, 8, 20);
  const second = await runRoster(3, 8, 20);
  expect(second.trace.digest).toBe(first.trace.digest);
});
