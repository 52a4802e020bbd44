// Goal: the benchmark of rivals still runs, what it finds in their books is what is there, and only
// what counts is compared. Method: the smoke size on real processes and a real PostgreSQL (Redis
// and Hazelcast have files of their own); made-up windows; a rival that overspends on purpose.
import { rm } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { audit } from "../../bench/rivals-audit.ts";
import { RivalsLoop } from "../../bench/rivals-loop.ts";
import { campaignsOf, capMax, Plan, type Kept } from "../../bench/rivals-plan.ts";
import { rivalsReport } from "../../bench/rivals-report.ts";
import { rivalList } from "../../bench/rivals-servers.ts";
import { openFolder } from "../support/embedded-database.ts";
import { made, smokeOf } from "../support/rivals.ts";

// A dozen processes, one after the other, on whatever else the machine is doing.
const patience = { timeout: 600_000 };

test("smoke size: ours and PostgreSQL answer, and keep what they answered", patience, async () => {
  const folder = await openFolder("orrery-rivals-");
  onTestFinished(() => rm(folder, { recursive: true }));
  const list = rivalList.filter(({ needs }) => needs === null || needs === "postgres");
  const { problems, windows, goals } = await smokeOf(list, folder);
  // A disk that stands still for a second is none of the bench's.
  expect(problems.filter((what) => !what.includes("GRID_UNAVAILABLE"))).toEqual([]);
  expect(new Set(windows.map(({ rival }) => rival))).toEqual(new Set(list.map(({ name }) => name)));
  for (const { rival, answers, audit: found, reserved, rawPerSecond, ...rest } of windows) {
    expect(answers, rival).toBeGreaterThan(0);
    if (process.platform === "linux") expect(rest.serversCpuUs, rival).not.toBeNull();
    expect(found, rival).toMatchObject({ reservations: reserved, overspentMicros: 0, overCap: 0 });
    expect(rawPerSecond !== null, rival).toBe(rival.startsWith("postgresql"));
  }
  expect(goals[0]).toMatchObject({ measured: "0", verdict: "met" });
});

test("the plan is the same for all, and refuses some of what it asks for", () => {
  const [one, other] = [new Plan("spread", 500), new Plan("spread", 500)];
  const wanted = Array.from({ length: 2000 }, () => one.next());
  expect(Array.from({ length: 2000 }, () => other.next())).toEqual(wanted);
  expect(new Set(wanted.map(({ id }) => id)).size).toBe(2000);
  const perUser = new Map<string, number>();
  for (const { user, campaign } of wanted) {
    const seen = `${user} ${campaign.id}`;
    perUser.set(seen, (perUser.get(seen) ?? 0) + 1);
  }
  expect(Math.max(...perUser.values())).toBeGreaterThan(capMax);
});

test("a rival that reads, and writes without looking again, is found out", async () => {
  const campaigns = campaignsOf("spread");
  const plan = new Plan("spread", 500);
  const reservations: Kept[] = [];
  const spentMicros = new Map<string, number>();
  const counts = new Map<string, number>();
  const loop = new RivalsLoop(64, (answer) => {
    const { id, user, campaign } = plan.next();
    const seen = `${user} ${campaign.id}`;
    const spent = spentMicros.get(campaign.id) ?? 0;
    const count = counts.get(seen) ?? 0;
    setImmediate(() => {
      const { priceMicros, budgetMicros } = campaign;
      if (count >= capMax || spent + priceMicros > budgetMicros) {
        answer("refused");
        return;
      }
      spentMicros.set(campaign.id, spent + priceMicros);
      counts.set(seen, count + 1);
      reservations.push({ id, user, campaign: campaign.id, priceMicros });
      if (reservations.length === 20_000) void loop.stop().then(done);
      answer("reserved");
    });
  });
  const { promise, resolve: done } = Promise.withResolvers<void>();
  loop.start();
  await promise;
  const found = audit(campaigns, { reservations, spentMicros });
  expect(found.overspentMicros).toBeGreaterThan(0);
  expect(found.overCap).toBeGreaterThan(0);
  expect(found.unaccountedMicros).toBeGreaterThan(0);
  expect(found.reservations).toBe(loop.byAnswer.get("reserved"));
});

test("books that are right are found right; each fault is counted as what it is", () => {
  const [campaign] = campaignsOf("hot").slice(-1);
  const { id = "", priceMicros = 0, budgetMicros = 0 } = campaign ?? {};
  const kept = (count: number, user: (index: number) => string): Kept[] =>
    Array.from({ length: count }, (_, index) => {
      return { id: String(index), user: user(index), campaign: id, priceMicros };
    });
  const pays = Math.floor(budgetMicros / priceMicros);
  const spend = (count: number) => new Map([[id, count * priceMicros]]);
  const of = (reservations: readonly Kept[], spentMicros: ReadonlyMap<string, number>) =>
    audit(campaignsOf("hot"), { reservations, spentMicros });
  const right = { overspentMicros: 0, overCap: 0, unaccountedMicros: 0, twice: 0 };
  expect(of(kept(pays, String), spend(pays))).toEqual({ reservations: pays, ...right });
  const above = of(kept(pays + 1, String), spend(pays + 1));
  expect(above.overspentMicros).toBe((pays + 1) * priceMicros - budgetMicros);
  expect(of(kept(pays, String), spend(pays - 1)).unaccountedMicros).toBe(priceMicros);
  expect(
    of(
      kept(capMax + 2, () => "same"),
      spend(capMax + 2),
    ).overCap,
  ).toBe(2);
  const doubled = [...kept(2, String), ...kept(1, String)];
  expect(of(doubled, spend(3)).twice).toBe(1);
});

test("what is below 0.7 of its raw rate does not count, and is compared with nothing", () => {
  const perSecond = { "orrery, lmdb: synced": 900, "redis, AOF always": 800 };
  const goalWith = (rawPerSecond: number) => {
    const { goals, report } = rivalsReport(made(perSecond, { rawPerSecond, rounds: 5 }));
    const name = "orrery, lmdb: synced ÷ redis, AOF always";
    return { goal: goals.find((goal) => goal.name === name), report };
  };
  const counted = goalWith(1000);
  expect(counted.goal).toMatchObject({ verdict: "met" });
  expect(counted.report).not.toContain("Does not count");
  const not = goalWith(2000);
  expect(not.goal).toMatchObject({ verdict: "cannot tell", measured: "nothing" });
  expect(not.report).toMatch(
    /^Does not count: redis, AOF always, spread, 64 .*: 0.40–0.40 of raw/m,
  );
});

test("a rival that overspends makes the result invalid, and ours misses its goal", () => {
  const perSecond = { "orrery, lmdb: synced": 900, "redis, AOF always": 800 };
  const { problems, goals } = rivalsReport(
    made(perSecond, { rawPerSecond: 1000, rounds: 1, overspentMicros: 7 }),
  );
  expect(problems).toEqual([
    "orrery, lmdb: synced, spread, 64 under way, round 1: 7 micros overspent",
    "redis, AOF always, spread, 64 under way, round 1: 7 micros overspent",
  ]);
  expect(goals[0]).toMatchObject({ measured: "7", verdict: "missed" });
});
