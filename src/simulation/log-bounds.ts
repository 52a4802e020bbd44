// Log bounds: the shapes of worlds that are explored to the end: the small ones always, the wide
// ones where somebody takes the time.
// Owns: the shapes and their names. Does not own: the exploration (log-explorer.ts).
import type { LogRules } from "../grid/log-rules.ts";
import type { ExplorerBounds } from "./log-explorer.ts";

/** An owner that serves, a lane that may take over, and what may go wrong around them. */
export interface LogShape {
  readonly owner: readonly [appends: number, checkpoints: number];
  readonly taker: readonly [takeOvers: number, appends: number, checkpoints: number];
  readonly crashes: number;
  readonly lateCalls: number;
  readonly news: number;
  readonly rewinds: number;
}

export type NamedShape = readonly [name: string, shape: LogShape];

/** What the explorer is told of a shape. */
export function boundsOf(shape: LogShape, rules: LogRules, worldsMax: number): ExplorerBounds {
  const [appends, checkpoints] = shape.owner;
  const [takeOvers, takerAppends, takerCheckpoints] = shape.taker;
  const { crashes, lateCalls, news, rewinds } = shape;
  const owner = { takeOvers: 0, appends, checkpoints };
  const taker = { takeOvers, appends: takerAppends, checkpoints: takerCheckpoints };
  return { rules, lanes: [owner, taker], crashes, lateCalls, news, rewinds, worldsMax };
}

export function logShape(
  owner: LogShape["owner"],
  taker: LogShape["taker"],
  crashes: number,
  lateCalls: number,
  news = 0,
  rewinds = 0,
): LogShape {
  return { owner, taker, crashes, lateCalls, news, rewinds };
}

const shape = logShape;
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
];

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
];
