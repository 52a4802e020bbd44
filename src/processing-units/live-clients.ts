// Live clients: WebSocket clients of one lane. They are told what is new, and say nothing.
// Owns: who is let in, their pings, the slow ones, their end. Does not own: what they are told.
// What comes from outside is not trusted: no compression, tiny messages, a ping that must be
// answered, and only pages that came from this very host.
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { failure, type Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";

export interface LiveClientsOptions {
  /** The lane's server, which nothing else upgrades. */
  readonly server: Server;
  readonly path: string;
  readonly timers: Timers;
  /** What a new client is told at once. */
  greeting(): readonly string[];
}

/** Going away: the closing code of a server that stops. */
const goingAway = 1001;
const policyViolation = 1008;

export class LiveClients {
  readonly #options: LiveClientsOptions;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.liveMessageBytesMax,
  });
  readonly #clients = new Set<WebSocket>();
  #closing = false;

  constructor(options: LiveClientsOptions) {
    this.#options = options;
    options.server.on("upgrade", (request, connection, head) => {
      this.#upgrade(request, connection, head);
    });
  }

  get count(): number {
    return this.#clients.size;
  }

  /** Tells every client. One that has not taken what it was told before is let go. */
  publish(text: string): void {
    for (const client of this.#clients) {
      if (client.bufferedAmount > limits.liveQueueBytesMax) client.terminate();
      else client.send(text);
    }
  }

  /** Lets nobody in any more, and closes those that are here with 1001. */
  close(): void {
    this.#closing = true;
    for (const client of this.#clients) client.close(goingAway, "this unit is stopping");
    const { timers } = this.#options;
    timers.after(limits.liveCloseMsMax, () => {
      for (const client of this.#clients) client.terminate();
    });
  }

  #upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    const path = (request.url ?? "").split("?", 1)[0];
    if (path !== this.#options.path) {
      refuse(connection, "404 Not Found", failure("COMMAND_UNKNOWN", "there is nothing here"));
    } else if (!isOfThisHost(request)) {
      const reason = failure("INPUT_INVALID", "only a page of this host may connect");
      refuse(connection, "403 Forbidden", reason);
    } else if (this.#closing) {
      const reason = failure("SHUTTING_DOWN", "this unit is stopping");
      refuse(connection, "503 Service Unavailable", reason);
    } else if (this.#clients.size >= limits.liveClientsMax) {
      const most = `a lane has at most ${limits.liveClientsMax} pages open`;
      refuse(connection, "503 Service Unavailable", failure("OVERLOADED", most));
    } else {
      this.#sockets.handleUpgrade(request, connection, head, (client) => {
        this.#add(client);
      });
    }
  }

  #add(client: WebSocket): void {
    this.#clients.add(client);
    const pings = keepAlive(client, this.#options.timers);
    client.on("close", () => {
      pings.cancel();
      this.#clients.delete(client);
    });
    client.on("error", () => {
      client.terminate(); // a broken frame, a reset connection; "close" follows
    });
    client.on("message", () => {
      client.close(policyViolation, "nothing is expected here");
    });
    for (const text of this.#options.greeting()) client.send(text);
  }
}

/**
 * Pings a client, and ends it when it stays silent. Pings without an answer are counted, not time:
 * after a pause of this process itself, nobody is to blame for the silence.
 */
function keepAlive(client: WebSocket, timers: Timers): TimerHandle {
  let pingsUnheard = 0;
  client.on("pong", () => {
    pingsUnheard = 0;
  });
  return timers.every(limits.livePingIntervalMs, () => {
    if (pingsUnheard * limits.livePingIntervalMs >= limits.liveSilenceMsMax) {
      client.terminate();
      return;
    }
    pingsUnheard++;
    client.ping();
  });
}

/**
 * Whether the page that connects was loaded from here: a browser lets any page connect anywhere,
 * and says in `Origin` which one it is. What is no browser says nothing, and could say anything.
 */
function isOfThisHost({ headers }: IncomingMessage): boolean {
  if (headers.origin === undefined) return true;
  return URL.parse(headers.origin)?.host === headers.host?.toLowerCase();
}

function refuse(connection: Duplex, status: string, reason: Failure): void {
  connection.on("error", () => {
    connection.destroy(); // gone before it could be told
  });
  const body = JSON.stringify({ error: reason });
  connection.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
