// Goal: over WebSockets, too, every request is counted once, by its own answer. Method: real
// servers: one that answers messages, stays silent and hangs up; a lane's live clients, as a unit
// serves them.
import { createServer, type AddressInfo } from "node:net";
import { createServer as createHttpServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";
import { machineClock } from "../../src/base/clock.ts";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { loadTotals, type LoadTotals } from "../../src/load/load-result.ts";
import { startLoad } from "../../src/load/load-run.ts";
import type { LoadSpec } from "../../src/load/load-spec.ts";
import { LiveClients } from "../../src/processing-units/live-clients.ts";

const spec: LoadSpec = {
  url: "",
  method: "GET",
  headers: [],
  bodies: [],
  steps: [{ durationMs: 300, ratePerSecond: 100 }],
  spacing: "fixed",
  seed: 1,
  connections: 3,
  inFlightMax: 1000,
  deadlineMs: 20_000,
};
const ports = {
  clock: machineClock,
  timers: systemTimers,
  log: () => undefined,
  onSecond: () => undefined,
};

async function totalsOf(given: LoadSpec): Promise<LoadTotals> {
  const running = unwrap(await startLoad(given, ports));
  return loadTotals(unwrap(await running.finished).seconds);
}

/** Calls `onMessage` with each message and how to answer it. */
async function serverOf(onMessage: (text: string, answer: () => void, hangUp: () => void) => void) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  let connections = 0;
  server.on("connection", (client) => {
    connections++;
    client.on("message", (data: Buffer) => {
      onMessage(
        data.toString(),
        () => client.send("answer"),
        () => client.terminate(),
      );
    });
  });
  const { port } = server.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}/`, connections: () => connections };
}

test("each body is a message in turn, and the next message its answer", async () => {
  const messages: string[] = [];
  const { url, connections } = await serverOf((text, answer) => {
    messages.push(text);
    answer();
  });
  const totals = await totalsOf({ ...spec, url, bodies: ["a", "b"] });
  expect(totals.outcomes).toEqual({ message: 30 });
  expect(messages.filter((text) => text === "a")).toHaveLength(15);
  expect(messages).toHaveLength(30);
  expect(connections()).toBe(3);
  expect(totals.response.count).toBe(30);
});

test("a server that hangs up, or stays silent: lost and late, and the rest still answered", async () => {
  let seen = 0;
  const { url } = await serverOf((_text, answer, hangUp) => {
    seen++;
    if (seen === 3) hangUp();
    else if (seen !== 5) answer();
  });
  const given = { ...spec, url, bodies: ["x"], deadlineMs: 2000 };
  const { outcomes, response } = await totalsOf(given);
  expect(outcomes).toEqual({ message: 28, CONNECTION_LOST: 1, DEADLINE_EXCEEDED: 1 });
  expect(response.count).toBe(29); // what was lost took no time
  expect(response.max).toBeGreaterThanOrEqual(2000);
});

test("without bodies each request is a page that connects, is told something, and leaves", async () => {
  const server = createHttpServer();
  const live = new LiveClients({
    server,
    path: "/live",
    timers: systemTimers,
    greeting: () => ["state"],
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    live.close();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const totals = await totalsOf({ ...spec, url: `ws://127.0.0.1:${port}/live` });
  expect(totals.outcomes).toEqual({ message: 30 });
  const elsewhere = await startLoad({ ...spec, url: `ws://127.0.0.1:${port}/other` }, ports);
  expect(elsewhere).toMatchObject({ ok: false, failure: { code: "TARGET_UNREACHABLE" } });
});

test("a load over ws: needs somebody there, and sends no headers", async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const url = `ws://127.0.0.1:${port}/`;
  const nobody = await startLoad({ ...spec, url, bodies: ["x"] }, ports);
  expect(nobody).toMatchObject({ ok: false, failure: { code: "TARGET_UNREACHABLE" } });
  const headers = await startLoad({ ...spec, url, headers: ["a: b"] }, ports);
  expect(headers).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
});
