// Goal: every rule of checkpoints and trimming is needed, and its absence is seen. Method: each
// rule is turned off once; a schedule written by hand, and where chance gets there the seeds, must
// then end in a violation; the engine as it is passes the same schedule.
import { describe, expect, test } from "vitest";
import { everyRule, type LogRules } from "../../src/grid/log-rules.ts";
import { runLog } from "../../src/simulation/log-run.ts";
import * as schedules from "./checkpoint-schedules.ts";

type Schedule = (rules: LogRules) => readonly string[];

describe("K1, K2, K3, K4, K5, K6: a rule left out", () => {
  const cases: [string, keyof LogRules, Schedule, RegExp][] = [
    [
      "K4: a segment that was not confirmed dies with the primary",
      "confirmSegments",
      schedules.segmentUnconfirmed,
      /I3: segment of 3/,
    ],
    [
      "K1: without the delta what changed while it was encoded is lost",
      "carryDelta",
      schedules.changedWhileEncoding,
      /I1: fold up to 4 differs/,
    ],
    [
      "K1: without the batch the record says what never was in the log",
      "carryBatch",
      schedules.batchLeftBehind,
      /not the fold of the log/,
    ],
    [
      "K2: counted from the record, what its delta said is in no segment of the next",
      "dirtyFromEncoding",
      schedules.deltaForgotten,
      /I1: fold up to 5 differs/,
    ],
    [
      "K1: with shared segments behind new ones an old value wins",
      "laterSegmentsWin",
      schedules.encodedTwice,
      /I1: fold up to 5 differs/,
    ],
    [
      "K3: based on head's record, a checkpoint names what a sleeper deletes",
      "baseFromLog",
      schedules.basedOnHead,
      /I3: segment of 8/,
    ],
    [
      "K3: counted from head's record, live segments are taken for those of a dead attempt",
      "orphansFromLog",
      schedules.orphansBehindHead,
      /I3: segment of 5/,
    ],
    [
      "K6: a head that was only read falls back after what it permitted was deleted",
      "settleHead",
      schedules.headNotSettled,
      /head names 3/,
    ],
    [
      "K6: trimmed before head has moved, what head names cannot be loaded from",
      "trimBehindHead",
      schedules.trimmedBeforeHead,
      /acknowledged 2 is gone/,
    ],
    [
      "K5: a move of head that was not confirmed falls back, and its log is gone",
      "confirmHead",
      schedules.headUnconfirmed,
      /acknowledged 2 is gone/,
    ],
    [
      "K5: a move of head backwards leads to trimmed ground",
      "headForward",
      schedules.headMovedLate,
      /head names 3/,
    ],
    [
      "K6: where a claim was trimmed, a sleeping owner's append is acknowledged",
      "keepClaims",
      schedules.claimTrimmed,
      /two values at 2/,
    ],
    [
      "K6: trimmed beyond what is written, the pump misses records",
      "trimWritten",
      schedules.trimmedUnwritten,
      /I6: 3, not written yet, is gone/,
    ],
    [
      "L7: a segment that a former owner deletes while it is loaded is no loss",
      "lossOnlyUnmoved",
      schedules.segmentsGoneWhileLoading,
      /GRID_LOST.*segment 0 of checkpoint 3 is missing/,
    ],
  ];
  test.each(cases)("%s", (_, rule, schedule, what) => {
    expect(schedule(everyRule)).toEqual([]);
    expect(schedule({ ...everyRule, [rule]: false }).join("\n")).toMatch(what);
  });
});

describe("the seeds see by chance what the schedules show", { timeout: 600_000 }, () => {
  const seedsMax = 3000;

  async function firstCaught(rule: keyof LogRules): Promise<number> {
    for (let seed = 1; seed <= seedsMax; seed++) {
      const { violations } = await runLog({ seed, rules: { ...everyRule, [rule]: false } });
      if (violations.length > 0) return seed;
    }
    return Infinity;
  }

  test.each([
    "confirmSegments",
    "carryDelta",
    "carryBatch",
    "dirtyFromEncoding",
    "laterSegmentsWin",
    "orphansFromLog",
    "trimBehindHead",
    "confirmHead",
    "keepClaims",
    "trimWritten",
  ] as const)("without %s", async (rule) => {
    const seed = await firstCaught(rule);
    expect(seed).toBeLessThanOrEqual(seedsMax);
    expect((await runLog({ seed })).violations).toEqual([]);
  });
});
