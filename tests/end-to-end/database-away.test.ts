// Goal and method: see the story; here on embedded engines.
import { databaseAwayStory } from "./stories/database-away.ts";
import { lmdbEngine } from "./support/grid-engine.ts";

databaseAwayStory(lmdbEngine);
