// Goal: the client answers each request once, survives servers that close, die and come back, and
// spreads over targets. Method: real node:http and node:net servers in this process; waits for
// events only.
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { unwrap } from "../../src/base/failure.ts";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { HttpClient, parseTarget } from "../../src/load/http-client.ts";
import type { HttpRequest } from "../../src/load/http-client.ts";
import type { HttpResponse } from "../../src/load/http-response.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

interface Served {
  url: string;
  port: number;
  stop(): Promise<void>;
}

/** Listens on a port of the system's choice, or the given one; `stop` cuts all connections. */
async function listen(server: net.Server, port = 0): Promise<Served> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const stop = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  cleanUps.push(async () => {
    if (server.listening) await stop();
  });
  return { url: `http://127.0.0.1:${address.port}`, port: address.port, stop };
}

function client(urls: string[], connections = 2, log: string[] = []): HttpClient {
  const made = new HttpClient({
    targets: urls.map((url) => unwrap(parseTarget(url))),
    connectionsPerTarget: connections,
    waitingMax: 100,
    clock: systemClock,
    timers: systemTimers,
    random: seededRandom(1),
    log: (line) => log.push(line),
  });
  cleanUps.push(() => made.close());
  return made;
}

function send(to: HttpClient, over: Partial<HttpRequest> = {}): Promise<Outcome<HttpResponse>> {
  return new Promise((resolve) => {
    const defaults = { method: "POST", path: "/", headers: "", body: "x", timeoutMs: 20_000 };
    to.send({ ...defaults, ...over } as HttpRequest, resolve);
  });
}

/** Sends until an answer comes: connections come back in their own time. */
async function sendUntilAnswered(to: HttpClient): Promise<Outcome<HttpResponse>> {
  for (;;) {
    const outcome = await send(to);
    if (outcome.ok) return outcome;
    await new Promise<void>((resolve) => {
      systemTimers.endOfTick(resolve);
    });
  }
}

function echo(): http.Server {
  return http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const body = Buffer.concat(pieces).toString();
      const seen = `${request.method} ${request.url} ${String(request.headers["x-n"])} ${body}`;
      response.setHeader("content-length", Buffer.byteLength(seen));
      response.end(seen);
    });
  });
}

test("a request arrives as it was given, and many at once are each answered with their own", async () => {
  const server = await listen(echo());
  const to = client([server.url], 4);
  unwrap(await to.open());
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      send(to, { path: `/p?n=${n}`, headers: `x-n: ${n}\r\n`, body: `ü${n}` }),
    ),
  );
  expect(outcomes.map((outcome) => unwrap(outcome).body)).toEqual(
    outcomes.map((_, n) => `POST /p?n=${n} ${n} ü${n}`),
  );
  expect(unwrap(await send(to, { method: "GET", path: "/g", body: "" })).body).toBe(
    "GET /g undefined ",
  );
});

test("an answer in several packets is read as one", async () => {
  const parts = ["HTTP/1.1 200 O", "K\r\ncontent-le", "ngth: 4\r\n\r", "\nab", "cd"];
  const server = await listen(
    net.createServer((socket) => {
      socket.setNoDelay(true);
      const writeNext = (): void => {
        const part = parts.shift();
        // One packet for each turn of the loop.
        if (part !== undefined) socket.write(part, () => setImmediate(writeNext));
      };
      socket.once("data", writeNext);
    }),
  );
  const to = client([server.url], 1);
  unwrap(await to.open());
  expect(unwrap(await send(to)).body).toBe("abcd");
});

test("a server that closes after each answer is connected to again, and nothing is lost", async () => {
  let connections = 0;
  const handler = http.createServer((_request, response) => {
    response.writeHead(200, { connection: "close", "content-length": 2 }).end("ok");
  });
  handler.on("connection", () => connections++);
  const server = await listen(handler);
  const to = client([server.url], 1);
  unwrap(await to.open());
  for (let n = 0; n < 5; n++) expect(unwrap(await send(to)).body).toBe("ok");
  expect(connections).toBeGreaterThanOrEqual(5);
});

test("a lost connection is an error for the request on it, and for no other", async () => {
  const server = await listen(
    http.createServer((request, response) => {
      if (request.url === "/die") request.socket.destroy();
      else response.writeHead(204).end();
    }),
  );
  const to = client([server.url], 1);
  unwrap(await to.open());
  const outcomes = await Promise.all([send(to), send(to, { path: "/die" }), send(to)]);
  expect(outcomes.map((outcome) => (outcome.ok ? "answer" : outcome.failure.code))).toEqual([
    "answer",
    "CONNECTION_LOST",
    // It waited for the only connection, which was opened again.
    "answer",
  ]);
});

test("a server that dies and returns is loaded again, and both are logged once", async () => {
  const log: string[] = [];
  const first = await listen(echo());
  const to = client([first.url], 3, log);
  unwrap(await to.open());
  unwrap(await send(to));
  await first.stop();
  const codes = new Set<string>();
  while (log.length === 0) {
    const outcome = await send(to);
    codes.add(outcome.ok ? "answer" : outcome.failure.code);
  }
  expect([...codes].filter((code) => !/CONNECTION_LOST|TARGET_UNREACHABLE/.test(code))).toEqual([]);
  await listen(echo(), first.port);
  unwrap(await sendUntilAnswered(to));
  expect(log.map((line) => line.replace(/ \(.*/, ""))).toEqual([
    `lost the connection to ${first.url}`,
    `connected to ${first.url} again`,
  ]);
});

test("a server that ends an idle connection, with a 408 that nobody asked for, is not lost", async () => {
  const idleMs = limits.reconnectMsMax + 100;
  const server = http.createServer(
    { connectionsCheckingInterval: 20, headersTimeout: idleMs, requestTimeout: idleMs },
    (_request, response) => response.end("here"),
  );
  const { url } = await listen(server);
  const log: string[] = [];
  const to = client([url], 1, log);
  unwrap(await to.open());
  // The first one is open by now; these replace it, in turn.
  await once(server, "connection");
  await once(server, "connection");
  expect(await send(to)).toMatchObject({ ok: true, value: { body: "here" } });
  expect(log).toEqual([]);
});

test("a target that takes no connection at the start is named, with what to do", async () => {
  const gone = await listen(echo());
  await gone.stop();
  const there = await listen(echo());
  const outcome = await client([there.url, gone.url]).open();
  expect(outcome).toMatchObject({ ok: false, failure: { code: "TARGET_UNREACHABLE" } });
  if (!outcome.ok) {
    expect(outcome.failure.message).toContain(`${gone.url} cannot be reached (ECONNREFUSED)`);
  }
});

test("several targets are loaded in turn; when one dies the others take the load", async () => {
  const counts = [0, 0, 0];
  const servers = await Promise.all(
    counts.map((_, index) =>
      listen(
        http.createServer((_request, response) => {
          counts[index] = (counts[index] ?? 0) + 1;
          response.writeHead(204).end();
        }),
      ),
    ),
  );
  const to = client(servers.map(({ url }) => url));
  unwrap(await to.open());
  for (let n = 0; n < 30; n++) unwrap(await send(to));
  expect(counts).toEqual([10, 10, 10]);
  await servers[1]?.stop();
  let answered = 0;
  while (answered < 20) if ((await send(to)).ok) answered++;
  expect(counts[1]).toBe(10);
});

test("after its deadline a request fails, and its late answer is nobody else's", async () => {
  const held: http.ServerResponse[] = [];
  const server = await listen(
    http.createServer((request, response) => {
      if (request.url === "/held") held.push(response);
      else response.writeHead(200, { "content-length": 3 }).end("own");
    }),
  );
  const to = client([server.url], 1);
  unwrap(await to.open());
  const [late, waited] = await Promise.all([
    send(to, { path: "/held", timeoutMs: 20 }),
    // Waits for the connection that the first one holds, also in vain.
    send(to, { timeoutMs: 20 }),
  ]);
  for (const outcome of [late, waited]) {
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DEADLINE_EXCEEDED" } });
  }
  const next = send(to);
  held[0]?.writeHead(200, { "content-length": 4 }).end("late");
  expect(unwrap(await next).body).toBe("own");
});

test("an answer that cannot be read is an error that says so", async () => {
  const server = await listen(
    net.createServer((socket) => socket.once("data", () => socket.write("220 smtp ready\r\n"))),
  );
  const to = client([server.url], 1);
  unwrap(await to.open());
  const outcome = await send(to);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "RESPONSE_MALFORMED" } });
});

test("more requests than may wait are refused at once", async () => {
  const server = await listen(http.createServer(() => undefined));
  const to = client([server.url], 1);
  unwrap(await to.open());
  const pending = Array.from({ length: 101 }, () => send(to));
  expect(await send(to)).toMatchObject({ failure: { code: "OVERLOADED" } });
  to.close();
  for (const outcome of await Promise.all(pending)) {
    expect(outcome).toMatchObject({ failure: { code: "CONNECTION_LOST" } });
  }
});

test("what does not name a target is refused: https, a path, no URL", () => {
  for (const url of ["https://a.example", "http://a.example/openrtb2/bid", "a.example:80", ""]) {
    expect(parseTarget(url)).toMatchObject({ failure: { code: "CONFIG_INVALID" } });
  }
  expect(unwrap(parseTarget("http://[::1]:8080"))).toEqual({
    origin: "http://[::1]:8080",
    host: "::1",
    port: 8080,
    authority: "[::1]:8080",
  });
});
