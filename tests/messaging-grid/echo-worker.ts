// Echo lane: a thread that answers every command with its input, and ends or hangs when told to.
// For port-link.test.ts and round-trips-process.ts.
import { isMainThread, parentPort, workerData, type MessagePort } from "node:worker_threads";
import { assert, must } from "../../src/base/assert.ts";
import { systemClock } from "../../src/base/clock.ts";
import { failed, ok } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { PortLink } from "../../src/messaging-grid/port-link.ts";

assert(!isMainThread, "the echo lane is a thread of its own");
const port = must(parentPort, "a thread has a parent");
const { link, hold } = workerData as { link: MessagePort; hold: Int32Array };

const messenger = new Messenger({
  clock: systemClock,
  timers: systemTimers,
  onNotice: () => undefined,
  onLost: () => undefined,
  onRequest: (_, { command, input }, respond) => {
    switch (command) {
      case "echo":
        respond(ok(input));
        return;
      case "exit":
        process.exit(0);
        return;
      case "silence":
        port.postMessage("silent"); // heard, and never answered
        return;
      case "hang":
        // Takes nothing from its port until the test lets it.
        Atomics.wait(hold, 0, 0);
        respond(ok(null));
        return;
      case "close":
        respond(ok("last words"));
        messenger.close();
        return;
      default:
        respond(failed("COMMAND_UNKNOWN", command));
    }
  },
});
messenger.connect(0, new PortLink(link));
port.postMessage("ready");
