// Goal: every rule of the log's protocol is needed, and its absence is seen. Method: each rule is
// turned off once, or a bug is planted beside the machine; a schedule written by hand, or the
// seeds, must then end in a violation; the engine as it is passes the same schedule.
import { describe, expect, test } from "vitest";
import { everyRule, type LogRules } from "../../src/grid/log-rules.ts";
import { runLog, type LogRunOptions } from "../../src/simulation/log-run.ts";
import * as schedules from "./log-schedules.ts";

function without(...rules: (keyof LogRules)[]): LogRules {
  return { ...everyRule, ...Object.fromEntries(rules.map((rule) => [rule, false])) };
}

type Schedule = (rules: LogRules) => readonly string[];

function expectCaught(schedule: Schedule, rules: LogRules, what: RegExp): void {
  expect(schedule(everyRule)).toEqual([]);
  expect(schedule(rules).join("\n")).toMatch(what);
}

describe("a rule left out", () => {
  test("L1, L2: own answer taken as durable loses an acknowledged record", () => {
    expectCaught(schedules.ownAppendUnconfirmed, without("confirmOwn"), /acknowledged 2 is gone/);
  });

  test("L1: an unconfirmed claim of one's own is served upon and vanishes", () => {
    expectCaught(schedules.ownClaimUnconfirmed, without("confirmOwn"), /claim 1 is gone/);
  });

  test("L2: an unknown outcome taken as durable acknowledges what is nowhere", () => {
    expectCaught(schedules.appendLost, without("definiteOnly"), /acknowledged 2 is gone/);
  });

  test("L3: beaten by an unconfirmed winner, the denied record lands after all", () => {
    const denied = /entry 1, called not applied, is in the log/;
    expectCaught(schedules.winnerVanishes, without("confirmOther"), denied);
  });

  test("L2: a vanished record given up as beaten lands after all", () => {
    const denied = /entry 1, called not applied, is in the log/;
    expectCaught(schedules.ownVanishes, without("repeatVanished"), denied);
  });

  test("L3: a claim built on an unconfirmed tail stands behind a hole", () => {
    expectCaught(schedules.tailVanishes, without("helpTail"), /behind the hole at 2/);
  });

  test("L4: without head read after the claim, a claim on trimmed ground makes two owners", () => {
    const twoOwners = /two values at 2[^]*3 of epoch 1 behind claim 2/;
    expectCaught(schedules.claimOnTrimmedGround, without("readHeadAfterClaim"), twoOwners);
  });

  test("L5: neither chain nor head looked at, a late duplicate is folded", () => {
    const neither = without("checkChain", "readHeadAfterLoad");
    expectCaught(schedules.duplicateWhileLoading, neither, /not the fold of the log/);
    // The model found, and this schedule shows: within the failure bound each alone suffices.
    expect(schedules.duplicateWhileLoading(without("checkChain"))).toEqual([]);
    expect(schedules.duplicateWhileLoading(without("readHeadAfterLoad"))).toEqual([]);
  });

  test("L5: the chain alone shows a record that was replaced beyond the failure bound", () => {
    expectCaught(schedules.foreignRecordInLog, without("checkChain"), /not the fold of the log/);
  });

  test("L6: without head read when beaten, what was folded and trimmed is denied", () => {
    const denied = /entry 2 is called not applied, and is in the log/;
    expectCaught(schedules.beatenByVoidClaim, without("readHeadWhenBeaten"), denied);
  });

  test("L7: a hole taken for a loss while a predecessor trims is a false alarm", () => {
    const alarm = /GRID_LOST.*record 2 is missing/;
    expectCaught(schedules.trimWhileLoading, without("lossOnlyUnmoved"), alarm);
  });

  const onLoss = /L11: a, told of a change, tells of 3 while its 2 is lost/;

  test("L11: without a look at the last record an owner acknowledges behind a lost one", () => {
    expectCaught(schedules.tailLost, without("checkTail"), onLoss);
  });

  test("L11: looking at the last record alone, a hole that was appended over stays unseen", () => {
    const further = /L11: a, told of a change, tells of 4 while its 2 is lost/;
    expectCaught(schedules.tailLostUnseen, without("checkBefore"), further);
    expectCaught(schedules.lastRestored, without("checkBefore"), further);
  });

  test("L11: with the check after the append, one is stored over the hole and acknowledged", () => {
    expectCaught(schedules.unknownOverHole, without("checkFirst"), onLoss);
    expectCaught(schedules.storedOverHole, without("checkFirst"), onLoss);
  });

  test("L7: without head read, a check takes what was trimmed for a loss", () => {
    const alarm = /GRID_LOST, and a lost nothing.*record 2 is missing/;
    expectCaught(schedules.checkedAfterTrim, without("lossOnlyUnmoved"), alarm);
    expectCaught(schedules.checkedWhenTrimmedAway, without("lossOnlyUnmoved"), alarm);
  });
});

describe("a bug planted beside the machine", () => {
  test("L8: a second append in flight is durable behind a hole", () => {
    expect(schedules.twoAppendsInFlight(everyRule, false)).toEqual([]);
    expect(schedules.twoAppendsInFlight(everyRule, true).join()).toMatch(/behind the hole at 2/);
  });

  test("identity is all bytes: the token alone takes an older record for one's claim", () => {
    expect(schedules.tokenIdentity(everyRule, false)).toEqual([]);
    expect(schedules.tokenIdentity(everyRule, true).join()).toMatch(/chain is broken at 3/);
  });

  test("L5: state folded from the scan holds a record that the log never had", () => {
    const unchecked = without("checkChain");
    expect(schedules.foldFromScan(everyRule, false)).toEqual([]);
    expect(schedules.foldFromScan(unchecked, false)).toEqual([]);
    expect(schedules.foldFromScan(unchecked, true).join()).toMatch(/not the fold of the log/);
  });
});

describe("the seeds see by chance what the schedules show", { timeout: 600_000 }, () => {
  const seedsMax = 3000;

  type Wrong = Omit<LogRunOptions, "seed">;

  async function firstCaught(wrong: Wrong): Promise<number> {
    for (let seed = 1; seed <= seedsMax; seed++) {
      const { violations } = await runLog({ seed, ...wrong });
      if (violations.length > 0) return seed;
    }
    return Infinity;
  }

  test.each([
    "confirmOwn",
    "definiteOnly",
    "repeatVanished",
    "helpTail",
    "readHeadAfterClaim",
    "lossOnlyUnmoved",
  ] as const)("without %s", async (rule) => {
    const seed = await firstCaught({ rules: without(rule) });
    expect(seed).toBeLessThanOrEqual(seedsMax);
    expect((await runLog({ seed })).violations).toEqual([]);
  });

  test.each(["checkTail", "checkBefore", "checkFirst"] as const)(
    "without %s, where all copies go back",
    async (rule) => {
      const seed = await firstCaught({ rules: without(rule), rewinds: true });
      expect(seed).toBeLessThanOrEqual(seedsMax);
      expect((await runLog({ seed, rewinds: true })).violations).toEqual([]);
    },
  );
});
