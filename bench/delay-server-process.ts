// Delay server: an HTTP server that answers after a known time, and keeps a log of what it did.
// Owns: the delay, its stalls, the log: when each request came and was answered, by the clock that
// all processes of a machine share. Does not own: what follows from it (generator-truth.ts).
// Requests have their number as their body. While it stalls it reads, and answers nothing.
import { createServer, type AddressInfo, type Socket } from "node:net";
import { assert, must } from "../src/base/assert.ts";
import { machineClock } from "../src/base/clock.ts";

export interface DelayServerOptions {
  readonly delayMs: number;
  /** A stall of `stallMs` each `stallEveryMs` from the first request on; 0: none. */
  readonly stallMs: number;
  readonly stallEveryMs: number;
  readonly requestsMax: number;
}

export type FromDelayServer =
  | { readonly kind: "serving"; readonly url: string }
  | {
      readonly kind: "log";
      /** By number of request; 0: it never came. */
      readonly receivedMs: Float64Array;
      readonly answeredMs: Float64Array;
      readonly stalls: readonly (readonly [fromMs: number, toMs: number])[];
    };

const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const options = JSON.parse(must(process.argv[2], "its options")) as DelayServerOptions;
const receivedMs = new Float64Array(options.requestsMax);
const answeredMs = new Float64Array(options.requestsMax);
const stalls: (readonly [number, number])[] = [];
let stalledUntilMs = 0;
let firstMs = 0;
const held: (() => void)[] = [];
const heldPerTurn = 8;

function say(message: FromDelayServer): void {
  process.send?.(message);
}

function receive(socket: Socket, text: string): void {
  const head = text.indexOf("\r\n\r\n");
  assert(head > 0 && head + 4 < text.length, "a small request comes in one piece");
  const number = Number(text.slice(head + 4));
  assert(number < options.requestsMax && receivedMs[number] === 0, "a number comes once");
  const nowMs = machineClock.monotonicMs();
  receivedMs[number] = nowMs;
  if (firstMs === 0) {
    firstMs = nowMs;
    if (options.stallMs > 0) setInterval(stall, options.stallEveryMs).unref();
  }
  const reply = () => {
    if (stalledUntilMs > 0) {
      held.push(reply);
      return;
    }
    answeredMs[number] = machineClock.monotonicMs();
    socket.write(answer);
  };
  setTimeout(reply, options.delayMs);
}

function stall(): void {
  const fromMs = machineClock.monotonicMs();
  stalledUntilMs = fromMs + options.stallMs;
  setTimeout(() => {
    stalledUntilMs = 0;
    stalls.push([fromMs, machineClock.monotonicMs()]);
    answerHeld();
  }, options.stallMs);
}

/** A few at a time: what comes meanwhile is to stand in the log when it comes, not after all. */
function answerHeld(): void {
  for (const reply of held.splice(0, heldPerTurn)) reply();
  if (held.length > 0) setImmediate(answerHeld);
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    receive(socket, text);
  });
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 4096, () => {
  const { port } = server.address() as AddressInfo;
  say({ kind: "serving", url: `http://127.0.0.1:${String(port)}/` });
});
// Whoever started it wants the log, or is gone.
process.on("message", () => {
  say({ kind: "log", receivedMs, answeredMs, stalls });
});
process.on("disconnect", () => process.exit());
