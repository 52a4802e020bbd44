// Goal: what the generator reports is what the server did, stalls and all, and where it was itself
// the bottleneck it says so. Method: real processes; the server's own log and the plan say the
// truth of that very run, so a busy machine changes both sides. The narrow limits of a quiet one
// are those of the benchmark `generator`.
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { runAccuracyCase, type AccuracyCase } from "../../bench/generator-truth.ts";
import { unwrap } from "../../src/base/failure.ts";
import { startGenerator } from "../../src/load/generator.ts";
import { loadTotals } from "../../src/load/load-result.ts";
import type { LoadSpec } from "../../src/load/load-spec.ts";
import { freePort } from "../support/processes.ts";

const fixed = { stallMs: 0, stallEveryMs: 0, warmUpMs: 0, connections: 64, seed: 1 };
const cases: readonly AccuracyCase[] = [
  { name: "1 ms", ...fixed, delayMs: 1, ratePerSecond: 1000, durationMs: 1500 },
  { name: "10 ms", ...fixed, delayMs: 10, ratePerSecond: 1000, durationMs: 1500 },
  {
    name: "100 ms",
    ...fixed,
    connections: 256,
    delayMs: 100,
    ratePerSecond: 1000,
    durationMs: 1500,
  },
  {
    name: "1 ms and stalls of 300 ms, more than there are connections",
    ...fixed,
    delayMs: 1,
    stallMs: 300,
    stallEveryMs: 700,
    ratePerSecond: 1000,
    durationMs: 2000,
  },
];
const patience = { timeout: 600_000 };

test.each(cases)(
  "a load's figures are those of the server's own log: $name",
  patience,
  async (one) => {
    const run = await runAccuracyCase(one);
    const { totals, truth } = run;
    expect(totals.outcomes).toEqual({ "200": truth.requests });
    expect(totals).toMatchObject({ sent: truth.requests, notSent: 0 });
    // Nothing is done before it was answered, nor in a stall before that is over. Coordinated
    // omission would hide it: it does not depend on when requests were sent.
    for (const at of ["p50", "p90", "p99", "max"] as const) {
      expect(totals.response[at]).toBeGreaterThanOrEqual(truth.response[at] * 0.998 - 0.002);
      expect(totals.service[at]).toBeGreaterThanOrEqual(truth.service[at] * 0.998 - 0.002);
      expect(totals.response[at]).toBeGreaterThanOrEqual(truth.leastResponse[at] * 0.998 - 0.002);
    }
    if (one.stallMs > 0) expect(truth.leastResponse.p99).toBeGreaterThan(one.stallMs / 10);
    if (totals.problems.length > 0) {
      expect(totals.problems.join()).toMatch(
        /the generator (?:itself was late|used \d+ % of a core)/,
      );
      return;
    }
    // What else may be between both is what it admits: how late it was itself. (The service time's
    // way there and back is in no log; p99 may lie behind the last that was sent.)
    for (const at of ["p50"] as const) {
      const most = truth.response[at] * 1.05 + 0.3 + totals.lateness.max;
      expect(totals.response[at], at).toBeLessThanOrEqual(most);
    }
  },
);

const spec: LoadSpec = {
  url: "http://127.0.0.1:1/",
  method: "GET",
  headers: [],
  bodies: [],
  steps: [{ durationMs: 60_000, ratePerSecond: 100 }],
  spacing: "fixed",
  seed: 1,
  connections: 2,
  inFlightMax: 3,
  deadlineMs: 200,
};
const quiet = { log: () => undefined, onSecond: () => undefined };

test("what cannot be sent, or reached, is refused at once, in words", async () => {
  const wrong = await startGenerator({ ...spec, headers: ["host: x"] }, quiet);
  expect(wrong).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  const url = `http://127.0.0.1:${await freePort()}/`;
  const nobody = await startGenerator({ ...spec, url }, quiet);
  expect(nobody).toMatchObject({ ok: false, failure: { code: "TARGET_UNREACHABLE" } });
});

test("a server that never answers: deadlines count as times, the rest as not sent", async () => {
  const server = createServer((socket) => socket.on("error", () => undefined));
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const heard = Promise.withResolvers<undefined>();
  const running = unwrap(
    await startGenerator(
      { ...spec, url: `http://127.0.0.1:${port}/` },
      {
        log: () => undefined,
        onSecond: ({ outcomes }) => {
          if ((outcomes["DEADLINE_EXCEEDED"] ?? 0) > 0) heard.resolve(undefined);
        },
      },
    ),
  );
  await heard.promise;
  running.stop(); // a minute was asked for
  const result = unwrap(await running.finished);
  expect(result.isWhole).toBe(false);
  const totals = loadTotals(result.seconds);
  expect(totals.outcomes).toEqual({ DEADLINE_EXCEEDED: totals.sent });
  expect(totals.notSent).toBeGreaterThan(0); // three at once are allowed
  expect(totals.response.p50).toBeGreaterThanOrEqual(200);
});

test("a caller that stands still while the process ends hears its last word all the same", async () => {
  // In a thread of its own, so that it answers meanwhile; many figures make the last word long.
  const isOver = new Int32Array(new SharedArrayBuffer(4));
  const server = new Worker(
    `const { parentPort, workerData } = require("node:worker_threads");
    let [requests, open] = [0, 0]; // all are open before the first request
    const server = require("node:http").createServer((request, response) => {
      setTimeout(() => response.end(), (++requests * 7919) % 900);
    });
    server.on("connection", (socket) => {
      open++;
      socket.on("close", () => {
        if (--open > 0) return;
        Atomics.store(workerData, 0, 1);
        Atomics.notify(workerData, 0);
      });
    });
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));`,
    { eval: true, workerData: isOver },
  );
  onTestFinished(() => void server.terminate());
  const [port] = (await once(server, "message")) as [number];
  const steps = [{ durationMs: 2500, ratePerSecond: 5000 }];
  const wide = { connections: 4000, inFlightMax: 8000, deadlineMs: 2000 };
  const url = `http://127.0.0.1:${String(port)}/`;
  const running = unwrap(await startGenerator({ ...spec, ...wide, url, steps }, quiet));
  // The fault: nothing is read from the beginning until some time after the last connection ended.
  expect(Atomics.wait(isOver, 0, 0, 300_000)).not.toBe("timed-out");
  const standsStillMs = 1000;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, standsStillMs);
  expect(unwrap(await running.finished).isWhole).toBe(true);
});
