// Goal and method: see the stories; here on LMDB, in one folder that all units share.
import { unitStories } from "./support/unit-stories.ts";

unitStories({ name: "LMDB", open: () => Promise.resolve({ store: null, members: null }) });
