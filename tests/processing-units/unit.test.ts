// Goal: a whole unit starts, serves, loses lanes without losing data, stops, and refuses what it
// cannot do with one clear line. Method: real units with threads and sockets, in this process; the
// oracle is what the client was told, counted by the client.
// Invariants (docs/invariants.md): U1, U2.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { FailureError, unwrap } from "../../src/base/failure.ts";
import { startUnit, type Unit, type UnitOptions } from "../../src/processing-units/unit.ts";
import type { UnitStatus } from "../../src/processing-units/unit-status.ts";

const application = {
  module: new URL("../support/counter-application.ts", import.meta.url).href,
  options: null,
};

const units: Unit[] = [];
const folders: string[] = [];

afterEach(async () => {
  watchers.splice(0);
  await Promise.all(units.splice(0).map((unit) => unit.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "orrery-unit-"));
  folders.push(folder);
  return folder;
}

function start(options: Partial<UnitOptions> = {}) {
  return startUnit({
    store: "memory:",
    database: "none:",
    lanes: 2,
    host: "127.0.0.1",
    port: 0,
    peers: { host: "127.0.0.1", advertisedHost: "127.0.0.1" },
    release: "test",
    gridBytesMax: 2 ** 30,
    partitions: 8,
    logFile: join(newFolder(), "unit.log"),
    logLevel: "info",
    application: () => Promise.resolve(application),
    ...options,
  });
}

const watchers: ((status: UnitStatus) => void)[] = [];

async function started(options: Partial<UnitOptions> = {}): Promise<Unit> {
  const onStatus = (status: UnitStatus) => {
    for (const watcher of watchers) watcher(status);
  };
  const unit = unwrap(await start({ ...options, onStatus }));
  units.push(unit);
  return unit;
}

/** Resolves with the first status from now on for which the condition holds. */
function statusWhere(condition: (status: UnitStatus) => boolean): Promise<UnitStatus> {
  return new Promise((resolve) => {
    watchers.push((status) => {
      if (condition(status)) resolve(status);
    });
  });
}

async function call(unit: Unit, name: string, input: object): Promise<[number, unknown]> {
  const answer = await fetch(`http://127.0.0.1:${String(unit.port)}/commands/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-deadline-ms": "5000" },
    body: JSON.stringify(input),
  });
  return [answer.status, await answer.json()];
}

/** What a client was told about its own counters: it adds, and keeps count of the answers. */
class Ledger {
  readonly acknowledged = new Map<string, number>();
  readonly uncertain = new Map<string, number>();
  #going = true;
  #awaited = { answers: 0, resolve: (): void => undefined };

  /** Resolves when so many more were acknowledged. */
  more(answers: number): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { answers, resolve };
    });
  }

  stop(): void {
    this.#going = false;
  }

  async run(unit: Unit, key: string): Promise<void> {
    while (this.#going) {
      // 200: it happened. 503: it did not. Anything else, or no answer at all: it may have.
      const status = await call(unit, "add", { key, by: 1 }).then(
        ([code]) => code,
        () => 0,
      );
      if (status === 200) {
        count(this.acknowledged, key);
        if (--this.#awaited.answers === 0) this.#awaited.resolve();
      }
      if (status !== 200 && status !== 503) count(this.uncertain, key);
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

test.each(["memory:", "lmdb:", "lmdb:?sync=off"])(
  "U1: lanes are killed under load on %s; what was acknowledged is there, nothing twice",
  async (engine) => {
    const folder = newFolder();
    const unit = await started({ store: engine.replace("lmdb:", `lmdb:${join(folder, "grid")}`) });
    const ledger = new Ledger();
    const keys = Array.from({ length: 16 }, (_, key) => `key-${String(key)}`);
    const running = keys.map((key) => ledger.run(unit, key));
    for (const [restarts, lane] of [0, 1, 0].entries()) {
      await ledger.more(50);
      unit.killLane(lane);
      await statusWhere((status) => status.restarts > restarts);
    }
    await ledger.more(50);
    ledger.stop();
    await Promise.all(running);
    for (const key of keys) {
      const [status, value] = await call(unit, "read", { key });
      expect([status, value]).toEqual([200, value]);
      const sure = ledger.acknowledged.get(key) ?? 0;
      expect(value).toBeGreaterThanOrEqual(sure);
      expect(value).toBeLessThanOrEqual(sure + (ledger.uncertain.get(key) ?? 0));
    }
  },
);

test("U2: stop and start again on the same folder goes on from the same data", async () => {
  const store = `lmdb:${join(newFolder(), "grid")}`;
  const first = await started({ store });
  const { identity } = first;
  expect(await call(first, "add", { key: "a", by: 4 })).toEqual([200, 4]);
  expect(await first.stop()).toBe(true);
  // Other lanes, no word about partitions: the grid keeps its own number of them.
  const second = await started({ store, lanes: 3, partitions: null });
  expect(second.identity).toEqual(identity);
  expect(await call(second, "add", { key: "a", by: 1 })).toEqual([200, 5]);
});

test("connections are spread evenly over the lanes; the status counts what they did", async () => {
  const unit = await started({ lanes: 4 });
  const url = `http://127.0.0.1:${String(unit.port)}/livez`;
  // A lane's first status comes a second after its start.
  const even = statusWhere(
    ({ lanes }) => lanes.length === 4 && lanes.every(({ requests }) => requests === 10),
  );
  await Promise.all(
    Array.from({ length: 40 }, () => fetch(url, { headers: { connection: "close" } })),
  );
  await even;
  const ready = await fetch(url.replace("livez", "readyz"));
  expect([ready.status, await ready.json()]).toEqual([
    200,
    { ready: true, waiting: [], unheld: [], alarms: [], database: [] },
  ]);
});

test("O1: a second unit on the same store takes its share, and gives it back when it stops", async () => {
  const store = `lmdb:${join(newFolder(), "grid")}`;
  const first = await started({ store });
  const shares = (unit: Unit) =>
    unit.refreshStatus().lanes.map(({ partitions }) => partitions.length);
  for (let key = 0; key < 20; key++) await call(first, "add", { key: String(key), by: 1 });
  const second = await started({ store });
  await statusWhere(() => [first, second].flatMap(shares).join() === "2,2,2,2");
  for (let key = 0; key < 20; key++) {
    const unit = key % 2 === 0 ? first : second;
    expect(await call(unit, "add", { key: String(key), by: 1 })).toEqual([200, 2]);
  }
  expect(await first.stop()).toBe(true);
  await statusWhere(() => shares(second).join() === "4,4");
  for (let key = 0; key < 20; key++) {
    expect(await call(second, "add", { key: String(key), by: 1 })).toEqual([200, 3]);
  }
});

test("bad input: what cannot be started is refused in one line, and leaves nothing behind", async () => {
  const folder = newFolder();
  const store = `lmdb:${join(folder, "grid")}`;
  const unit = await started({ store });
  const refusals: readonly (readonly [Partial<UnitOptions>, string, RegExp])[] = [
    [{ port: unit.port }, "ADDRESS_IN_USE", /choose --port/],
    [{ store: "redis:" }, "CONFIG_INVALID", /lmdb:FOLDER/],
    [{ database: "mysql://x" }, "CONFIG_INVALID", /postgres/],
    [{ host: "203.0.113.1" }, "CONFIG_INVALID", /cannot listen/],
  ];
  for (const [options, code, message] of refusals) {
    const outcome = await start(options);
    expect(outcome).toMatchObject({ ok: false, failure: { code } });
    expect(outcome.ok ? "" : outcome.failure.message).toMatch(message);
  }
  await unit.stop();
  const other = await start({ store, partitions: 16 });
  expect(other).toMatchObject({ ok: false, failure: { code: "GRID_PARTITIONS" } });
  await started({ store, partitions: 8 });
});

test("a lane that cannot start is a failure of the start, with nothing left running", async () => {
  const missing = { module: new URL("./no-such-application.ts", import.meta.url).href, options: 0 };
  await expect(start({ application: () => Promise.resolve(missing) })).rejects.toThrow(
    /no-such-application/,
  );
  const refused = () =>
    Promise.reject(new FailureError({ code: "CONFIG_INVALID", kind: "terminal", message: "x" }));
  await expect(start({ application: refused })).rejects.toThrow(FailureError);
});
