// Goal and method: see the story; here on embedded engines.
import { demoStory } from "./stories/demo.ts";
import { lmdbEngine } from "./support/grid-engine.ts";

demoStory(lmdbEngine);
