// WebSocket client: connects this lane to a lane of another process.
// Owns: one attempt. Does not own: the link (ws-link.ts), trying again (the caller).
import { WebSocket } from "ws";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { FrameLink } from "./frame-link.ts";
import { peerHeader, WsLink, wsOptions } from "./ws-link.ts";

export interface WsClientOptions {
  readonly timers: Timers;
  /** ws://host:port */
  readonly url: string;
  readonly token: string;
  /** Number of the lane that connects. */
  readonly peer: number;
  readonly deadlineMs: number;
}

/**
 * A link that waits for its start. Fails with PEER_REFUSED (terminal: the token is wrong) or
 * PEER_UNREACHABLE (retryable).
 */
export function connectLink(options: WsClientOptions): Promise<Outcome<FrameLink>> {
  const { url, token, peer, deadlineMs, timers } = options;
  const socket = new WebSocket(url, {
    ...wsOptions,
    headers: { authorization: `Bearer ${token}`, [peerHeader]: String(peer) },
  });
  return new Promise((resolve) => {
    const timer = timers.after(deadlineMs, () => {
      fail(`no answer within ${String(deadlineMs)} ms`);
    });
    const settle = (outcome: Outcome<FrameLink>) => {
      timer.cancel();
      socket.removeAllListeners("open");
      resolve(outcome);
    };
    const fail = (why: string) => {
      settle(failed("PEER_UNREACHABLE", `cannot reach the lane at ${url}: ${why}`));
      socket.terminate();
    };
    socket.once("open", () => {
      settle(ok(new WsLink(socket, options.timers)));
    });
    socket.on("unexpected-response", (_, response) => {
      if (response.statusCode !== 401) {
        fail(`HTTP status ${String(response.statusCode)}`);
        return;
      }
      settle(failed("PEER_REFUSED", `the lane at ${url} does not accept this token`));
      socket.terminate();
    });
    // Terminating an attempt reports an error too, so this listens for as long as it lives.
    socket.on("error", (error) => {
      fail(error.message);
    });
  });
}
