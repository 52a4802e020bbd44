// Goal: a lane that is stuck, or breaks where nobody waits for it, harms its own work only.
// Method: a real pool with a real thread; its watch and its patience are turned by the test.
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { unwrap } from "../../src/base/failure.ts";
import { newId } from "../../src/base/ids.ts";
import { limits } from "../../src/base/limits.ts";
import { systemRandom } from "../../src/base/random.ts";
import { systemTimers, type Timers } from "../../src/base/timers.ts";
import { serveStore } from "../../src/grid/stores/port-store.ts";
import { Acceptor } from "../../src/processing-units/acceptor.ts";
import { LanePool } from "../../src/processing-units/lane-pool.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import type { Unruliness } from "../support/unruly-application.ts";
let folder: string;
let release: (() => void)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "orrery-pool-"));
});

afterEach(() => {
  for (const each of release) each();
  release = [];
  rmSync(folder, { recursive: true });
});

const laneIdentity = { unit: "u", name: "lane 0", release: "test", database: "none" };
const peers = { host: "127.0.0.1", advertisedHost: "127.0.0.1", token: "t".repeat(32) };

/** A pool of one lane. `beat` is one interval of its watch; its patience is 100 times shorter. */
async function newPool({ breaksLate = false } = {}) {
  const spinning = new Int32Array(new SharedArrayBuffer(4));
  const { store, identity } = await newMemoryGrid(1);
  const acceptor = unwrap(await Acceptor.listen("127.0.0.1", 0));
  release.push(() => {
    acceptor.close();
  });
  let beat = () => undefined as void;
  const timers: Timers = {
    ...systemTimers,
    after: (delayMs, callback) => systemTimers.after(delayMs / 100, callback),
    every: (_intervalMs, callback) => {
      beat = callback;
      return { cancel: () => undefined };
    },
  };
  const logged: string[] = [];
  const log = pino({}, { write: (line) => logged.push((JSON.parse(line) as { msg: string }).msg) });
  const pool: LanePool = new LanePool({
    lanes: 1,
    clock: systemClock,
    timers,
    log,
    makeTask: (number, control, predecessor) => {
      const { port1, port2 } = new MessageChannel();
      serveStore(store, port1, systemTimers);
      const module = new URL("../support/unruly-application.ts", import.meta.url).href;
      const task = {
        number,
        lane: { ...laneIdentity, incarnation: newId(systemRandom()) },
        predecessor,
        peers,
        identity,
        application: { module, options: { breaksLate, spinning } satisfies Unruliness },
        store: port2,
        gridBytesMax: 2 ** 30,
        database: null,
        logFile: join(folder, "lane.log"),
        logLevel: "info",
        control,
      };
      return { task, ports: [port2] };
    },
    onReady: () => {
      acceptor.open((socket) => pool.place(socket));
    },
    onGridEnded: () => undefined,
  });
  return {
    pool,
    logged,
    beat: () => {
      beat();
    },
    /** Sends a request that never ends; resolves when its handler spins. */
    spin: async () => {
      const client = connect(acceptor.port, "127.0.0.1");
      client.on("error", () => undefined); // the lane ends, and the connection with it
      client.write(
        "POST /commands/spin HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
          "Content-Length: 2\r\n\r\n{}",
      );
      await Atomics.waitAsync(spinning, 0, 0).value;
    },
  };
}

test("U3: a lane that is silent for too long is ended, and replaced", async () => {
  const { pool, beat, logged, spin } = await newPool();
  expect(await pool.start()).toMatchObject({ ok: true });
  await spin();
  for (let count = 0; count < limits.laneSilenceMsMax / limits.laneStatusMs; count++) beat();
  while (pool.restarts === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(logged).toEqual(["lane is stuck; its thread is ended", "lane died"]);
  await pool.stop();
});

test("U1: a lane that dies again and again, before it runs too, comes back", async () => {
  const { pool, spin } = await newPool();
  expect(await pool.start()).toMatchObject({ ok: true });
  // Its new task may not have reached a thread when the next death comes.
  while (pool.restarts < 5) {
    pool.kill(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await spin(); // it serves
  await pool.stop();
});

test("U3: a stop ends a lane that is stuck", async () => {
  const { pool, logged, spin } = await newPool();
  expect(await pool.start()).toMatchObject({ ok: true });
  await spin();
  expect(await pool.stop()).toBe(false);
  expect(logged).toContain("lane is stuck; its thread is ended");
});

test("U1: a thread that breaks when its lane has ended is nobody's exception", async () => {
  const { pool, logged } = await newPool({ breaksLate: true });
  expect(await pool.start()).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  while (!logged.includes("a thread broke")) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pool.stop();
});
