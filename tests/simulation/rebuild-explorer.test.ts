// Goal: under every schedule of small bounds a rebuild opens only what the database has, nothing of
// the old generation counts beside it, and it can always be brought to an end; and each order that
// looks as good as the right one is wrong. Method: the real machines, breadth first
// (src/simulation/rebuild-explorer.ts); each planted bug must be found.
import { expect, test } from "vitest";
import {
  everyRebuildRule,
  type RebuildRules,
  type RebuildStage,
} from "../../src/grid/rebuild-state.ts";
import {
  rebuildBounds,
  rebuildShapes,
  smallRebuilds,
} from "../../src/simulation/rebuild-bounds.ts";
import { exploreRebuild, type RebuildBounds } from "../../src/simulation/rebuild-explorer.ts";
import { everyTableRule, type TableRules } from "../../src/simulation/rebuild-world.ts";

const worldsMax = 300_000;

test.each(smallRebuilds)("G4, G5, G6, G7, G8, P12: %s, every schedule", (_name, bounds) => {
  const { complete, violation } = exploreRebuild({ ...bounds, worldsMax });
  expect(violation).toBeNull();
  expect(complete).toBe(true);
});

function without(rule: keyof Omit<RebuildRules, "stages">): Partial<RebuildBounds> {
  return { rules: { ...everyRebuildRule, [rule]: false } };
}

function inOrder(...stages: RebuildStage[]): Partial<RebuildBounds> {
  return { rules: { ...everyRebuildRule, stages } };
}

function tables(rule: keyof TableRules): Partial<RebuildBounds> {
  return { tables: { ...everyTableRule, [rule]: false } };
}

type Planted = [bug: string, shape: RebuildBounds, change: Partial<RebuildBounds>, found: string];

const { alone, two, begun, stopped } = rebuildShapes;
const emptied = rebuildBounds({ runs: [1, 1], wipes: 1 });
const stillWrites = rebuildBounds({
  lanes: [
    { joins: 0, appends: 1, pumps: 1 },
    { joins: 1, appends: 0, pumps: 1 },
  ],
});

const planted: readonly Planted[] = [
  [
    "the tables are read before the fence",
    alone,
    inOrder("reserve", "grid", "endLogs", "fill", "fence", "open"),
    "generation 2 is open, the tables have other entries",
  ],
  [
    "the database is not fenced",
    alone,
    inOrder("reserve", "grid", "endLogs", "fill", "open"),
    "generation 2 is open, the database is another's",
  ],
  [
    "the pointer is not looked at before the fence",
    begun,
    without("lookBeforeFence"),
    "generation 2 is open, the database is another's",
  ],
  [
    "the fence says only that the generation is lower",
    begun,
    tables("exactFence"),
    "generation 2 is open, the database is another's",
  ],
  [
    "the database's row has no token",
    emptied,
    tables("rowToken"),
    "generation 2 is open, the database is another's",
  ],
  [
    "the pointer says open before the map is complete",
    alone,
    inOrder("reserve", "grid", "fence", "endLogs", "open", "fill"),
    "generation 2 is open, its map is not whole, or another run's",
  ],
  [
    "numbers are not reserved",
    two,
    inOrder("grid", "fence", "endLogs", "fill", "open"),
    "generation 2 is open, the database is another's",
  ],
  [
    "a run goes on under another's number",
    two,
    without("ownNumber"),
    "finds another's bytes in its map",
  ],
  [
    "a generation that is replaced already is replaced again",
    two,
    without("refuseReplaced"),
    "generation 2 was replaced, which nobody named",
  ],
  [
    "the old logs are not ended",
    alone,
    inOrder("reserve", "grid", "fence", "fill", "open"),
    "acknowledged under 1, 2 is open",
  ],
  [
    "the old logs are ended once the new generation is open",
    alone,
    inOrder("reserve", "grid", "fence", "fill", "open", "endLogs"),
    "acknowledged under 1, 2 is open",
  ],
  [
    "the pump's statements do not name the generation",
    stillWrites,
    tables("pumpGeneration"),
    "an owner of 1 wrote rows of 2",
  ],
  [
    "an owner behind a clean stop or a rebuild does not wait for the database",
    stopped,
    tables("claimFirst"),
    "is called complete without entry",
  ],
];

test.each(planted)("G4, G5, G6, G7, G8, P12: found where %s", (_bug, shape, change, found) => {
  const { violation } = exploreRebuild({ ...shape, ...change, worldsMax });
  expect(violation?.what).toContain(found);
  expect(violation?.steps.length).toBeLessThan(40);
});
