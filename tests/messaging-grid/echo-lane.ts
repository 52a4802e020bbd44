// Echo lane, seen from the main thread: starts echo-worker.ts with a link to a messenger here.
// Owns: the thread and the link's end here. For port-link.test.ts and round-trips-process.ts.
import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import { systemClock } from "../../src/base/clock.ts";
import { failed, type Outcome } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { PortLink } from "../../src/messaging-grid/port-link.ts";
import { commandRequest } from "./command-request.ts";

export class EchoLane {
  readonly worker: Worker;
  readonly messenger: Messenger;
  readonly link: PortLink;
  /** What a lane that hangs waits for. */
  readonly #hold = new Int32Array(new SharedArrayBuffer(4));

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.worker = new Worker(new URL("./echo-worker.ts", import.meta.url), {
      workerData: { link: port2, hold: this.#hold },
      transferList: [port2],
    });
    this.messenger = new Messenger({
      clock: systemClock,
      timers: systemTimers,
      onRequest: (_, { command }, respond) => respond(failed("COMMAND_UNKNOWN", command)),
      onNotice: () => undefined,
      onLost: () => undefined,
    });
    this.link = new PortLink(port1);
    this.messenger.connect(1, this.link);
  }

  send(command: string, input: Value, respond: (outcome: Outcome<Value>) => void): void {
    this.messenger.send(1, commandRequest({ command, input, partition: 3 }), respond);
  }

  call(command: string, input: Value = null): Promise<Outcome<Value>> {
    return new Promise((resolve) => {
      this.send(command, input, resolve);
    });
  }

  /** Lets a lane that hangs go on. */
  release(): void {
    Atomics.store(this.#hold, 0, 1);
    Atomics.notify(this.#hold, 0);
  }

  /** Resolves with the thread's next word to the main thread. */
  async said(): Promise<unknown> {
    const [word] = (await once(this.worker, "message")) as unknown[];
    return word;
  }

  async stop(): Promise<void> {
    this.release();
    this.messenger.close();
    await this.worker.terminate();
  }
}

/**
 * `calls` round trips with `inFlight` of them under way at any time; milliseconds that they took.
 */
export function roundTrips(
  lane: EchoLane,
  options: { calls: number; inFlight: number; input: Value },
): Promise<number> {
  const { calls, inFlight, input } = options;
  const startMs = systemClock.monotonicMs();
  let sent = 0;
  let done = 0;
  return new Promise((resolve, reject) => {
    const respond = (outcome: Outcome<Value>) => {
      if (!outcome.ok) reject(new Error(outcome.failure.message));
      done++;
      if (sent < calls) send();
      else if (done === calls) resolve(systemClock.monotonicMs() - startMs);
    };
    const send = () => {
      sent++;
      lane.send("echo", input, respond);
    };
    for (let each = 0; each < Math.min(inFlight, calls); each++) send();
  });
}
