// Goal: pages hear what is new, and nobody outside can hold or burden a lane: neither by many
// connections, nor by talking, silence, slowness, or a page of another host.
// Method: real WebSockets on the loopback interface; ping timers are moved by hand.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket, type ClientOptions } from "ws";
import { must } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import { LiveClients } from "../../src/processing-units/live-clients.ts";
import { ManualTime } from "../load/manual-time.ts";

const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function serve(greeting: readonly string[] = []) {
  const time = new ManualTime();
  const server = createServer((_, response) => response.end());
  const options = { server, path: "/live", timers: time, greeting: () => greeting };
  const clients = new LiveClients(options);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
  return { clients, time, host };
}

function newSocket(host: string, options: ClientOptions & { path?: string } = {}): WebSocket {
  const { path = "/live", ...rest } = options;
  const socket = new WebSocket(`ws://${host}${path}`, rest);
  cleanUp.push(() => {
    socket.on("error", () => undefined); // what ending it before it was open is called
    socket.terminate();
  });
  return socket;
}

async function open(host: string, options: ClientOptions = {}): Promise<WebSocket> {
  const socket = newSocket(host, options);
  await once(socket, "open");
  return socket;
}

/** Status and error code with which a connection is refused. */
async function refused(host: string, options: ClientOptions & { path?: string } = {}) {
  const socket = newSocket(host, options);
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  let body = "";
  for await (const part of response) body += String(part);
  const { error } = JSON.parse(body) as { error: { code: string } };
  return [response.statusCode, error.code];
}

async function heard(socket: WebSocket, messages: number): Promise<string[]> {
  const texts: string[] = [];
  for (let index = 0; index < messages; index++) {
    const [data] = (await once(socket, "message")) as [Buffer];
    texts.push(data.toString());
  }
  return texts;
}

/** The code with which the other side closed. */
async function closed(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, "close")) as [number];
  return code;
}

test("publish: everybody hears it; a new one is greeted first", async () => {
  const { clients, host } = await serve(["welcome"]);
  const sockets = [newSocket(host), newSocket(host)];
  expect(await Promise.all(sockets.map((socket) => heard(socket, 1)))).toEqual([
    ["welcome"],
    ["welcome"],
  ]);
  const answers = sockets.map((socket) => heard(socket, 1));
  clients.publish("news");
  expect(await Promise.all(answers)).toEqual([["news"], ["news"]]);
});

test.each([
  "http://evil.test",
  "http://127.0.0.1.evil.test",
  "http://127.0.0.1:1",
  "null",
  "no address",
])("origin: a page of %s is refused", async (origin) => {
  const { clients, host } = await serve();
  expect(await refused(host, { origin })).toEqual([403, "INPUT_INVALID"]);
  expect(clients.count).toBe(0);
});

test("origin: a page of this host is let in, and so is who is no page", async () => {
  const { clients, host } = await serve();
  await open(host, { origin: `http://${host}` });
  await open(host, { origin: `http://here.test`, headers: { host: "HERE.test" } });
  await open(host);
  expect(clients.count).toBe(3);
});

test("path: there is no other place to connect to", async () => {
  const { host } = await serve();
  expect(await refused(host, { path: "/lively" })).toEqual([404, "COMMAND_UNKNOWN"]);
  await once(newSocket(host, { path: "/live?x=1" }), "open");
});

test("limit: more clients are refused with OVERLOADED; one that leaves makes room", async () => {
  const { clients, host } = await serve();
  const sockets = await Promise.all(
    Array.from({ length: limits.liveClientsMax }, () => open(host)),
  );
  expect(await refused(host)).toEqual([503, "OVERLOADED"]);
  const leaves = must(sockets[0], "a client");
  leaves.close();
  await once(leaves, "close");
  await open(host);
  expect(clients.count).toBe(limits.liveClientsMax);
});

test("limit: a client that talks is closed, and one that sends too much at once", async () => {
  const { host } = await serve();
  const talker = await open(host);
  talker.send("hello");
  expect(await closed(talker)).toBe(1008);
  const shouter = await open(host);
  shouter.send("x".repeat(limits.liveMessageBytesMax + 1));
  expect(await closed(shouter)).toBe(1009);
});

test("limit: a client that does not take what it is told is let go, the others stay", async () => {
  const { clients, host } = await serve();
  const slow = await open(host);
  const quick = await open(host);
  slow.pause();
  const text = "x".repeat(limits.liveQueueBytesMax);
  // The operating system takes some of it; what it does not take waits here.
  while (clients.count === 2) {
    const taken = heard(quick, 1);
    clients.publish(text);
    await taken;
  }
  slow.resume();
  expect(await closed(slow)).toBe(1006);
  expect(quick.readyState).toBe(WebSocket.OPEN);
});

test("pings: who does not answer them is let go, who does stays", async () => {
  const { clients, time, host } = await serve();
  const answers = await open(host);
  const silent = await open(host, { autoPong: false });
  const gone = closed(silent);
  const rounds = limits.liveSilenceMsMax / limits.livePingIntervalMs + 1;
  for (let round = 0; round < rounds; round++) {
    const pinged = once(answers, "ping");
    time.advance(limits.livePingIntervalMs);
    await pinged;
    // The pong was sent before this request, and is read before this request is answered.
    await (await fetch(`http://${host}/`)).text();
  }
  expect(await gone).toBe(1006);
  expect(clients.count).toBe(1);
  expect(answers.readyState).toBe(WebSocket.OPEN);
});

test("end: a client that leaves takes its timer with it", async () => {
  const { clients, time, host } = await serve();
  const socket = await open(host);
  expect(time.timersLeft).toBe(1);
  socket.terminate();
  await once(socket, "close");
  while (clients.count > 0) await (await fetch(`http://${host}/`)).text();
  expect(time.timersLeft).toBe(0);
});

test("stop: clients are closed with 1001, those that do not answer are cut, nobody comes in", async () => {
  const { clients, time, host } = await serve();
  const [polite, stuck] = [await open(host), await open(host)];
  stuck.pause();
  clients.close();
  expect(await closed(polite)).toBe(1001);
  expect(await refused(host)).toEqual([503, "SHUTTING_DOWN"]);
  expect(clients.count).toBe(1);
  time.advance(limits.liveCloseMsMax);
  while (clients.count > 0) await (await fetch(`http://${host}/`)).text();
});
