// Log bounds: the shapes of worlds that are explored to the end: the small ones always, the wide
// ones where somebody takes the time.
// Owns: the shapes and their names. Does not own: the exploration (log-explorer.ts).
import type { LogRules } from "../grid/log-rules.ts";
import type { ExplorerBounds, LaneBounds } from "./log-world.ts";

/** Lanes, and what may go wrong around them. */
export type LogShape = Omit<ExplorerBounds, "rules" | "worldsMax">;

export type NamedShape = readonly [name: string, shape: LogShape];

/** What the explorer is told of a shape. */
export function boundsOf(shape: LogShape, rules: LogRules, worldsMax: number): ExplorerBounds {
  return { ...shape, rules, worldsMax };
}

/** An owner that serves, and a lane that may take over. */
export function logShape(
  owner: readonly [appends: number, checkpoints: number],
  taker: readonly [takeOvers: number, appends: number, checkpoints: number],
  crashes: number,
  lateCalls: number,
  news = 0,
  rewinds = 0,
): LogShape {
  const [appends, checkpoints] = owner;
  const lanes = [{ takeOvers: 0, appends, checkpoints }, laneBounds(...taker)];
  return { lanes, crashes, lateCalls, news, rewinds };
}

/** Any lanes; the first one serves. */
function lanesShape(
  lanes: readonly LaneBounds[],
  faults: Partial<Omit<LogShape, "lanes">> = {},
): LogShape {
  return { lanes, crashes: 0, lateCalls: 0, news: 0, rewinds: 0, ...faults };
}

function laneBounds(
  takeOvers: number,
  appends: number,
  checkpoints: number,
  releases = 0,
): LaneBounds {
  return { takeOvers, appends, checkpoints, releases };
}

const shape = logShape;
const lane = laneBounds;
export const noTaker = [0, 0, 0] as const;

/** Shapes that a minute suffices for. */
export const smallShapes = {
  append: shape([1, 0], [1, 1, 0], 1, 1),
  trimming: shape([1, 1], [1, 0, 0], 1, 1),
  trimmingTwice: shape([1, 1], [2, 0, 0], 0, 1),
  takerTrims: shape([1, 0], [2, 0, 1], 0, 1),
  appendNews: shape([1, 0], [1, 1, 0], 1, 0, 1),
  trimmingNews: shape([1, 1], [1, 0, 0], 0, 0, 1),
  alone: shape([2, 2], noTaker, 1, 0),
  bothTrim: shape([1, 1], [1, 0, 1], 1, 0),
  trimsTwice: shape([1, 2], [1, 0, 1], 0, 0),
  rewound: shape([3, 0], noTaker, 0, 1, 2, 1),
  /** Everything is encoded anew, so that what only the one before named is deleted. */
  sharesNothing: lanesShape([{ ...lane(0, 1, 2), everything: true }, lane(1, 0, 1)]),
} as const;

const database = { database: [] } as const;

/** Shapes with a database, and with more to them than an owner and a taker. */
export const smallDatabaseShapes = {
  append: lanesShape([lane(0, 1, 0), lane(1, 1, 0)], { ...database, crashes: 1 }),
  appendLate: lanesShape([lane(0, 1, 0), lane(1, 1, 0)], { ...database, lateCalls: 1 }),
  trimming: lanesShape([lane(0, 1, 1)], { ...database, crashes: 1, lateCalls: 1 }),
  trimmingTwo: lanesShape([lane(0, 2, 1)], database),
  released: lanesShape([lane(1, 1, 0, 1), lane(1, 0, 0)], database),
  restored: lanesShape([lane(0, 1, 0), lane(1, 0, 0)], { ...database, restores: 1 }),
  trimmingRestored: lanesShape([lane(0, 1, 1)], { ...database, restores: 1 }),
  rewound: lanesShape([lane(0, 1, 0), lane(1, 0, 0)], { ...database, rewinds: 1 }),
} as const;

export const smallLaneShapes = {
  released: lanesShape([lane(1, 1, 0, 1), lane(1, 1, 0)], { crashes: 1, lateCalls: 1 }),
  reads: lanesShape([lane(0, 2, 0), lane(1, 1, 0)], { reads: 1, crashes: 1 }),
  three: lanesShape([lane(0, 1, 0), lane(1, 0, 0), lane(1, 0, 0)], { crashes: 1, lateCalls: 1 }),
  /** Two records go over a claim that was read and then died: of one a search would not notice. */
  threeAppends: lanesShape([lane(0, 2, 0), lane(1, 0, 0), lane(1, 0, 0)], { crashes: 1 }),
  oneToken: { ...shape([1, 0], [1, 1, 0], 0, 1), oneToken: true },
} as const;

export const smallBounds: readonly NamedShape[] = [
  ["an append, a taker that appends, a crash, a late call", smallShapes.append],
  ["an append and a checkpoint, a taker, a crash, a late call", smallShapes.trimming],
  ["an append and a checkpoint, a taker that tries twice, a late call", smallShapes.trimmingTwice],
  ["an append, a taker that tries twice and checkpoints, a late call", smallShapes.takerTrims],
  ["an append, a taker that appends, a crash, news", smallShapes.appendNews],
  ["an append and a checkpoint, a taker, news", smallShapes.trimmingNews],
  ["two appends and two checkpoints, a crash", smallShapes.alone],
  ["an append and a checkpoint, a taker that checkpoints, a crash", smallShapes.bothTrim],
  ["an append and two checkpoints, a taker that checkpoints", smallShapes.trimsTwice],
  ["three appends, a late call, news twice, and all copies go back", smallShapes.rewound],
  ["a release, both take over after it, a crash, a late call", smallLaneShapes.released],
  ["two appends, a taker that appends, a read, a crash", smallLaneShapes.reads],
  ["three lanes, an append, a crash, a late call", smallLaneShapes.three],
  ["three lanes, two appends, a crash", smallLaneShapes.threeAppends],
  ["one token: an append, a taker that appends, a late call", smallLaneShapes.oneToken],
  ["database: an append, a taker that appends, a crash", smallDatabaseShapes.append],
  ["database: an append, a taker that appends, a late call", smallDatabaseShapes.appendLate],
  ["database: a checkpoint alone, a crash, a late call", smallDatabaseShapes.trimming],
  ["database: two appends, a checkpoint, alone", smallDatabaseShapes.trimmingTwo],
  ["database: a release, the same lane or another after it", smallDatabaseShapes.released],
  ["database restored: an append, a taker", smallDatabaseShapes.restored],
  ["database restored: an append, a checkpoint, alone", smallDatabaseShapes.trimmingRestored],
  ["database: an append, a taker, all copies go back", smallDatabaseShapes.rewound],
];

const threeCopies = { ...logShape([1, 0], [1, 1, 0], 2, 0), copies: 3 };

/** An owner, and two lanes that may take over. */
function three(owner: LaneBounds, faults: Partial<LogShape> = {}): LogShape {
  return lanesShape([owner, lane(1, 0, 0), lane(1, 0, 0)], faults);
}

/** Shapes that take minutes to hours. */
export const wideBounds: readonly NamedShape[] = [
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
  ["three lanes, an append and a checkpoint", three(lane(0, 1, 1))],
  ["three lanes, an append, a release", three(lane(0, 1, 0, 1))],
  ["three lanes, an append, a database", three(lane(0, 1, 0), database)],
  [
    "three lanes, an append, a database, a crash",
    three(lane(0, 1, 0), { ...database, crashes: 1 }),
  ],
  [
    "an append and a checkpoint, a release, both take over",
    lanesShape([lane(1, 1, 1, 1), lane(1, 0, 0)]),
  ],
  ["three copies, two crashes, an append, a taker that appends", threeCopies],
  [
    "database: a release, the same lane or another after it, a crash",
    {
      ...smallDatabaseShapes.released,
      crashes: 1,
    },
  ],
  [
    "database: an append and a checkpoint, a taker",
    lanesShape([lane(0, 1, 1), lane(1, 0, 0)], database),
  ],
  [
    "database: an append and a checkpoint, a taker, a crash",
    lanesShape([lane(0, 1, 1), lane(1, 0, 0)], { ...database, crashes: 1 }),
  ],
  [
    "database restored: an append, a taker that appends",
    lanesShape([lane(0, 1, 0), lane(1, 1, 0)], { ...database, restores: 1 }),
  ],
  [
    "database: two appends, a taker, all copies go back",
    lanesShape([lane(0, 2, 0), lane(1, 0, 0)], { ...database, rewinds: 1 }),
  ],
];
