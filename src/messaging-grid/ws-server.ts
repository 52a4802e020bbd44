// WebSocket server: takes links from lanes of other processes.
// Owns: the listening socket, who is let in. Does not own: the links (ws-link.ts), what they are
// used for. It listens on the loopback interface unless told otherwise: frames are not encrypted.
// Invariants (docs/invariants.md):
//   M7. A link belongs to two incarnations: who wants another than this one is refused.
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { isIPv6, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { Timers } from "../base/timers.ts";
import type { FrameLink } from "./frame-link.ts";
import { decodeHello, type Hello } from "./hello.ts";
import { answeredHeader, helloHeader, wantedHeader, WsLink, wsOptions } from "./ws-link.ts";

export interface WsServerOptions {
  readonly timers: Timers;
  /** The address to listen on. Default: 127.0.0.1. */
  readonly host?: string | undefined;
  /** The name under which others reach it, where that is not `host`. */
  readonly advertisedHost?: string | undefined;
  /** 0: one that is free. */
  readonly port: number;
  /** The secret that all members share; compared in constant time, before anything is upgraded. */
  readonly token: string;
  /** Of the lane that listens. */
  readonly incarnation: string;
  /** A member connected; `link` waits for its start. */
  readonly onLink: (hello: Hello, link: FrameLink) => void;
}

export interface WsServer {
  /** Where others connect: ws://host:port */
  readonly url: string;
  /** Stops listening and closes all links; resolves when they are closed. */
  close(): Promise<void>;
}

const tokenLengthMin = 16;
/** Listening on every address is fine; who is told to connect to one connects to itself. */
const anyAddress: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/**
 * Listens for members. Fails with ADDRESS_IN_USE or, for another reason that the operating system
 * has (an address that is not ours, a port that we may not use) or where others could not be told
 * an address, CONFIG_INVALID; both terminal.
 */
export function listenForLinks(options: WsServerOptions): Promise<Outcome<WsServer>> {
  assert(options.token.length >= tokenLengthMin, "a token that could be guessed is none");
  const host = options.host ?? "127.0.0.1";
  const advertised = options.advertisedHost ?? host;
  if (anyAddress.has(advertised)) {
    const why = `${advertised} is no address that others could connect to`;
    return Promise.resolve(failed("CONFIG_INVALID", `${why}: name the host to advertise`));
  }
  const sockets = new WebSocketServer({ ...wsOptions, noServer: true });
  sockets.on("headers", (headers) => {
    headers.push(`${answeredHeader}: ${options.incarnation}`);
  });
  const links = new Set<FrameLink>();
  const server = createServer((_, response) => {
    response.writeHead(426).end();
  });
  server.on("upgrade", (request, connection, head) => {
    const { headers } = request;
    const hello = decodeHello(headers[helloHeader]);
    if (!isTokenRight(request, options.token)) refuse(connection, "401 Unauthorized");
    else if (hello === null) refuse(connection, "400 Bad Request");
    else if (headers[wantedHeader] !== options.incarnation)
      refuse(connection, "409 Conflict"); // M7
    else {
      sockets.handleUpgrade(request, connection, head, (socket) => {
        const link = new WsLink(socket, options.timers);
        links.add(link);
        socket.once("close", () => links.delete(link));
        options.onLink(hello, link);
      });
    }
  });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const code = error.code === "EADDRINUSE" ? "ADDRESS_IN_USE" : "CONFIG_INVALID";
      resolve(failed(code, `cannot listen on ${host}:${String(options.port)}: ${error.message}`));
    });
    server.listen(options.port, host, () => {
      resolve(ok({ url: urlOf(server, advertised), close: () => closeAll(server, links) }));
    });
  });
}

function isTokenRight(request: IncomingMessage, token: string): boolean {
  // Hashes have equal lengths, so that comparing them says nothing of the token's length either.
  const hashOf = (text: string) => createHash("sha256").update(text).digest();
  const given = request.headers.authorization ?? "";
  return timingSafeEqual(hashOf(given), hashOf(`Bearer ${token}`));
}

function refuse(connection: Duplex, status: string): void {
  connection.on("error", () => {
    connection.destroy(); // gone before it could be told
  });
  connection.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `ws://${isIPv6(host) ? `[${host}]` : host}:${String(port)}`;
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
