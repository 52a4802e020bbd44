// WebSocket client: connects this lane to a lane of another process.
// Owns: one attempt. Does not own: the link (ws-link.ts), trying again (peer-links.ts).
// Invariants (docs/invariants.md):
//   M7. A link belongs to two incarnations: who answers must be the one that was wanted.
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { failed, ok, type FailureCode, type Outcome } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { FrameLink } from "./frame-link.ts";
import { encodeHello, type Hello } from "./hello.ts";
import { answeredHeader, helloHeader, wantedHeader, WsLink, wsOptions } from "./ws-link.ts";

export interface WsClientOptions {
  readonly timers: Timers;
  /** ws://host:port */
  readonly url: string;
  readonly token: string;
  /** The lane that connects. */
  readonly hello: Hello;
  /** Incarnation of the lane that is to answer. */
  readonly wanted: string;
  readonly deadlineMs: number;
}

/**
 * A link that waits for its start. Fails with PEER_GONE (terminal: nobody listens there, or another
 * incarnation does), PEER_REFUSED (terminal: the token is wrong) or PEER_UNREACHABLE (retryable:
 * no answer, or none that says more).
 */
export function connectLink(options: WsClientOptions): Promise<Outcome<FrameLink>> {
  const { url, token, hello, wanted, deadlineMs, timers } = options;
  const socket = new WebSocket(url, {
    ...wsOptions,
    headers: {
      authorization: `Bearer ${token}`,
      [helloHeader]: encodeHello(hello),
      [wantedHeader]: wanted,
    },
  });
  return new Promise((resolve) => {
    const timer = timers.after(deadlineMs, () => {
      fail("PEER_UNREACHABLE", `no answer within ${String(deadlineMs)} ms`);
    });
    const settle = (outcome: Outcome<FrameLink>) => {
      timer.cancel();
      socket.removeAllListeners("open");
      resolve(outcome);
    };
    const fail = (code: FailureCode, why: string) => {
      settle(failed(code, `cannot reach the lane at ${url}: ${why}`));
      socket.terminate();
    };
    let answered: unknown = null;
    socket.once("upgrade", ({ headers }: IncomingMessage) => {
      answered = headers[answeredHeader];
    });
    socket.once("open", () => {
      if (answered === wanted) settle(ok(new WsLink(socket, timers)));
      else fail("PEER_GONE", "another lane answers there"); // M7
    });
    socket.on("unexpected-response", (_, { statusCode }) => {
      if (statusCode === 401) fail("PEER_REFUSED", "it does not accept this token");
      else if (statusCode === 409) fail("PEER_GONE", "another lane answers there");
      else fail("PEER_UNREACHABLE", `HTTP status ${String(statusCode)}`);
    });
    // Terminating an attempt reports an error too, so this listens for as long as it lives.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const isRefused = error.code === "ECONNREFUSED";
      fail(isRefused ? "PEER_GONE" : "PEER_UNREACHABLE", error.message || "no connection");
    });
  });
}
