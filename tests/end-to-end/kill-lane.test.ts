// Goal and method: see the story; here on embedded engines.
import { killLaneStory } from "./stories/kill-lane.ts";
import { lmdbEngine, memoryEngine } from "./support/grid-engine.ts";

killLaneStory(lmdbEngine);
killLaneStory(memoryEngine);
