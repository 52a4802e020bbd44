// A thread that a test starts: serves a memory store to each port that it is sent, and dies when
// it is told to.
import { parentPort, type MessagePort } from "node:worker_threads";
import { systemTimers } from "../../src/base/timers.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { serveStore } from "../../src/grid/stores/port-store.ts";

const store = new MemoryStore();
parentPort?.on("message", (message: MessagePort | "die") => {
  if (message === "die") process.exit(1);
  serveStore(store, message, systemTimers);
});
