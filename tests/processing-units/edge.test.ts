// Goal: over HTTP an answer says what may be concluded, and bad input gets a clear refusal.
// Method: the edge over a submit that answers what the test says; real sockets where they matter.
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { Edge, type EdgeOptions } from "../../src/processing-units/edge.ts";
import type { UnitStatus } from "../../src/processing-units/unit-status.ts";
import { counterApplication } from "../support/counter-application.ts";

const edges: Edge[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await Promise.all(edges.splice(0).map((edge) => edge.close()));
});

interface Submitted {
  readonly name: string;
  readonly input: Value;
  readonly options: object;
}

async function newEdge(outcome: Outcome<Value> = ok(1), more: Partial<EdgeOptions> = {}) {
  const submitted: Submitted[] = [];
  const edge = new Edge({
    application: counterApplication,
    incarnation: "i",
    log: pino({ level: "silent" }),
    submit: (name, input, options, respond) => {
      submitted.push({ name, input, options });
      respond(outcome);
    },
    unitStatus: () => null,
    answered: () => undefined,
    ...more,
  });
  edges.push(edge);
  await edge.ready();
  return { edge, submitted };
}

const good = { method: "POST", url: "/commands/add", payload: { key: "a", by: 1 } } as const;

test("POST /commands/:name: the body is the input, the answer the value", async () => {
  const { edge, submitted } = await newEdge(ok({ left: 2n ** 60n, list: [1, "x", null] }));
  const headers = { "x-ack": "memory", "x-deadline-ms": "250", "x-request-id": "abc" };
  const answer = await edge.server.inject({ ...good, headers });
  expect(answer.statusCode).toBe(200);
  expect(answer.json()).toEqual({ left: (2n ** 60n).toString(), list: [1, "x", null] });
  expect(submitted).toEqual([
    {
      name: "add",
      input: { key: "a", by: 1 },
      options: { ack: "memory", read: "local", deadlineMs: 250, correlationId: "abc" },
    },
  ]);
});

test("POST /commands/:name: Idempotency-Key and x-read go along", async () => {
  const { edge, submitted } = await newEdge();
  const key = "!".padEnd(limits.idempotencyKeyLengthMax, "~");
  const headers = { "idempotency-key": key, "x-read": "linearizable", "x-request-id": "abc" };
  expect((await edge.server.inject({ ...good, headers })).statusCode).toBe(200);
  const options = { ack: "journal", read: "linearizable", idempotencyKey: key };
  expect(submitted).toMatchObject([{ options }]);
});

test.each([
  ["OVERLOADED", 503, "retryable"],
  ["NOT_OWNER", 503, "retryable"],
  ["DEADLINE_EXCEEDED", 504, "unknown"],
  ["OUTCOME_UNKNOWN", 504, "unknown"],
  ["HANDLER_FAILED", 422, "terminal"],
  ["VALUE_TOO_LARGE", 413, "terminal"],
  ["PARTITION_HALTED", 409, "terminal"],
  ["POISON", 422, "terminal"],
  ["COMMAND_STALE", 504, "unknown"],
  ["GRID_FULL", 503, "retryable"],
  ["BACKLOG_FULL", 503, "retryable"],
  ["DEAD_LETTERED", 504, "unknown"],
] as const)("failures: %s → %i (%s)", async (code, status, kind) => {
  const { edge } = await newEdge(failed(code, "because"));
  const answer = await edge.server.inject(good);
  expect(answer.statusCode).toBe(status);
  expect(answer.json()).toEqual({ error: { code, kind, message: "because" } });
});

const json = { "content-type": "application/json" };

test.each([
  ["a missing property", { payload: { key: "a" } }, 400],
  ["another type, not converted", { payload: { key: "a", by: "1" } }, 400],
  ["a property too many, not removed", { payload: { key: "a", by: 1, more: 1 } }, 400],
  ["broken JSON", { payload: '{"key":', headers: json }, 400],
  ["no body", { headers: json }, 400],
  ["__proto__", { payload: '{"__proto__":{},"key":"a","by":1}', headers: json }, 400],
  ["another content type", { payload: "<a/>", headers: { "content-type": "text/xml" } }, 415],
  ["a content type with a tab", { payload: "{}", headers: { "content-type": "\ttext/x" } }, 415],
  ["an oversized body", { payload: { key: "a".repeat(limits.bodyBytesMax), by: 1 } }, 413],
  ["an unknown acknowledgement", { ...good, headers: { "x-ack": "printed" } }, 400],
  ["an idempotency key of nothing", { ...good, headers: { "idempotency-key": "" } }, 400],
  ["an idempotency key with a space", { ...good, headers: { "idempotency-key": "a b" } }, 400],
  [
    "an idempotency key that is too long",
    { ...good, headers: { "idempotency-key": "a".repeat(limits.idempotencyKeyLengthMax + 1) } },
    400,
  ],
  ["another consistency", { ...good, headers: { "x-read": "stale" } }, 400],
  ["a deadline of nothing", { ...good, headers: { "x-deadline-ms": "0" } }, 400],
  ["an unknown command", { url: "/commands/nothing", payload: {} }, 404],
  ["another method", { method: "GET" as const }, 404],
])("bad input: %s is refused, and nothing is submitted", async (_name, request, status) => {
  const { edge, submitted } = await newEdge();
  const answer = await edge.server.inject({ method: "POST", url: "/commands/add", ...request });
  expect(answer.statusCode).toBe(status);
  const { error } = answer.json<{ error: { code: string; kind: string; message: string } }>();
  expect(error.kind).toBe("terminal");
  expect(error.message).not.toBe("");
  expect(submitted).toEqual([]);
});

function statusWith(phase: "serving" | "starting", slot = 0): UnitStatus {
  const partition = { partition: 0, phase, reason: null, epoch: 1, journaled: 1, written: 1 };
  const grid = { slot, lanes: 1, settled: true, unheld: [], alarms: [] };
  return {
    timeMs: 0,
    restarts: 0,
    lanes: [{ lane: 0, grid, partitions: [partition], metrics: [] }],
  } as never;
}

test("/livez, /readyz: ready when every partition of the unit serves", async () => {
  let status: UnitStatus | null = null;
  const { edge } = await newEdge(ok(1), { unitStatus: () => status });
  expect((await edge.server.inject("/livez")).statusCode).toBe(200);
  const notStarted = await edge.server.inject("/readyz");
  const noLane = { ready: false, alarms: ["no lane of this unit has started yet"] };
  expect([notStarted.statusCode, notStarted.json()]).toMatchObject([503, noLane]);
  status = statusWith("serving", -1);
  const outside = { ready: false, alarms: ["lane 0 has not joined the grid yet"] };
  expect((await edge.server.inject("/readyz")).json()).toMatchObject(outside);
  status = statusWith("starting");
  const waiting = { ready: false, waiting: [{ partition: 0 }], alarms: [] };
  expect((await edge.server.inject("/readyz")).json()).toMatchObject(waiting);
  status = statusWith("serving");
  expect((await edge.server.inject("/readyz")).statusCode).toBe(200);
  expect((await edge.server.inject("/metrics")).statusCode).toBe(200);
});

test("failures: an answer that is no JSON is no refusal, and harms nobody else", async () => {
  const circular: { self?: Value } = {};
  circular.self = circular;
  const { edge } = await newEdge(ok(circular as Value));
  const answer = await edge.server.inject(good);
  expect([answer.statusCode, answer.json()]).toMatchObject([
    504,
    { error: { code: "OUTCOME_UNKNOWN", kind: "unknown" } },
  ]);
});

async function listen(edge: Edge): Promise<number> {
  const server = createServer({ pauseOnConnect: true }, (socket: Socket) => {
    edge.connect(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** All that is answered to `text`, until the connection ends. */
function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const client = connect(port, "127.0.0.1");
    let heard = "";
    client.on("data", (data) => (heard += data.toString()));
    client.on("close", () => {
      resolve(heard);
    });
    client.write(text);
  });
}

test.each([
  ["what is no HTTP", "nonsense\r\n\r\n", 400, /not HTTP/],
  [
    "headers that are too large",
    `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`,
    431,
    /16384/,
  ],
])("bad input: %s gets an answer of the same form", async (_name, text, status, message) => {
  const { edge } = await newEdge();
  const heard = await talk(await listen(edge), text);
  expect(heard).toMatch(new RegExp(`^HTTP/1.1 ${String(status)} `));
  const { error } = JSON.parse(heard.slice(heard.indexOf("{"))) as {
    error: Record<string, string>;
  };
  expect(error).toMatchObject({ code: "INPUT_INVALID", kind: "terminal" });
  expect(error["message"]).toMatch(message);
});

test("connections: a WebSocket that nobody takes is an ordinary request", async () => {
  const { edge } = await newEdge();
  const heard = await talk(
    await listen(edge),
    "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
  );
  expect(heard).toMatch(/^HTTP\/1.1 200 /);
});

test("connections: a socket that another accepted is served; after drain it ends", async () => {
  const answered: number[] = [];
  const arrived = Promise.withResolvers<(outcome: Outcome<Value>) => void>();
  const { edge } = await newEdge(ok(1), {
    answered: (ms) => answered.push(ms),
    submit: (_name, _input, _options, respond) => {
      arrived.resolve(respond);
    },
  });
  const port = await listen(edge);
  const client = connect(port, "127.0.0.1");
  const nextAnswer = () =>
    new Promise<string>((resolve) => client.once("data", (data) => resolve(data.toString())));
  client.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(await nextAnswer()).toMatch(/^HTTP\/1.1 200 OK[^]*connection: keep-alive/i);
  const body = JSON.stringify({ key: "a", by: 1 });
  client.write(
    "POST /commands/add HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
      `Content-Length: ${String(body.length)}\r\n\r\n${body}`,
  );
  const respond = await arrived.promise;
  const idle = connect(port, "127.0.0.1");
  const idleEnded = new Promise((resolve) => idle.once("close", resolve));
  await new Promise<void>((resolve) => idle.once("connect", resolve));
  edge.drain(); // one connection waits for its answer, the other for nothing
  respond(ok(7));
  const ended = new Promise((resolve) => client.once("close", resolve));
  expect(await nextAnswer()).toMatch(/connection: close[^]*\r\n\r\n7$/i);
  await Promise.all([ended, idleEnded]);
  expect(answered.length).toBe(2);
});
