// Goal and method: see the stories; here on three guarded members.
import { describe } from "vitest";
import { missingForGuard } from "../../src/faults/hazelcast-members.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { unitStories } from "./support/unit-stories.ts";

const missing = hazelcastMissing ?? missingForGuard();
const firstPort = 5701;

describe.skipIf(missing !== null)(hazelcastTitle("loss of units on members", missing), () => {
  unitStories({
    name: "Hazelcast",
    open: async (host) => {
      const ports = [firstPort, firstPort + 1, firstPort + 2];
      const places = ports.map((port) => ({ host: host ?? "", port, prefix: [] }));
      const members = await startMembers({
        guarded: true,
        ...(host === undefined ? {} : { places }),
      });
      return { store: members.url, members };
    },
  });
});
