// Edge: HTTP for one lane. Requests become commands; outcomes become answers.
// Owns: the routes of the engine, their limits, the mapping of failures to status codes.
// Does not own: listening (acceptor.ts hands over sockets), an application's own routes.
import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { AggregatorRegistry, type Registry } from "prom-client";
import { failed, failure, ok, type Failure, type FailureCode } from "../base/failure.ts";
import type { Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Value } from "../grid/log-record.ts";
import type { Application } from "./application.ts";
import type { Acknowledgement, ReadConsistency, SubmitOptions } from "./edge-context.ts";
import type { UnitStatus } from "./unit-status.ts";

const statusOfCode: Partial<Record<FailureCode, number>> = {
  COMMAND_UNKNOWN: 404,
  HANDLER_FAILED: 422,
  VALUE_TOO_LARGE: 413,
  PARTITION_HALTED: 409,
  POISON: 422,
};

/** The HTTP status of a failure: retryable 503, terminal 4xx, unknown 504. */
function statusOf(reason: Failure): number {
  if (reason.kind === "retryable") return 503;
  if (reason.kind === "unknown") return 504;
  return statusOfCode[reason.code] ?? 400;
}

/**
 * JSON, in which integers of 64 bits that a number cannot hold are decimal strings. What a handler
 * answered and JSON cannot say is no refusal: the command has run.
 */
function encodeJson(value: Value): Outcome<string> {
  try {
    const json = JSON.stringify(value, (_name, part: unknown) =>
      typeof part === "bigint" ? part.toString() : part,
    );
    return ok(json);
  } catch (error) {
    return failed(
      "OUTCOME_UNKNOWN",
      `the command has run, its answer is no JSON: ${String(error)}`,
    );
  }
}

function sendFailure(reply: FastifyReply, reason: Failure): FastifyReply {
  return reply.code(statusOf(reason)).send({ error: reason });
}

/** What arrives and is no request, or none in time, is told so: no route ever sees it. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writable && error.code !== "ECONNRESET") {
    const [status, message] = connectionProblem(error.code);
    const body = JSON.stringify({ error: failure("INPUT_INVALID", message) });
    socket.write(
      `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}

function connectionProblem(code: string | undefined): [status: number, message: string] {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, `a request must have arrived within ${String(limits.requestMsMax)} ms`];
    case "HPE_HEADER_OVERFLOW":
      return [431, `headers have at most ${String(limits.headerBytesMax)} bytes`];
    default:
      return [400, "this is not HTTP/1.1"];
  }
}

export interface EdgeOptions {
  readonly application: Application;
  /** Begins the ids of requests that bring none. */
  readonly incarnation: string;
  readonly log: Logger;
  submit(
    command: string,
    input: Value,
    options: SubmitOptions,
    respond: (outcome: Outcome<Value>) => void,
  ): void;
  /** The newest status of the unit; null before the first. */
  unitStatus(): UnitStatus | null;
  /** Called once for each answered request, with the milliseconds it took in this lane. */
  answered(durationMs: number): void;
}

export class Edge {
  readonly server: FastifyInstance;
  readonly #options: EdgeOptions;
  readonly #sockets = new Set<Socket>();
  #closing = false;
  #numbered = 0;

  constructor(options: EdgeOptions) {
    this.#options = options;
    this.server = fastify({
      bodyLimit: limits.bodyBytesMax,
      // A slow body must not hold a connection: headers and body have this long.
      requestTimeout: limits.requestMsMax,
      clientErrorHandler: refuseConnection,
      http: {
        headersTimeout: limits.requestMsMax,
        connectionsCheckingInterval: limits.requestCheckMs,
        maxHeaderSize: limits.headerBytesMax,
        shouldUpgradeCallback: (request) => this.#mayUpgrade(request),
      },
      keepAliveTimeout: 60_000,
      routerOptions: { maxParamLength: 512 },
      forceCloseConnections: false,
      requestIdHeader: "x-request-id",
      genReqId: () => `${options.incarnation}-${(this.#numbered++).toString()}`,
      // Our own doors take what their schema says: nothing is removed, nothing is converted.
      ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: true } },
    });
    this.server.addHook("onSend", (_request, reply, _payload, done) => {
      if (this.#closing) reply.header("connection", "close");
      done();
    });
    this.server.addHook("onResponse", (_request, reply, done) => {
      this.#options.answered(reply.elapsedTime);
      done();
    });
    this.#errors();
    this.#health();
    this.#commands();
  }

  /** Makes the routes final; after it `connect` may be called. */
  async ready(): Promise<void> {
    await this.server.ready();
    // Node arms its time-outs for slow requests when a server begins to listen. This one never
    // does, as the acceptor listens for it: it is told so.
    this.server.server.emit("listening");
  }

  /** Takes over a connection that the acceptor accepted. */
  connect(socket: Socket): void {
    if (this.#closing) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    this.server.server.emit("connection", socket);
    socket.resume();
  }

  /** From here on every answer ends its connection; idle connections end now. */
  drain(): void {
    this.#closing = true;
    this.server.server.closeIdleConnections();
  }

  /**
   * Only WebSockets leave HTTP/1.1, where somebody takes them. Clients that offer another protocol
   * (HTTP/2 without TLS) with an ordinary request get their ordinary answer.
   */
  #mayUpgrade(request: IncomingMessage): boolean {
    const isWebSocket = request.headers.upgrade?.toLowerCase() === "websocket";
    return isWebSocket && this.server.server.listenerCount("upgrade") > 0;
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const socket of this.#sockets) socket.destroy();
    await this.server.close();
  }

  #errors(): void {
    this.server.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status === 413) {
        return sendFailure(
          reply,
          failure("VALUE_TOO_LARGE", `a body has at most ${String(limits.bodyBytesMax)} bytes`),
        );
      }
      if (status < 500) {
        return reply.code(status).send({ error: failure("INPUT_INVALID", error.message) });
      }
      // A bug: the answer says no more than that; the log has the rest.
      this.#options.log.error({ error: error.stack, url: request.url }, "request failed");
      return reply.code(500).send({ error: failure("HANDLER_FAILED", "internal error") });
    });
    this.server.setNotFoundHandler((request, reply) =>
      reply
        .code(404)
        .send({ error: failure("COMMAND_UNKNOWN", `there is nothing at ${request.url}`) }),
    );
  }

  #health(): void {
    this.server.get("/livez", (_request, reply) => reply.send({ alive: true }));
    this.server.get("/readyz", (_request, reply) => {
      const status = this.#options.unitStatus();
      const partitions = status?.lanes.flatMap((lane) => lane.partitions) ?? [];
      const waiting = partitions.filter(
        ({ phase, reason }) => phase !== "serving" || reason !== null,
      );
      const lanes = status?.lanes ?? [];
      const outside = lanes.filter(({ grid }) => grid.slot < 0);
      const starting = outside.map(
        ({ lane }) => `lane ${String(lane)} has not joined the grid yet`,
      );
      if (lanes.length === 0) starting.push("no lane of this unit has started yet");
      // What a lane of whatever unit should have, and none has, is missing here too.
      const unheld = [...new Set(lanes.flatMap(({ grid }) => grid.unheld))];
      const alarms = [...new Set([...starting, ...lanes.flatMap(({ grid }) => grid.alarms)])];
      const ready = waiting.length === 0 && unheld.length === 0 && alarms.length === 0;
      // A unit whose database is away serves: nobody would serve better in its place.
      const database = lanes.flatMap((lane) => lane.database?.alarms ?? []);
      return reply.code(ready ? 200 : 503).send({ ready, waiting, unheld, alarms, database });
    });
    this.server.get("/metrics", async (_request, reply) => {
      const lanes = this.#options.unitStatus()?.lanes ?? [];
      const registry: Registry = AggregatorRegistry.aggregate(lanes.map((lane) => lane.metrics));
      return reply.type(registry.contentType).send(await registry.metrics());
    });
  }

  #commands(): void {
    const headers = {
      type: "object",
      properties: {
        "x-ack": { enum: ["memory", "journal", "written"] },
        "x-read": { enum: ["local", "linearizable"] },
        "idempotency-key": {
          type: "string",
          maxLength: limits.idempotencyKeyLengthMax,
          pattern: "^[\\x21-\\x7e]+$",
        },
        "x-deadline-ms": { type: "string", pattern: "^[1-9][0-9]{0,4}$" },
      },
    };
    for (const [name, command] of Object.entries(this.#options.application.commands)) {
      if (command.internal) continue;
      this.server.post(
        `/commands/${name}`,
        { schema: { body: command.input, headers } },
        (request, reply) => this.#command(name, request, reply),
      );
    }
  }

  #command(name: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { headers } = request;
    const deadline = headers["x-deadline-ms"];
    const key = headers["idempotency-key"] as string | undefined;
    const options: SubmitOptions = {
      ack: (headers["x-ack"] as Acknowledgement | undefined) ?? "journal",
      read: (headers["x-read"] as ReadConsistency | undefined) ?? "local",
      ...(key === undefined ? {} : { idempotencyKey: key }),
      ...(deadline === undefined ? {} : { deadlineMs: Number(deadline) }),
      correlationId: request.id,
    };
    this.#options.submit(name, request.body as Value, options, (outcome) => {
      const answer = outcome.ok ? encodeJson(outcome.value) : outcome;
      if (answer.ok) reply.type("application/json").send(answer.value);
      else sendFailure(reply, answer.failure);
    });
    return reply;
  }
}
