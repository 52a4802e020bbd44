// Micro routing worker: the thread at the other end, which answers a command with its input.
// Owns: its end of the link. Does not own: what a lane does with a command; nothing is done here.
import { isMainThread, parentPort, workerData, type MessagePort } from "node:worker_threads";
import { assert, must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { ok } from "../src/base/failure.ts";
import { systemTimers } from "../src/base/timers.ts";
import { Messenger } from "../src/messaging-grid/messenger.ts";
import { PortLink } from "../src/messaging-grid/port-link.ts";

assert(!isMainThread, "the other lane is a thread of its own");

const messenger = new Messenger({
  clock: systemClock,
  timers: systemTimers,
  onRequest: (_peer, { input }, respond) => respond(ok(input)),
  onNotice: () => undefined,
  onLost: () => undefined,
});
messenger.connect(0, new PortLink(workerData as MessagePort));
must(parentPort, "a thread has a parent").postMessage("serving");
