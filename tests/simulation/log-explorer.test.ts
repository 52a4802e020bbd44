// Goal: within small bounds no schedule whatever makes the log lose, deny or double anything; and
// the exploration sees it where a rule is left out. Method: breadth first over the real machine:
// all orders of calls, each lost, held back, or stored on the primary alone, a primary that dies.
// Owners are told that members changed, and all copies may go back. The pump writes beside it to a
// database whose transactions may be lost, late, or gone with a backup. The bounds are complete:
// every world within them is looked at. ORRERY_WORLDS makes more of them.
import { describe, expect, test } from "vitest";
import { everyRule, type LogRules } from "../../src/grid/log-rules.ts";
import {
  boundsOf,
  logShape,
  noTaker,
  smallBounds,
  smallDatabaseShapes,
  smallLaneShapes,
  smallShapes,
  wideBounds,
  type LogShape,
} from "../../src/simulation/log-bounds.ts";
import { exploreLog, type ExplorerBounds } from "../../src/simulation/log-explorer.ts";
import type { PumpBug } from "../../src/simulation/script-database.ts";

const worldsMax = Number(process.env["ORRERY_WORLDS"] ?? 60_000);
const timeout = 60_000 + worldsMax * 3;

function bounds(shape: LogShape, rules: LogRules): ExplorerBounds {
  return boundsOf(shape, rules, worldsMax);
}

const { append, trimmingTwice, takerTrims, alone, rewound } = smallShapes;
const smallTrimming = logShape([1, 1], [1, 0, 0], 0, 0);
const checkedTrimming = logShape([1, 1], noTaker, 0, 0, 1);

describe("L1 to L7, L11, K1 to K6: every schedule within the bounds is lawful", () => {
  test.each(worldsMax < 1_000_000 ? smallBounds : [...smallBounds, ...wideBounds])(
    "%s",
    { timeout },
    (name, within) => {
      const { worlds, violation, complete } = exploreLog(bounds(within, everyRule));
      console.log(`${worlds} worlds: ${name}`);
      expect(violation).toBeNull();
      expect(complete).toBe(true);
    },
  );
});

describe("a rule left out: the exploration finds the shortest way to the loss", () => {
  const cases: [(keyof LogRules)[], LogShape, RegExp, number][] = [
    [["confirmOwn"], append, /I1: acknowledged 2 is gone/, 3],
    [["confirmOwn"], logShape([0, 0], [1, 0, 0], 1, 0), /I6: claim 2 is gone/, 12],
    [["definiteOnly"], append, /I1: acknowledged 2 is gone/, 2],
    [["confirmOther"], append, /I8: entry 1, called not applied/, 13],
    [["repeatVanished"], append, /I8: entry 1, called not applied/, 8],
    [["helpTail"], append, /I3: a record behind the hole at 2/, 9],
    [["readHeadAfterClaim"], smallTrimming, /I2: two values at 2/, 19],
    [["lossOnlyUnmoved"], smallTrimming, /I7: GRID_LOST/, 19],
    [["readHeadWhenBeaten"], takerTrims, /I8: entry 1 is called not applied/, 33],
    [["checkChain", "readHeadAfterLoad"], trimmingTwice, /I2: two values at 2/, 30],
    [["lossOnlyUnmoved"], checkedTrimming, /I7: GRID_LOST/, 13],
    [["checkTail"], rewound, /L11: a, told of a change, tells of 2 while its 1 is lost/, 4],
    [["checkBefore"], rewound, /L11: a, told of a change, tells of 2 while its 1 is lost/, 6],
    [["checkFirst"], rewound, /L11: a, told of a change, tells of 2 while its 1 is lost/, 4],
    [["confirmSegments"], alone, /I3: segment of 3/, 8],
    [["carryDelta"], alone, /I1: fold up to 4 differs/, 9],
    [["carryBatch"], logShape([2, 2], [1, 0, 0], 0, 0), /I1: fold up to 2 differs/, 4],
    [["dirtyFromEncoding"], alone, /I1: fold up to 3 differs/, 8],
    [["laterSegmentsWin"], logShape([4, 2], noTaker, 0, 0), /I1: fold up to 6 differs/, 17],
    [["orphansFromLog"], logShape([1, 2], [1, 0, 0], 0, 0), /I3: segment of 3/, 22],
    [["settleHead"], logShape([1, 2], [1, 0, 0], 1, 0), /I3: head names 2/, 21],
    [["trimBehindHead"], alone, /I1: acknowledged 2 is gone/, 7],
    [["confirmHead"], alone, /I1: acknowledged 2 is gone/, 10],
    [["headForward"], logShape([1, 1], [1, 0, 1], 0, 0), /I3: head names 2/, 25],
    [["keepClaims"], takerTrims, /I6: claim 1 is gone/, 17],
    [["baseFromLog"], smallShapes.sharesNothing, /I3: segment of/, 34],
    [["trimWritten"], smallDatabaseShapes.trimmingTwo, /I6: 3, not written yet, is gone/, 12],
  ];
  test.each(cases)("without %s", { timeout }, (rules, within, what, steps) => {
    const off = Object.fromEntries(rules.map((rule) => [rule, false]));
    const { violation } = exploreLog(bounds(within, { ...everyRule, ...off }));
    expect(violation?.what).toMatch(what);
    expect(violation?.steps).toHaveLength(steps);
  });

  test("L8: two appends in flight", { timeout }, () => {
    const { violation } = exploreLog(bounds({ ...append, twins: 1 }, everyRule));
    expect(violation?.what).toMatch(/behind the hole at 2|acknowledged 3, 2 is unknown/);
    expect(violation?.steps).toHaveLength(3);
  });

  const { threeAppends, oneToken } = smallLaneShapes;
  const unchecked = { ...everyRule, checkChain: false };

  test("L5: state folded from the scan", { timeout }, () => {
    const shape = { ...threeAppends, bugs: ["foldsScan"] as const };
    const { violation } = exploreLog(bounds(shape, unchecked));
    expect(violation?.what).toMatch(/I2: two values at 2 \(loaded\)/);
    expect(violation?.steps).toHaveLength(24);
    const alarm = exploreLog(bounds(shape, everyRule)).violation; // the chain sees it, as a loss
    expect(alarm?.what).toMatch(/I7: GRID_LOST/);
    expect(alarm?.steps).toHaveLength(24);
  });

  test("L1: identity by the writer's token", { timeout }, () => {
    const { violation } = exploreLog(bounds({ ...oneToken, bugs: ["tokenIdentity"] }, everyRule));
    expect(violation?.what).toMatch(/I2: another value at 2/);
    expect(violation?.steps).toHaveLength(10);
  });

  test("P8: a read that rides on an append that was sent before it", { timeout }, () => {
    const shape = { ...smallLaneShapes.reads, readsRideOnSent: true };
    const { violation } = exploreLog(bounds(shape, everyRule));
    expect(violation?.what).toMatch(
      /LIN: a read is answered as of 2, 4 was acknowledged before it/,
    );
    expect(violation?.steps).toHaveLength(19);
  });

  test.each(["checkChain", "readHeadAfterLoad"] as const)(
    "without %s alone nothing is lost: the other one suffices",
    { timeout },
    (rule) => {
      const { violation, complete } = exploreLog(
        bounds(trimmingTwice, { ...everyRule, [rule]: false }),
      );
      expect({ violation, complete }).toEqual({ violation: null, complete: true });
    },
  );
});

describe("D1 to D5: something wrong on the way to the database is found", () => {
  const { append, appendLate, trimming, rewound } = smallDatabaseShapes;
  const rewoundUnder = { ...append, crashes: 0, rewinds: 1 };
  const cases: [PumpBug[], LogShape, RegExp, number][] = [
    [["ownAnswers"], append, /I5: the database has 2, which is gone/, 4],
    [["seqUnchecked"], appendLate, /I5: the tables are no fold up to 2/, 20],
    [["unknownIsWritten", "trimsFromMemory"], trimming, /I6: 2, not written yet, is gone/, 9],
    [["lossByClaim"], append, /I7: the pump of 1 stops: GRID_LOST/, 4],
    [["chainUnchecked"], rewoundUnder, /I5: the database has 2 behind another 1/, 15],
    [["epochUnchecked"], rewound, /I5: the owner of 2 goes on, and 1 writes/, 17],
  ];
  test.each(cases)("with %s", { timeout }, (bugs, shape, what, steps) => {
    const { violation } = exploreLog(bounds({ ...shape, database: bugs }, everyRule));
    expect(violation?.what).toMatch(what);
    expect(violation?.steps).toHaveLength(steps);
  });

  test("D5: while the log is whole, seq alone would do: the epoch is needed when it goes back", () => {
    const shape = { ...appendLate, database: ["epochUnchecked"] as const };
    const { violation, complete } = exploreLog(bounds(shape, everyRule));
    expect({ violation, complete }).toEqual({ violation: null, complete: true });
  });
});
