// Cards for tests of the roster: a lane that says as little as it can.
import type { LaneCard } from "../../src/grid/roster-card.ts";

export function laneCard(fields: Partial<LaneCard> & { incarnation: string }): LaneCard {
  return {
    unit: "unit",
    name: `lane of ${fields.incarnation}`,
    address: null,
    release: "0.1.0",
    format: 1,
    state: "ready",
    joins: 1,
    wallMs: 1_767_225_600_000,
    counter: 0,
    owned: [],
    witnessed: [],
    database: null,
    ...fields,
  };
}
