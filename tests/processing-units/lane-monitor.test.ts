// Goal: what a lane says of its way to the database is true, as a status and for Prometheus, and an
// alarm says how long the room lasts. Method: a real lane and its pump over a database in memory;
// alarms of made-up numbers.
import { AggregatorRegistry } from "prom-client";
import { afterEach, expect, test } from "vitest";
import { failure } from "../../src/base/failure.ts";
import { Histogram } from "../../src/base/histogram.ts";
import { limits } from "../../src/base/limits.ts";
import { databaseAlarms } from "../../src/processing-units/lane-database.ts";
import { LaneMonitor } from "../../src/processing-units/lane-monitor.ts";
import type { LaneStatus } from "../../src/processing-units/unit-status.ts";
import { lanesWithDatabase, submit } from "../support/lanes-with-database.ts";
import type { LaneNetwork } from "../support/lane-network.ts";

const networks: LaneNetwork[] = [];

afterEach(async () => {
  for (const network of networks.splice(0)) await network.cut();
});

async function watchedLane() {
  const { server, network, database, add, pumpOf } = await lanesWithDatabase(2);
  networks.push(network);
  const lane = add("one");
  await network.join();
  const monitor = new LaneMonitor({ number: 0, lane, pump: pumpOf(lane) });
  return { lane, monitor, database, server };
}

/** The metrics as Prometheus reads them, of as many lanes that say the same. */
async function metricsOf({ metrics }: LaneStatus, lanes = 1): Promise<Map<string, number>> {
  const all = Array.from({ length: lanes }, () => structuredClone(metrics));
  const text = await AggregatorRegistry.aggregate(all).metrics();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1).replace("+Inf", "Infinity"))];
    }),
  );
}

const patient = { ack: "written", deadlineMs: 30_000 } as const;

test("metrics: what was written, how long it took, and nothing that waits", async () => {
  const { lane, monitor } = await watchedLane();
  for (let count = 0; count < 10; count++) {
    await submit(lane, "add", { key: String(count), by: 1 }, patient);
  }
  const status = await monitor.status();
  const { database } = status;
  expect(database).toMatchObject({ backlogRecords: 0, oldestUnwrittenMs: 0, problem: null });
  expect(database).toMatchObject({ breaker: "closed", rows: 10, deadLetters: 0, alarms: [] });
  const syncTime = new Histogram();
  syncTime.addCounts(database?.syncTime ?? []);
  expect(syncTime.count).toBeGreaterThanOrEqual(10);
  const metrics = await metricsOf(status);
  const of = (name: string) => metrics.get(`orrery_${name}`) ?? NaN;
  expect(of("database_rows")).toBe(10);
  expect(of("database_transactions")).toBeGreaterThanOrEqual(10); // claims have no rows
  expect(of("backlog_records")).toBe(0);
  expect(of("backlog_room_seconds")).toBe(Infinity);
  expect(of('database_breaker{state="closed"}')).toBe(1);
  expect(of("database_reads")).toBeGreaterThan(0);
  expect(of("database_retries")).toBe(0);
  const p50 = of('synchronization_ms{quantile="0.5"}');
  expect(p50).toBeGreaterThan(0);
  // Over lanes counts are added up; of times the slowest lane's stand.
  const both = await metricsOf(status, 2);
  expect(both.get("orrery_database_rows")).toBe(20);
  expect(both.get('orrery_synchronization_ms{quantile="0.5"}')).toBe(p50);
});

test("metrics: away, what waits is said in records, bytes and seconds, and the alarm is raised", async () => {
  const { lane, monitor, database } = await watchedLane();
  database.isAway = true;
  let status: LaneStatus;
  do {
    await submit(lane, "add", { key: "a", by: 1 }, { ack: "written", deadlineMs: 300 });
    status = await monitor.status();
  } while (status.database?.problem === null); // the pump's first try may take its time
  expect(status.database?.problem).toBe("the database is away");
  expect(status.database?.alarms.map(({ kind }) => kind)).toEqual(["away"]);
  const metrics = await metricsOf(status);
  expect(metrics.get("orrery_database_away")).toBe(1);
  expect(metrics.get("orrery_database_retries")).toBeGreaterThan(0);
  expect(metrics.get("orrery_backlog_records")).toBeGreaterThan(0);
  expect(metrics.get("orrery_backlog_bytes")).toBeGreaterThan(0);
  expect(metrics.get("orrery_backlog_seconds")).toBeGreaterThan(0.2);
  database.isAway = false;
  // The second is written by a turn of the pump that begins well.
  for (let count = 0; count < 2; count++) {
    await submit(lane, "add", { key: "a", by: 1 }, patient);
  }
  expect((await monitor.status()).database).toMatchObject({ problem: null, alarms: [] });
});

test("status: the newest dead letters, the newest first", async () => {
  const { lane, monitor, server } = await watchedLane();
  server.refuses = () => true;
  for (let count = 0; count < 12; count++) {
    await submit(lane, "add", { key: "a", by: 1 }, patient);
  }
  const { deadLetters, newestLetters = [] } = (await monitor.status()).database ?? {};
  expect(deadLetters).toBe(12);
  const positions = newestLetters.map(({ position }) => position);
  expect(positions).toHaveLength(10);
  expect(positions).toEqual(positions.toSorted((a, b) => b - a));
  expect(newestLetters[0]).toMatchObject({ space: "counts", key: "a", reason: null });
});

const fine = {
  backlogRecords: 5,
  room: { records: limits.backlogRecordsMax - 5, bytes: limits.backlogBytesMax, msLeft: null },
  problem: null,
  deadLetters: 0,
};
const room = { records: 600_000, bytes: 80 << 20, msLeft: 720_000 };
const problem = failure("DATABASE_UNREACHABLE", "connection refused");

test.each([
  ["fine", {}, []],
  ["growing, with much room", { room: { ...fine.room, msLeft: 1000 } }, []],
  [
    "away",
    { problem, backlogRecords: 400_000, room },
    [
      "away: the database cannot be written (connection refused): 400000 records wait, there is " +
        "room for 600000 more or 80 MiB, which lasts about 12 min",
    ],
  ],
  [
    "away, and nothing comes",
    { problem, room: { ...room, msLeft: null } },
    [
      "away: the database cannot be written (connection refused): 5 records wait, there is room " +
        "for 600000 more or 80 MiB",
    ],
  ],
  [
    "away and full",
    { problem, room: { records: 10, bytes: 0, msLeft: 0 } },
    [
      "away: the database cannot be written (connection refused): 5 records wait, there is room " +
        "for 10 more or 0 MiB, which lasts about 0 s",
      "full: the backlog is full: 5 records wait, changes are refused until the database has some",
    ],
  ],
  [
    "behind",
    { room: { records: 400_000, bytes: 80 << 20, msLeft: 90_000 } },
    [
      "behind: the database is slower than what is journaled: 5 records wait, there is room for " +
        "400000 more or 80 MiB, which lasts about 90 s",
    ],
  ],
  [
    "dead letters",
    { deadLetters: 3 },
    ["letters: the database refused content: 3 dead letters; orrery dead-letters list"],
  ],
])("alarms: %s", (_name, more, expected) => {
  const alarms = databaseAlarms({ ...fine, ...more });
  expect(alarms.map(({ kind, message }) => `${kind}: ${message}`)).toEqual(expected);
});
