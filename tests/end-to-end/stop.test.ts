// Goal and method: see the story; here on embedded engines.
import { stopStory } from "./stories/stop.ts";
import { lmdbEngine } from "./support/grid-engine.ts";

stopStory(lmdbEngine);
