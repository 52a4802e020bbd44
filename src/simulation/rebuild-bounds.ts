// Rebuild bounds: the shapes of worlds in which rebuilds are explored to the end: small ones, which
// tests see through, and wide ones, where somebody takes the time.
// Owns: the shapes and their names. Does not own: the exploration (rebuild-explorer.ts).
import { everyRebuildRule } from "../grid/rebuild-state.ts";
import type { RebuildBounds } from "./rebuild-explorer.ts";
import { everyTableRule } from "./rebuild-world.ts";

const quiet: RebuildBounds = {
  rules: everyRebuildRule,
  tables: everyTableRule,
  runs: [1],
  lanes: [],
  lateCalls: 0,
  lostAnswers: 0,
  wipes: 0,
  restores: 0,
  crashes: 0,
  cut: false,
  begun: false,
  stopped: false,
  worldsMax: Infinity,
};

/** An owner that may append and write to the database once more, whenever it wakes. */
const zombie = { joins: 0, appends: 1, pumps: 1 };
const joiner = { joins: 1, appends: 1, pumps: 2 };

/** Bounds of which only what differs from a quiet world is said. */
export function rebuildBounds(bounds: Partial<RebuildBounds>): RebuildBounds {
  return { ...quiet, ...bounds };
}

export const rebuildShapes = {
  alone: rebuildBounds({ lanes: [zombie] }),
  joined: rebuildBounds({ lanes: [zombie, joiner] }),
  cut: rebuildBounds({ runs: [1, 1], lanes: [zombie], cut: true }),
  two: rebuildBounds({ runs: [1, 1], lanes: [zombie] }),
  lost: rebuildBounds({ runs: [1, 1], lostAnswers: 1 }),
  late: rebuildBounds({ runs: [1, 1], lateCalls: 1 }),
  crash: rebuildBounds({ runs: [1, 1], crashes: 1 }),
  begun: rebuildBounds({ runs: [1, 1], begun: true, wipes: 1 }),
  restored: rebuildBounds({ runs: [1, 1], restores: 1 }),
  stopped: rebuildBounds({ runs: [2], lanes: [joiner], wipes: 1, stopped: true }),
} as const;

export const smallRebuilds: readonly (readonly [name: string, bounds: RebuildBounds])[] = [
  ["a run, an old owner", rebuildShapes.alone],
  ["a run, an old owner, a lane that joins", rebuildShapes.joined],
  ["two runs, an old owner", rebuildShapes.two],
  ["two runs, an old owner whose log was cut back", rebuildShapes.cut],
  ["two runs, a lost answer", rebuildShapes.lost],
  ["two runs, a late call", rebuildShapes.late],
  ["two runs, a primary dies", rebuildShapes.crash],
  ["two runs behind one that died, a store that is emptied", rebuildShapes.begun],
  ["two runs, a database that is restored", rebuildShapes.restored],
  [
    "a clean stop, a run that begins twice, a lane that joins, a store emptied",
    rebuildShapes.stopped,
  ],
];

/** Shapes that take minutes. */
export const wideRebuilds: readonly (readonly [name: string, bounds: RebuildBounds])[] = [
  ["two runs, an old owner, an answer lost", { ...rebuildShapes.two, lostAnswers: 1 }],
  ["two runs, an old owner, a late call", { ...rebuildShapes.two, lateCalls: 1 }],
  ["two runs, an old owner, a store emptied", { ...rebuildShapes.two, wipes: 1 }],
  ["two runs, an old owner, a database restored", { ...rebuildShapes.two, restores: 1 }],
  [
    "a run, an old owner, a lane that joins, a late call",
    { ...rebuildShapes.joined, lateCalls: 1 },
  ],
  ["three runs", rebuildBounds({ runs: [1, 1, 1] })],
];
