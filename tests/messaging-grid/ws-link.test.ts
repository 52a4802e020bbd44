// Goal: lanes in two processes call one another; nobody without the token is let in, nor one that
// looks for somebody else; a peer that is gone, frozen or talks nonsense ends the link and nothing
// else. Method: a real server and real
// sockets on the loopback interface; ping timers are moved by hand.
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { systemClock } from "../../src/base/clock.ts";
import { ok, unwrap, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { systemTimers, type Timers } from "../../src/base/timers.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { FrameLink } from "../../src/messaging-grid/frame-link.ts";
import type { Hello } from "../../src/messaging-grid/hello.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { connectLink } from "../../src/messaging-grid/ws-client.ts";
import { listenForLinks, type WsServer } from "../../src/messaging-grid/ws-server.ts";
import { ManualTime } from "../load/manual-time.ts";
import { commandRequest } from "./command-request.ts";

const token = "a secret that members share";
const incarnation = "the-one-that-listens";
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

interface Arrived {
  readonly peer: number;
  readonly hello: Hello;
  readonly link: FrameLink;
}

/** A server whose links come out of `next`. */
async function listening(timers: Timers = systemTimers) {
  const links: Arrived[] = [];
  const waiting: ((arrived: Arrived) => void)[] = [];
  const onLink = (hello: Hello, link: FrameLink) => {
    const arrived = { peer: hello.slot, hello, link };
    const resolve = waiting.shift();
    if (resolve === undefined) links.push(arrived);
    else resolve(arrived);
  };
  const options = { timers, port: 0, token, incarnation, onLink };
  const server: WsServer = unwrap(await listenForLinks(options));
  cleanUp.push(() => server.close());
  const next = () =>
    new Promise<Arrived>((resolve) => {
      const arrived = links.shift();
      if (arrived === undefined) waiting.push(resolve);
      else resolve(arrived);
    });
  return { server, next, url: server.url, links };
}

function connecting(
  url: string,
  options: { token?: string; timers?: Timers; wanted?: string } = {},
) {
  const hello = { slot: 4, incarnation: "the-one-that-dials" };
  const fixed = { hello, wanted: incarnation, deadlineMs: 10_000, token, timers: systemTimers };
  return connectLink({ ...fixed, ...options, url });
}

async function connected(url: string, timers: Timers = systemTimers): Promise<FrameLink> {
  const link = unwrap(await connecting(url, { timers }));
  cleanUp.push(() => {
    link.close();
  });
  return link;
}

/** A WebSocket of the test's own, as a member without our code would open it. */
async function rawSocket(url: string): Promise<WebSocket> {
  const headers = {
    authorization: `Bearer ${token}`,
    "x-orrery-hello": "9 raw",
    "x-orrery-wanted": incarnation,
  };
  const socket = new WebSocket(url, { headers });
  socket.on("error", () => undefined);
  cleanUp.push(() => {
    socket.terminate();
  });
  await once(socket, "open");
  return socket;
}

function closeOf(link: FrameLink): Promise<void> {
  return new Promise((resolve) => {
    link.start({ onBatch: () => expect.unreachable(), onClose: () => resolve() });
  });
}

function codeOf(outcome: Outcome<unknown>): string | null {
  return outcome.ok ? null : outcome.failure.code;
}

/** A messenger that answers every command with its input, but not the command "silence". */
function echoMessenger(heard: (command: string) => void = () => undefined): Messenger {
  return new Messenger({
    clock: systemClock,
    timers: systemTimers,
    onRequest: (_, { command, input }, respond) => {
      heard(command);
      if (command !== "silence") respond(ok(input));
    },
    onNotice: () => undefined,
    onLost: () => undefined,
  });
}

function call(messenger: Messenger, peer: number, command: string, input: Value) {
  return new Promise<Outcome<Value>>((resolve) => {
    messenger.send(peer, commandRequest({ command, input }), resolve);
  });
}

test("M1: calls over a WebSocket are answered, both ways, whatever their size", async () => {
  const { next, url } = await listening();
  const [client, server] = [echoMessenger(), echoMessenger()];
  client.connect(0, await connected(url));
  const { peer, hello, link } = await next();
  expect(hello).toEqual({ slot: 4, incarnation: "the-one-that-dials" });
  server.connect(peer, link);
  const inputs = Array.from({ length: 300 }, (_, each) => ({ each, text: "y".repeat(each * 99) }));
  const there = inputs.map((input) => call(client, 0, "echo", input));
  const back = inputs.map((input) => call(server, 4, "echo", input));
  const answers = inputs.map((input) => ok(input));
  expect(await Promise.all(there)).toEqual(answers);
  expect(await Promise.all(back)).toEqual(answers);
  const largest = "z".repeat(limits.frameBytesMax - 100);
  expect(await call(client, 0, "echo", largest)).toEqual(ok(largest));
  expect(codeOf(await call(client, 0, "echo", `${largest}${largest}`))).toBe("VALUE_TOO_LARGE");
});

test("M3: a link that one side closes loses the calls of both", async () => {
  const { next, url } = await listening();
  const client = echoMessenger();
  client.connect(0, await connected(url));
  const { link } = await next();
  const heard = new Promise<string>((resolve) => {
    echoMessenger(resolve).connect(4, link);
  });
  const waiting = call(client, 0, "silence", null);
  expect(await heard).toBe("silence");
  link.close();
  expect(codeOf(await waiting)).toBe("LANE_LOST");
  expect(codeOf(await call(client, 0, "echo", 1))).toBe("PEER_UNREACHABLE");
});

test("M3: a connection that breaks without a word ends the link", async () => {
  const { next, url } = await listening();
  const raw = await rawSocket(url);
  const { peer, link } = await next();
  expect(peer).toBe(9);
  const messenger = echoMessenger();
  messenger.connect(peer, link);
  const waiting = call(messenger, peer, "echo", 1);
  raw.terminate();
  expect(codeOf(await waiting)).toBe("LANE_LOST");
});

test("M3, M9: the server's close ends all links, and from then on it refuses for certain", async () => {
  const { server, url } = await listening();
  const links = await Promise.all([connected(url), connected(url)]);
  const closes = links.map(closeOf);
  await server.close();
  await Promise.all(closes);
  expect(await connecting(url)).toMatchObject({ failure: { code: "PEER_GONE", kind: "terminal" } });
});

test("token: without the right one nothing is upgraded, and no link comes about", async () => {
  const { url, links } = await listening();
  for (const wrong of ["", "x", `${token} `.trimEnd().slice(1), `${token}x`]) {
    expect(await connecting(url, { token: wrong })).toMatchObject({
      failure: { code: "PEER_REFUSED", kind: "terminal" },
    });
  }
  for (const hello of ["", "4", "x 4", "4 two words", "256 beyond", "-1 below"]) {
    const headers = { authorization: `Bearer ${token}`, "x-orrery-hello": hello };
    const nameless = new WebSocket(url, { headers });
    const [error] = (await once(nameless, "error")) as [Error];
    expect(error.message).toContain("400");
  }
  expect(links).toEqual([]);
  const response = await fetch(url.replace("ws:", "http:"));
  expect(response.status).toBe(426);
});

test("M7: who looks for another incarnation is not let in, and knows that it is gone", async () => {
  const { url, links } = await listening();
  expect(codeOf(await connecting(url, { wanted: "one-before" }))).toBe("PEER_GONE");
  expect(links).toEqual([]);
  // A listener that answers for somebody else all the same.
  const liar = createHttpServer();
  const sockets = new WebSocketServer({ server: liar });
  sockets.on("headers", (headers) => headers.push("x-orrery-answered: one-before"));
  liar.listen(0, "127.0.0.1");
  await once(liar, "listening");
  cleanUp.push(() => {
    sockets.close();
    liar.close();
  });
  const { port } = liar.address() as AddressInfo;
  expect(codeOf(await connecting(`ws://127.0.0.1:${port}`))).toBe("PEER_GONE");
});

test("address: others are told the host that is advertised, never one that leads nowhere", async () => {
  const options = { timers: systemTimers, token, incarnation, onLink: () => undefined, port: 0 };
  const anywhere = { ...options, host: "0.0.0.0" };
  const server = unwrap(await listenForLinks({ ...anywhere, advertisedHost: "localhost" }));
  cleanUp.push(() => server.close());
  expect(new URL(server.url).hostname).toBe("localhost");
  await connected(server.url);
  expect(codeOf(await listenForLinks(anywhere))).toBe("CONFIG_INVALID");
});

test("loopback: it listens on the loopback interface unless told otherwise", async () => {
  const { url } = await listening();
  expect(new URL(url).hostname).toBe("127.0.0.1");
});

test("listening: a port in use and an address that is not ours are failures, not exceptions", async () => {
  const { url } = await listening();
  const port = Number(new URL(url).port);
  const options = { timers: systemTimers, token, incarnation, onLink: () => undefined };
  expect(codeOf(await listenForLinks({ ...options, port }))).toBe("ADDRESS_IN_USE");
  const elsewhere = await listenForLinks({ ...options, port: 0, host: "192.0.2.1" });
  expect(codeOf(elsewhere)).toBe("CONFIG_INVALID");
});

test("M5: text, and a frame larger than a batch, end the link that sent them only", async () => {
  const { next, url } = await listening();
  const messenger = echoMessenger();
  const client = echoMessenger();
  client.connect(0, await connected(url));
  const good = await next();
  messenger.connect(good.peer, good.link);
  for (const nonsense of ["text", Buffer.alloc(limits.frameBytesMax + 1), Buffer.from("bytes")]) {
    const raw = await rawSocket(url);
    const bad = await next();
    messenger.connect(bad.peer, bad.link);
    const waiting = call(messenger, bad.peer, "echo", "x");
    raw.send(nonsense);
    expect(codeOf(await waiting)).toBe("LANE_LOST");
  }
  expect(await call(client, 0, "echo", "still here")).toEqual(ok("still here"));
});

test("M9: a frozen peer, whose connection stays open, ends the link after the silence, as silent", async () => {
  const time = new ManualTime();
  const { next, url } = await listening(time);
  const raw = await rawSocket(url);
  const { link } = await next();
  let closed = false;
  const close = new Promise<string | undefined>((resolve) => {
    const onClose = (why?: string) => {
      closed = true;
      resolve(why);
    };
    link.start({ onBatch: () => expect.unreachable(), onClose });
  });
  const pings = limits.peerSilenceMsMax / limits.peerPingIntervalMs;
  // Alive: each ping is answered before the next, for much longer than the silence lasts.
  for (let ping = 0; ping < 3 * pings; ping++) {
    // Our own ping is answered after the pong before it was read.
    raw.once("ping", () => raw.ping());
    const ponged = once(raw, "pong");
    time.advance(limits.peerPingIntervalMs);
    await ponged;
    expect(closed).toBe(false);
  }
  raw.pause(); // frozen
  time.advance(limits.peerSilenceMsMax);
  expect(closed).toBe(false);
  time.advance(limits.peerPingIntervalMs);
  expect(await close).toBe("silent");
  expect(time.timersLeft).toBe(0);
});

test("close: a peer that does not take part in closing is dropped after a while", async () => {
  const time = new ManualTime();
  const { next, url } = await listening(time);
  const raw = await rawSocket(url);
  raw.pause();
  const { link } = await next();
  const close = closeOf(link);
  link.close();
  link.close();
  time.advance(limits.peerCloseMsMax);
  await close;
  expect(time.timersLeft).toBe(0);
});

test("M9: somebody silent is PEER_UNREACHABLE in time, and not gone", async () => {
  const silent = createServer();
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const accepted: Socket[] = [];
  silent.on("connection", (socket) => accepted.push(socket));
  cleanUp.push(() => {
    for (const socket of accepted) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const time = new ManualTime();
  const attempt = connecting(`ws://127.0.0.1:${port}`, { timers: time });
  await once(silent, "connection");
  time.advance(10_000);
  expect(await attempt).toMatchObject({ failure: { code: "PEER_UNREACHABLE", kind: "retryable" } });
  expect(time.timersLeft).toBe(0);
});

test("handshake: a connection that never asks for an upgrade does not hold up the close", async () => {
  const { server, url } = await listening();
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const gone = once(socket, "close");
  await server.close();
  await gone;
});

test("start: what came before a link was started is kept, its end included", async () => {
  const { next, url } = await listening();
  const raw = await rawSocket(url);
  const { link } = await next();
  const sent = new Promise((resolve) => raw.send(Uint8Array.of(1, 2, 3), resolve));
  await sent;
  raw.close();
  const got: number[][] = [];
  await new Promise<void>((resolve) => {
    link.start({ onBatch: (batch) => got.push([...batch]), onClose: () => resolve() });
  });
  expect(got).toEqual([[1, 2, 3]]);
  link.send(Uint8Array.of(4)); // taken, and nothing happens
  link.close();
});
