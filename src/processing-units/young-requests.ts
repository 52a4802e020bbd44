// Young requests: a setting of V8 for the threads that serve requests.
// Owns: the setting, and why. Does not own: threads (lane-pool.ts).
import { setFlagsFromString } from "node:v8";

/**
 * V8 learns at the start, with a small heap and many requests in flight, that what requests
 * allocate lives long, and from then on allocates it where only full collections look: dead
 * objects there keep young ones alive, a third of all garbage is copied around, and a request costs
 * half as much again (docs/performance.md). For threads that serve requests it learns nothing.
 * Holds for the whole process; to be called before a lane is made.
 */
export function keepRequestsYoung(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
