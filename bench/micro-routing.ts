// Micro routing: a command's way from one lane of a process to another, and its answer's way back,
// over the link and by the messenger that lanes have. Owns: the operations and the other thread.
// Does not own: what is at that thread (micro-routing-worker.ts).
import { once } from "node:events";
import { isDeepStrictEqual } from "node:util";
import { MessageChannel, Worker } from "node:worker_threads";
import { assert } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { unwrap } from "../src/base/failure.ts";
import { systemTimers } from "../src/base/timers.ts";
import type { CommandRequest } from "../src/messaging-grid/frames.ts";
import { Messenger } from "../src/messaging-grid/messenger.ts";
import { PortLink } from "../src/messaging-grid/port-link.ts";
import type { MicroGroup, MicroOperation } from "./micro-operation.ts";

const peer = 1;

const request: CommandRequest = {
  command: "bid",
  input: {
    route: "55816b39711f9b5acf3b90e313ed29e500000001",
    auctionId: "80ce30c5-3c16-46ed-8735-f12300000001",
    siteDomain: "news.example",
    impressions: [{ id: "1", floorMicros: 350, candidates: ["campaign-1", "campaign-7"] }],
  },
  partition: 17,
  deadlineMs: 60_000,
  ack: "journal",
  read: "local",
  origin: { sender: "3f2a9c1d7b604e58", number: 4711, confirmed: 4700, attempt: 0 },
  idempotencyKey: null,
  correlationId: null,
};

export async function routingGroup(): Promise<MicroGroup> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL("./micro-routing-worker.ts", import.meta.url), {
    workerData: port2,
    transferList: [port2],
  });
  await once(worker, "message"); // it serves
  const messenger = new Messenger({
    clock: systemClock,
    timers: systemTimers,
    onRequest: () => undefined,
    onNotice: () => undefined,
    onLost: () => undefined,
  });
  messenger.connect(peer, new PortLink(port1));
  return {
    operations: [1, 64].map((inFlight) => roundTrip(messenger, inFlight)),
    async close() {
      messenger.close();
      await once(worker, "exit");
    },
  };
}

/** Each answer is followed by the next command at once. */
function roundTrip(messenger: Messenger, inFlight: number): MicroOperation {
  return {
    name: `routing: to another lane and back, ${String(inFlight)} in flight`,
    check() {
      return new Promise((resolve) => {
        messenger.send(peer, request, (outcome) => {
          assert(isDeepStrictEqual(unwrap(outcome), request.input), "what came back is what left");
          resolve(JSON.stringify(unwrap(outcome)));
        });
      });
    },
    run(calls) {
      return new Promise((resolve) => {
        let begun = 0;
        let ended = 0;
        let right = 0;
        const next = () => {
          if (begun >= calls) return;
          begun += 1;
          messenger.send(peer, request, (outcome) => {
            ended += 1;
            if (outcome.ok) right += 1;
            if (ended === calls) resolve(right);
            else next();
          });
        };
        for (let first = 0; first < inFlight; first++) next();
      });
    },
  };
}
