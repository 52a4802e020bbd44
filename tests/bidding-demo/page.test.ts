// Goal: the page's files come with the right types and headers, and only what is there is served;
// pages hear each status, and what comes from outside can neither hold nor burden the lane.
// Method: a lane's real HTTP server on the loopback interface, real WebSockets, timers by hand.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { must } from "../../src/base/assert.ts";
import type { PageMessage } from "../../src/bidding-demo/page/page-message.ts";
import { ManualTimers } from "../grid/manual-timers.ts";
import { sendRaw, servePage, type PageServer } from "./page-server.ts";
import { FakeLane, unitStatus } from "./page-statuses.ts";

const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function serve(): Promise<PageServer> {
  const server = await servePage({ timers: new ManualTimers(), partitions: 2 });
  cleanUp.push(() => server.close());
  return server;
}

/** A WebSocket that keeps what it hears. */
class Client {
  readonly socket: WebSocket;
  readonly #heard: PageMessage[] = [];
  #waiting: (() => void) | null = null;

  constructor({ host }: PageServer, options: { origin?: string } = {}) {
    this.socket = new WebSocket(`ws://${host}/live`, options);
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

test("live: another host's page is refused", async () => {
  const server = await serve();
  const socket = new WebSocket(`ws://${server.host}/live`, { origin: "http://evil.test" });
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  expect(response.statusCode).toBe(403);
  socket.on("error", () => undefined); // what ending it before it was open is called
  socket.terminate();
});

test("live: at the stop pages are closed with 1001, and nobody comes in any more", async () => {
  const server = await serve();
  const client = await new Client(server).opened();
  server.page.onStop();
  expect(await client.closed()).toBe(1001);
  const late = new WebSocket(`ws://${server.host}/live`);
  const [error] = (await once(late, "error")) as [Error];
  expect(error.message).toContain("503");
});

test("HTTP: a client that offers HTTP/2 beside its request gets its answer", async () => {
  const { host } = await serve();
  const lines = ["GET / HTTP/1.1", `Host: ${host}`, "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"];
  const answer = await sendRaw(host, [...lines, "Connection: Upgrade, HTTP2-Settings, close"]);
  expect(answer).toMatch(/^HTTP\/1.1 200 OK/);
});
