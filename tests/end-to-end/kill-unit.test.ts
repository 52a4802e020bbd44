// Goal and method: see the story; here on embedded engines.
import { killUnitStory } from "./stories/kill-unit.ts";
import { lmdbEngine } from "./support/grid-engine.ts";

killUnitStory(lmdbEngine);
