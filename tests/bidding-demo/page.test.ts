// Goal: the page's files come with the right types and headers, and only what is there is served;
// pages hear each status, and what comes from outside can neither hold nor burden the lane.
// Method: a lane's real HTTP server on the loopback interface, real WebSockets, timers by hand.
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { must } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import type { Timers } from "../../src/base/timers.ts";
import type { PageMessage } from "../../src/bidding-demo/page/page-message.ts";
import { ManualTimers } from "../grid/manual-timers.ts";
import { sendRaw, servePage, type PageServer } from "./page-server.ts";
import { FakeLane, unitStatus } from "./page-statuses.ts";

const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function serve(timers: Timers = new ManualTimers()): Promise<PageServer> {
  const server = await servePage({ timers, partitions: 2 });
  cleanUp.push(() => server.close());
  return server;
}

/** A WebSocket that keeps what it hears. */
class Client {
  readonly socket: WebSocket;
  readonly #heard: PageMessage[] = [];
  #waiting: (() => void) | null = null;

  constructor({ host }: PageServer, options: { origin?: string; path?: string } = {}) {
    const { path = "/live", ...rest } = options;
    this.socket = new WebSocket(`ws://${host}${path}`, rest);
    this.socket.on("error", () => undefined);
    this.socket.on("message", (data: Buffer) => {
      this.#heard.push(JSON.parse(data.toString()) as PageMessage);
      this.#waiting?.();
    });
    cleanUp.push(() => {
      this.socket.terminate();
    });
  }

  async opened(): Promise<this> {
    await once(this.socket, "open");
    return this;
  }

  /** The status the server refused it with, and its error. */
  refused(): Promise<[number | undefined, string]> {
    return new Promise((resolve) => {
      this.socket.on("unexpected-response", (_request, response) => {
        let body = "";
        response.on("data", (part) => (body += String(part)));
        response.on("end", () => {
          const { error } = JSON.parse(body) as { error: { code: string } };
          resolve([response.statusCode, error.code]);
        });
      });
    });
  }

  async next(): Promise<PageMessage> {
    while (this.#heard.length === 0) {
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
    return must(this.#heard.shift(), "a message");
  }

  closed(): Promise<number> {
    return new Promise((resolve) => this.socket.once("close", resolve));
  }
}

test("files: each has its type, a mark to ask again by, and allows nothing from elsewhere", async () => {
  const { edge } = await serve();
  const types = {
    "/": "text/html; charset=utf-8",
    "/page/page.css": "text/css; charset=utf-8",
    "/page/page.js": "text/javascript; charset=utf-8",
    "/page/uplot.js": "text/javascript; charset=utf-8",
    "/page/icon.svg": "image/svg+xml",
  };
  for (const [url, type] of Object.entries(types)) {
    const answer = await edge.server.inject(url);
    expect([url, answer.statusCode, answer.headers["content-type"]]).toEqual([url, 200, type]);
    expect(answer.body.length).toBeGreaterThan(100);
    const { etag, "content-security-policy": policy, ...headers } = answer.headers;
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(headers).toMatchObject({
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    for (const mark of [etag, `"other", W/${String(etag)}`]) {
      const again = await edge.server.inject({ url, headers: { "if-none-match": String(mark) } });
      expect([again.statusCode, again.body]).toEqual([304, ""]);
    }
    const old = await edge.server.inject({ url, headers: { "if-none-match": '"old"' } });
    expect(old.statusCode).toBe(200);
  }
});

test("files: every one that another names is there, and none is named with another host", async () => {
  const { edge } = await serve();
  const checked = new Set<string>();
  const check = async (url: string): Promise<void> => {
    if (checked.has(url)) return;
    checked.add(url);
    const { statusCode, body } = await edge.server.inject(url);
    expect([url, statusCode]).toEqual([url, 200]);
    if (url.includes("uplot")) return;
    const named = body.matchAll(/(?:src|href)="([^"#]+)"|from "([^"]+)"/g);
    for (const [, inMarkup, inScript] of named) {
      const next = new URL(inMarkup ?? inScript ?? "", `http://here${url}`);
      expect(next.host).toBe("here");
      if (next.pathname.startsWith("/page/")) await check(next.pathname);
    }
  };
  await check("/");
  expect(checked.size).toBeGreaterThan(8);
});

test.each(["/page", "/page/", "/page/x.js", "/page/../page-routes.ts", "/live", "/index.html"])(
  "files: there is nothing at %s",
  async (url) => {
    const { edge } = await serve();
    expect((await edge.server.inject(url)).statusCode).toBe(404);
  },
);

test("live: a new page hears the past and the newest status at once, then each status", async () => {
  const server = await serve();
  const lane = new FakeLane(0, [0, 1]);
  const early = await new Client(server).opened();
  server.page.onUnitStatus(unitStatus(1, [lane]));
  expect(await early.next()).toMatchObject({ kind: "status", timeMs: 1000, rates: null });
  lane.work(50, 20);
  server.page.onUnitStatus(unitStatus(2, [lane]));
  expect(await early.next()).toMatchObject({ kind: "status", timeMs: 2000 });
  const late = new Client(server, { origin: `http://${server.host}` });
  const point = { timeMs: 2000, requests: 50, bids: 20, p50Ms: null, p99Ms: null };
  expect(await late.next()).toEqual({ kind: "trend", points: [point] });
  expect(await late.next()).toMatchObject({
    kind: "status",
    timeMs: 2000,
    servedBy: 0,
    rates: { requests: 50, bids: 20 },
  });
  server.page.onUnitStatus(unitStatus(3, [lane]));
  expect(await early.next()).toMatchObject({ timeMs: 3000 });
  expect(await late.next()).toMatchObject({ timeMs: 3000 });
});

test("live: a lane tells the others who it is, how old, and what it knows to be lost", async () => {
  let timeMs = 5000;
  const lane = new FakeLane(0, [0, 1]);
  const server = await servePage({
    timers: new ManualTimers(),
    partitions: 2,
    timeMs: () => timeMs,
  });
  cleanUp.push(() => server.close());
  timeMs = 7500;
  lane.work(10, 4);
  server.page.onUnitStatus(unitStatus(1, [lane]));
  expect(server.page.laneStatus()).toMatchObject({ ageMs: 2500, lost: { answers: { bid: 0 } } });
  lane.replace("the second");
  server.page.onUnitStatus(unitStatus(2, [lane]));
  expect(server.page.laneStatus().lost.answers).toMatchObject({ bid: 4, noBid: 6 });
});

test("live: pages of other hosts are refused, whatever their name looks like", async () => {
  const server = await serve();
  for (const origin of ["http://evil.test", `http://${server.host}.evil.test`, "null", "%"]) {
    const refusal = await new Client(server, { origin }).refused();
    expect([origin, ...refusal]).toEqual([origin, 403, "INPUT_INVALID"]);
  }
});

test("live: there is no other place to connect to", async () => {
  const server = await serve();
  const refusal = await new Client(server, { path: "/lively" }).refused();
  expect(refusal).toEqual([404, "COMMAND_UNKNOWN"]);
  await new Client(server, { path: "/live?x=1" }).opened();
});

test("live: more pages than the limit are refused; one that leaves makes room", async () => {
  const server = await serve();
  const clients = await Promise.all(
    Array.from({ length: limits.liveClientsMax }, () => new Client(server).opened()),
  );
  expect(await new Client(server).refused()).toEqual([503, "OVERLOADED"]);
  const first = must(clients[0], "a client");
  first.socket.close();
  await first.closed();
  await new Client(server).opened();
});

test("live: a page that talks is closed; one that sends too much at once, too", async () => {
  const server = await serve();
  const talker = await new Client(server).opened();
  talker.socket.send("hello");
  expect(await talker.closed()).toBe(1008);
  const shouter = await new Client(server).opened();
  shouter.socket.send("x".repeat(limits.liveMessageBytesMax + 1));
  expect(await shouter.closed()).toBe(1009);
});

test("live: a page that answers no pings is let go, one that does stays", async () => {
  const ticks = new Set<() => void>();
  const timers: Timers = {
    after: () => ({ cancel: () => undefined }),
    every: (_intervalMs, callback) => {
      ticks.add(callback);
      return { cancel: () => ticks.delete(callback) };
    },
    endOfTick: (callback) => setImmediate(callback),
  };
  const server = await serve(timers);
  const answers = await new Client(server).opened();
  const silent = await new Client(server).opened();
  silent.socket.pause(); // reads nothing any more, as a frozen browser
  const gone = () => ticks.size === 1;
  const rounds = limits.liveSilenceMsMax / limits.livePingIntervalMs + 1;
  for (let round = 0; round < rounds; round++) {
    const pinged = once(answers.socket, "ping");
    for (const tick of ticks) tick();
    await pinged;
    // The answer is on its way before the next round begins: both ways keep their order.
    server.page.onUnitStatus(unitStatus(round + 1, []));
    await answers.next();
    await pong(answers);
  }
  await silent.closed.call(resumed(silent));
  expect(gone()).toBe(true);
  expect(answers.socket.readyState).toBe(WebSocket.OPEN);
});
