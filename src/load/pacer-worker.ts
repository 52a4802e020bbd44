// Pacer worker: the thread of a pacer, which sleeps as it is asked to and then says so.
// Owns: nothing else. Does not own: the shared memory (pacer-slot.ts).
import { parentPort, workerData } from "node:worker_threads";
import { must } from "../base/assert.ts";
import { PacerSlot } from "./pacer-slot.ts";

const port = must(parentPort, "this is a worker thread");
new PacerSlot(workerData as SharedArrayBuffer).serve(() => {
  port.postMessage(null);
});
