// WebSocket server: takes links from lanes of other processes.
// Owns: the listening socket, who is let in. Does not own: the links (ws-link.ts), what they are
// used for. It listens on the loopback interface unless told otherwise: frames are not encrypted.
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { FrameLink } from "./frame-link.ts";
import { peerHeader, WsLink, wsOptions } from "./ws-link.ts";

export interface WsServerOptions {
  readonly timers: Timers;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** 0: one that is free. */
  readonly port: number;
  /** The secret that all members share; compared in constant time, before anything is upgraded. */
  readonly token: string;
  /** A member connected; `link` waits for its start. */
  readonly onLink: (peer: number, link: FrameLink) => void;
}

export interface WsServer {
  readonly url: string;
  /** Stops listening and closes all links; resolves when they are closed. */
  close(): Promise<void>;
}

const tokenLengthMin = 16;

/**
 * Listens for members. Fails with ADDRESS_IN_USE or, for another reason that the operating system
 * has (an address that is not ours, a port that we may not use), CONFIG_INVALID; both terminal.
 */
export function listenForLinks(options: WsServerOptions): Promise<Outcome<WsServer>> {
  assert(options.token.length >= tokenLengthMin, "a token that could be guessed is none");
  const host = options.host ?? "127.0.0.1";
  const sockets = new WebSocketServer({ ...wsOptions, noServer: true });
  const links = new Set<FrameLink>();
  const server = createServer((_, response) => {
    response.writeHead(426).end();
  });
  server.on("upgrade", (request, connection, head) => {
    const peer = peerOf(request);
    if (!isTokenRight(request, options.token)) refuse(connection, "401 Unauthorized");
    else if (peer === null) refuse(connection, "400 Bad Request");
    else {
      sockets.handleUpgrade(request, connection, head, (socket) => {
        const link = new WsLink(socket, options.timers);
        links.add(link);
        socket.once("close", () => links.delete(link));
        options.onLink(peer, link);
      });
    }
  });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const code = error.code === "EADDRINUSE" ? "ADDRESS_IN_USE" : "CONFIG_INVALID";
      resolve(failed(code, `cannot listen on ${host}:${String(options.port)}: ${error.message}`));
    });
    server.listen(options.port, host, () => {
      resolve(ok({ url: urlOf(server), close: () => closeAll(server, links) }));
    });
  });
}

function isTokenRight(request: IncomingMessage, token: string): boolean {
  // Hashes have equal lengths, so that comparing them says nothing of the token's length either.
  const hashOf = (text: string) => createHash("sha256").update(text).digest();
  const given = request.headers.authorization ?? "";
  return timingSafeEqual(hashOf(given), hashOf(`Bearer ${token}`));
}

function peerOf(request: IncomingMessage): number | null {
  const named = request.headers[peerHeader];
  return typeof named === "string" && /^\d{1,9}$/.test(named) ? Number(named) : null;
}

function refuse(connection: Duplex, status: string): void {
  connection.on("error", () => {
    connection.destroy(); // gone before it could be told
  });
  connection.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `ws://${family === "IPv6" ? `[${address}]` : address}:${String(port)}`;
}

function closeAll(server: Server, links: ReadonlySet<FrameLink>): Promise<void> {
  for (const link of links) link.close();
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections(); // those that never became links
  });
}
