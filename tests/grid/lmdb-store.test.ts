// Goal: the LMDB store keeps the contract of src/grid/store.ts, also between threads and
// processes, when a process is killed, when a thread hangs and when the disk is full.
// Method: the contract suite on real folders; real threads and processes; `ulimit -f` as a disk
// that is full. A power cut is not tested here: what is flushed when is lmdb's own.
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { open } from "lmdb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { openLmdbStore } from "../../src/grid/stores/lmdb-store.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";
import { until } from "../end-to-end/support/until.ts";
import { valueOf } from "./lmdb-values.ts";
import { InstantTime, ManualTimers } from "./manual-timers.ts";
import { storeContract } from "./store-contract.ts";

const deadlineMs = 60_000;
const modes = ["?sync=on", "?sync=off"];
/** Who: how many threads of this process, and how many processes. */
const contenders: [string, number, number, string][] = [
  ["five processes", 0, 5, "?sync=on"],
  ["five processes", 0, 5, "?sync=off"],
  ["three threads of one process", 3, 0, "?sync=on"],
  ["three threads of one process", 3, 0, "?sync=off"],
];

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), "orrery.lmdb."));
}

for (const mode of modes) {
  storeContract(`LMDB store, ${mode}`, () => {
    const folder = newFolder();
    return Promise.resolve({
      open: async () => unwrap(await openStore(`lmdb:${folder}${mode}`)),
      end: () => {
        rmSync(folder, { recursive: true });
        return Promise.resolve();
      },
    });
  });
}

function path(file: string): string {
  return join(import.meta.dirname, file);
}

/** How many transactions ever wrote to the folder's environment. */
async function transactions(folder: string): Promise<number> {
  const database = open({ path: folder, noSubdir: false });
  const stats: { lastTxnId?: number } = database.getStats();
  await database.close();
  return stats.lastTxnId ?? NaN;
}

describe("LMDB store", () => {
  let folder: string;
  beforeEach(() => {
    folder = newFolder();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test.each(modes)("what one tick writes is one transaction (%s)", async (mode) => {
    const store = unwrap(await openStore(`lmdb:${folder}${mode}`));
    const map = store.map("log");
    unwrap(await map.put(recordKey(0, 1), valueOf(0, 700), deadlineMs));
    const before = await transactions(folder);
    const writes = Array.from({ length: 40 }, (_, number) =>
      map.putIfAbsent(recordKey(1, number + 1), valueOf(number, 700), deadlineMs),
    );
    for (const written of await Promise.all(writes)) expect(unwrap(written)).toBeNull();
    expect(await transactions(folder)).toBe(before + 1);
    await store.close();
  });

  test.each(contenders)(
    "S1: of %s one wins each position (%i, %i, %s)",
    async (_who, threadCount, count, mode) => {
      const url = `lmdb:${folder}${mode}`;
      const positions = 300;
      const threads = Array.from({ length: threadCount }, (_, number) => {
        const workerData = { url, name: `contender ${number}`, positions };
        return new Worker(path("lmdb-contender-worker.ts"), { workerData, execArgv: [] });
      });
      const processes = Array.from({ length: count }, (_, number) => {
        const args = [url, `contender ${number}`, String(positions)];
        return fork(path("lmdb-contender-process.ts"), args, { execArgv: [] });
      });
      const all = [...threads, ...processes];
      const ends = all.map((one) => once(one, "exit"));
      await Promise.all(all.map((one) => once(one, "message"))); // ready
      const results = all.map((one) => once(one, "message"));
      for (const thread of threads) thread.postMessage("go");
      for (const child of processes) child.send("go");
      const won = (await Promise.all(results)).flatMap(
        ([positionsWon]) => positionsWon as number[],
      );
      expect(won.toSorted((a, b) => a - b)).toEqual(Array.from({ length: positions }, (_, n) => n));
      await Promise.all(ends);
    },
  );

  test.each(modes)("S3: what is written while others open is kept (%s)", async (mode) => {
    const url = `lmdb:${folder}${mode}`;
    const args = [path("lmdb-writer-process.ts"), url, "0", "4", "100"];
    // To a file: a full pipe would stop the writer whenever this process waits.
    const output = join(folder, "acknowledged");
    const file = openSync(output, "w");
    const child = spawn(process.execPath, args, { stdio: ["ignore", file, "inherit"] });
    closeSync(file);
    const ended = once(child, "exit");
    await until("the writer writes", () => {
      return Promise.resolve(statSync(output).size > 0 ? null : "nothing is written yet");
    });
    for (let opened = 0; opened < 100; opened++) {
      const store = unwrap(await openStore(url));
      const put = store.map("beside").put(recordKey(1, opened), Buffer.of(1), deadlineMs);
      expect(unwrap(await put)).toBeNull();
      await store.close();
    }
    child.kill("SIGKILL");
    await ended;
    const acknowledged = readFileSync(output, "utf8").split("\n").slice(0, -1).map(Number);
    expect(acknowledged.length).toBeGreaterThan(400);
    const store = unwrap(await openStore(url));
    const keys = acknowledged.map((number) => recordKey(1, number));
    const found = unwrap(await store.map("written").getMany(keys, deadlineMs));
    expect(found.flatMap((value, at) => (value === null ? [acknowledged[at]] : []))).toEqual([]);
    await store.close();
  });

  test.each(modes)("S3: kill -9 loses no acknowledged write (%s)", async (mode) => {
    const url = `lmdb:${folder}${mode}`;
    const bytes = 3000;
    const acknowledged: number[] = [];
    for (let life = 0; life < 3; life++) {
      const first = life * 1_000_000;
      const args = [path("lmdb-writer-process.ts"), url, String(first), "16", String(bytes)];
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      let lines = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged.push(Number(line));
        if (++lines === 400 + 50 * life) child.kill("SIGKILL");
      }
      expect(lines).toBeGreaterThanOrEqual(400);
    }
    const store = unwrap(await openStore(url));
    const map = store.map("written");
    for (const number of acknowledged) {
      expect(unwrap(await map.get(recordKey(1, number), deadlineMs))).toEqual(
        valueOf(number, bytes),
      );
    }
    await store.close();
  });

  test("S2: a thread that never ends its turn stops no other, and can be ended", async () => {
    const url = `lmdb:${folder}`;
    const store = unwrap(await openStore(url));
    const map = store.map("beside");
    const stuck = new Worker(path("lmdb-stuck-worker.ts"), { workerData: { url }, execArgv: [] });
    await once(stuck, "message");
    for (let position = 0; position < 20; position++) {
      const outcome = await map.putIfAbsent(recordKey(1, position), Buffer.of(1), deadlineMs);
      expect(outcome).toEqual({ ok: true, value: null });
    }
    await stuck.terminate();
    expect(unwrap(await map.get(recordKey(1, 19), deadlineMs))).toEqual(Buffer.of(1));
    await store.close();
  });

  test.skipIf(process.platform === "win32")(
    "S2: a full disk is an unknown outcome, and loses nothing acknowledged",
    async () => {
      const script = ["-c", 'ulimit -f 4096; exec "$0" "$@"', process.execPath];
      const args = [path("lmdb-writer-process.ts"), `lmdb:${folder}`, "0", "4", "10000"];
      const child = spawn("sh", [...script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      const { lines, code } = await outputOf(child);
      expect(code).toBe(0);
      const objects = lines
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as unknown);
      const failures = objects.slice(0, -1);
      expect(failures.length).toBeGreaterThan(0);
      for (const failure of failures) {
        expect(failure).toMatchObject({ code: "STORE_UNAVAILABLE", kind: "unknown" });
      }
      expect(objects.at(-1)).toMatchObject({ read: true });
      const acknowledged = lines.filter((line) => /^\d+$/.test(line)).map(Number);
      expect(acknowledged.length).toBeGreaterThan(10);
      const store = unwrap(await openStore(`lmdb:${folder}`));
      const map = store.map("written");
      for (const number of acknowledged) {
        const found = unwrap(await map.get(recordKey(1, number), deadlineMs));
        expect(found).toEqual(valueOf(number, 10_000));
      }
      // With room again it goes on where it stood.
      expect(unwrap(await map.put(recordKey(3, 0), Buffer.of(1), deadlineMs))).toBeNull();
      await store.close();
    },
  );

  test("S2: a call that takes longer than its deadline is unknown, and may still happen", async () => {
    const timers = new ManualTimers();
    const store = unwrap(await openLmdbStore({ folder, sync: true, timers }));
    const map = store.map("late");
    const late = map.putIfAbsent(recordKey(1, 0), Buffer.of(1), deadlineMs);
    timers.fireAll();
    expect(await late).toMatchObject({ ok: false, failure: { code: "STORE_TIMEOUT" } });
    await store.close(); // waits for the write: the environment must not go away under it
    const again = unwrap(await openStore(`lmdb:${folder}`));
    const found = unwrap(await again.map("late").get(recordKey(1, 0), deadlineMs));
    expect(found).toEqual(Buffer.of(1));
    await again.close();
  });

  test("S4: a long read lets other work in between, and is whole", async () => {
    const store = unwrap(await openStore(`lmdb:${folder}?sync=off`));
    const map = store.map("long");
    const numbers = Array.from({ length: 256 }, (_, number) => number);
    await Promise.all(numbers.map((n) => map.put(recordKey(1, n), valueOf(n, 40_000), deadlineMs)));
    let turns = 0;
    let reading = true;
    const count = (): void => {
      turns++;
      if (reading) systemTimers.endOfTick(count);
    };
    systemTimers.endOfTick(count);
    const keys = numbers.map((number) => recordKey(1, number));
    const found = unwrap(await map.getMany(keys, deadlineMs));
    reading = false;
    expect(found).toEqual(numbers.map((number) => valueOf(number, 40_000)));
    expect(turns).toBeGreaterThan(3);
    await store.close();
  });

  test("S3: a folder is not opened beside who writes and stands still, and that is said", async () => {
    const other = new DatabaseSync(join(folder, "opening"));
    other.exec("BEGIN; SELECT 1 FROM sqlite_schema"); // as a frozen process keeps it
    const outcome = await openLmdbStore({ folder, sync: false, timers: new InstantTime() });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
    expect(outcome.ok ? "" : outcome.failure.message).toContain(
      "stands still: wake it, or stop it",
    );
    other.close();
    await unwrap(await openStore(`lmdb:${folder}`)).close();
  });

  test("a folder that cannot be made is a clear failure", async () => {
    writeFileSync(join(folder, "file"), "");
    const below = join(folder, "file", "grid");
    const outcome = await openStore(`lmdb:${below}`);
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
    expect(outcome.ok ? "" : outcome.failure.message).toContain(below);
  });

  test.each([100_000, 31, 1])("what is no store is a clear failure (%i bytes)", async (bytes) => {
    writeFileSync(join(folder, "data.mdb"), Buffer.alloc(bytes, "no store"));
    const outcome = await openStore(`lmdb:${folder}`);
    expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
  });
});

async function outputOf(child: ChildProcess): Promise<{ lines: string[]; code: number | null }> {
  const lines: string[] = [];
  child.stderr?.resume(); // lmdb prints what it met there
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  }
  return { lines, code: child.exitCode ?? ((await once(child, "exit"))[0] as number | null) };
}
