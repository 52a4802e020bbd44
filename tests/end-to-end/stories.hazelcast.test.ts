// Goal and method: see the stories; here on three real members each.
import { describe } from "vitest";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { databaseAwayStory } from "./stories/database-away.ts";
import { demoStory } from "./stories/demo.ts";
import { killLaneStory } from "./stories/kill-lane.ts";
import { killUnitStory } from "./stories/kill-unit.ts";
import { stopStory } from "./stories/stop.ts";
import type { GridEngine } from "./support/grid-engine.ts";

const engine: GridEngine = {
  name: "Hazelcast",
  flags: async () => ["--store", (await startMembers()).url],
};

const stories = { databaseAwayStory, demoStory, killLaneStory, killUnitStory, stopStory };

for (const [name, story] of Object.entries(stories)) {
  describe.skipIf(hazelcastMissing !== null)(hazelcastTitle(name), () => {
    story(engine);
  });
}
