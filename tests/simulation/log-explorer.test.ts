// Goal: within small bounds no schedule whatever makes the log lose, deny or double anything; and
// the exploration sees it where a rule is left out. Method: breadth first over the real machine:
// all orders of calls, each lost, held back, or stored on the primary alone, a primary that dies.
// Owners are told that members changed, and all copies may go back. The bounds are complete: every
// world within them is looked at. ORRERY_WORLDS makes more of them.
import { describe, expect, test } from "vitest";
import { everyRule, type LogRules } from "../../src/grid/log-rules.ts";
import { exploreLog, type ExplorerBounds } from "../../src/simulation/log-explorer.ts";

const worldsMax = Number(process.env["ORRERY_WORLDS"] ?? 60_000);
const timeout = 60_000 + worldsMax * 3;

interface Shape {
  /** The serving lane's appends and checkpoints. */
  readonly owner: readonly [appends: number, checkpoints: number];
  readonly taker: readonly [takeOvers: number, appends: number, checkpoints: number];
  readonly crashes: number;
  readonly lateCalls: number;
  readonly news: number;
  readonly rewinds: number;
}

function bounds(shape: Shape, rules: LogRules): ExplorerBounds {
  const [appends, checkpoints] = shape.owner;
  const [takeOvers, takerAppends, takerCheckpoints] = shape.taker;
  const { crashes, lateCalls, news, rewinds } = shape;
  const owner = { takeOvers: 0, appends, checkpoints };
  const taker = { takeOvers, appends: takerAppends, checkpoints: takerCheckpoints };
  return { rules, lanes: [owner, taker], crashes, lateCalls, news, rewinds, worldsMax };
}

function shape(
  owner: Shape["owner"],
  taker: Shape["taker"],
  crashes: number,
  lateCalls: number,
  news = 0,
  rewinds = 0,
): Shape {
  return { owner, taker, crashes, lateCalls, news, rewinds };
}

const smallTrimming = shape([1, 1], [1, 0, 0], 0, 0);
const append = shape([1, 0], [1, 1, 0], 1, 1);
const trimming = shape([1, 1], [1, 0, 0], 1, 1);
const trimmingTwice = shape([1, 1], [2, 0, 0], 0, 1);
const takerTrims = shape([1, 0], [2, 0, 1], 0, 1);
const noTaker = [0, 0, 0] as const;
const checkedTrimming = shape([1, 1], noTaker, 0, 0, 1);
const rewound = shape([3, 0], noTaker, 0, 1, 2, 1);
const alone = shape([2, 2], noTaker, 1, 0);
const bothTrim = shape([1, 1], [1, 0, 1], 1, 0);
const trimsTwice = shape([1, 2], [1, 0, 1], 0, 0);

describe("L1 to L7, L11, K1 to K6: every schedule within the bounds is lawful", () => {
  const small: [string, Shape][] = [
    ["an append, a taker that appends, a crash, a late call", append],
    ["an append and a checkpoint, a taker, a crash, a late call", trimming],
    ["an append and a checkpoint, a taker that tries twice, a late call", trimmingTwice],
    ["an append, a taker that tries twice and checkpoints, a late call", takerTrims],
    ["an append, a taker that appends, a crash, news", shape([1, 0], [1, 1, 0], 1, 0, 1)],
    ["an append and a checkpoint, a taker, news", shape([1, 1], [1, 0, 0], 0, 0, 1)],
    ["two appends and two checkpoints, a crash", alone],
    ["an append and a checkpoint, a taker that checkpoints, a crash", bothTrim],
    ["an append and two checkpoints, a taker that checkpoints", trimsTwice],
    ["three appends, a late call, news twice, and all copies go back", rewound],
  ];
  const wide: [string, Shape][] = [
    ["two appends, two checkpoints, a taker, a crash", shape([2, 2], [1, 0, 0], 1, 0)],
    [
      "an append and two checkpoints, a taker that does both, a crash",
      shape([1, 2], [1, 1, 1], 1, 0),
    ],
    [
      "an append and a checkpoint, two tries with a checkpoint, a crash",
      shape([1, 1], [2, 0, 1], 1, 0),
    ],
    ["an append and a checkpoint each, a crash, a late call", shape([1, 1], [1, 1, 1], 1, 1)],
    ["an append each, a checkpoint, two tries, a crash", shape([1, 1], [2, 1, 0], 1, 0)],
    ["an append and a checkpoint, a taker, a crash, news", shape([1, 1], [1, 0, 0], 1, 0, 1)],
    ["two appends, a taker that appends, news, back", shape([2, 0], [1, 1, 0], 0, 0, 1, 1)],
    ["two appends and a checkpoint, a late call, news, back", shape([2, 1], noTaker, 0, 1, 2, 1)],
  ];
  test.each(worldsMax < 1_000_000 ? small : [...small, ...wide])(
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
  const cases: [(keyof LogRules)[], Shape, RegExp, number][] = [
    [["confirmOwn"], append, /I1: acknowledged 2 is gone/, 3],
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
    [["carryBatch"], shape([2, 2], [1, 0, 0], 0, 0), /I1: fold up to 2 differs/, 4],
    [["dirtyFromEncoding"], alone, /I1: fold up to 3 differs/, 8],
    [["laterSegmentsWin"], shape([4, 2], noTaker, 0, 0), /I1: fold up to 6 differs/, 17],
    [["orphansFromLog"], shape([1, 2], [1, 0, 0], 0, 0), /I3: segment of 3/, 22],
    [["settleHead"], shape([1, 2], [1, 0, 0], 1, 0), /I3: head names 2/, 21],
    [["trimBehindHead"], alone, /I1: acknowledged 2 is gone/, 7],
    [["confirmHead"], alone, /I1: acknowledged 2 is gone/, 10],
    [["headForward"], shape([1, 1], [1, 0, 1], 0, 0), /I3: head names 2/, 25],
    [["keepClaims"], takerTrims, /I6: claim 1 is gone/, 17],
  ];
  test.each(cases)("without %s", { timeout }, (rules, within, what, steps) => {
    const off = Object.fromEntries(rules.map((rule) => [rule, false]));
    const { violation } = exploreLog(bounds(within, { ...everyRule, ...off }));
    expect(violation?.what).toMatch(what);
    expect(violation?.steps).toHaveLength(steps);
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
