// A fresh grid in a memory store, for tests of what is built on it.
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { ok, unwrap } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { openGrid } from "../../src/grid/grid-directory.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";

export async function newMemoryGrid(partitions: number, clock: Clock = systemClock) {
  const store = new MemoryStore();
  const opened = await openGrid({
    store,
    timers: systemTimers,
    clock,
    random: seededRandom(1),
    partitions,
    partitionsDefault: partitions,
    mayCreate: () => Promise.resolve(ok(null)),
  });
  return { store, identity: unwrap(opened) };
}
