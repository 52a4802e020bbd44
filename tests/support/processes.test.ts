// Goal: a test can wait for what a process prints, and no process outlives its test.
// Method: a program that starts children and grandchildren in sessions of their own; the system's
// own table says who lives.
import { createServer } from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isRunning } from "./process-tree.ts";
import { freePort, startProcess, type TestProcess } from "./processes.ts";

const family = fileURLToPath(new URL("./family-process.ts", import.meta.url));

async function startedBy(parent: TestProcess, kind: "child" | "orphan"): Promise<number> {
  parent.stdin.write(`${kind}\n`);
  const [, pid] = await parent.line(new RegExp(`^${kind} (\\d+)$`));
  return Number(pid);
}

let shared: TestProcess;
const left: number[] = [];

beforeAll(async () => {
  shared = startProcess(family, ["shared"]);
  await shared.line(/arguments shared/);
});

afterAll(() => {
  expect(left.filter(isRunning)).toEqual([]);
});

test("output: lines are found in order, each once, from both streams, with their groups", async () => {
  const started = startProcess(family, ["a", "b"], { env: { GIVEN: "this" } });
  expect((await started.line(/arguments (.*)/))[1]).toBe("a b");
  expect((await started.line(/runner (\S+) given (\S+)/, "stderr")).slice(1)).toEqual([
    "none",
    "this",
  ]);
  started.stdin.write("x1\nx2\nexit 3\n");
  expect((await started.line(/heard (\S+)/))[1]).toBe("x1");
  expect((await started.line(/heard (\S+)/))[1]).toBe("x2");
  await expect(started.line(/heard/)).rejects.toThrow(/no line of stdout matched[^]*heard x2/);
  expect(await started.ended).toEqual({ code: 3, signal: null });
  expect(started.stdout).toBe("arguments a b\nheard x1\nheard x2\n");
  expect(started.signal("SIGTERM")).toBe(false);
});

test("signals: a signal reaches the process alone, and it may live on", async () => {
  const started = startProcess(family);
  const child = await startedBy(started, "child");
  started.signal("SIGTERM");
  await started.line(/asked to stop/);
  expect([started.hasEnded, isRunning(child)]).toEqual([false, true]);
  expect(started.descendants()).toEqual([child]);
});

test("kill: the whole tree ends, sessions of its own included", async () => {
  const started = startProcess(family);
  const pids = [await startedBy(started, "child"), await startedBy(started, "orphan")];
  expect(await started.killTree()).toEqual({ code: null, signal: "SIGKILL" });
  expect(pids.filter(isRunning)).toEqual([]);
});

test("kill: orphans are still known after their parent was killed alone", async () => {
  const started = startProcess(family);
  const orphan = await startedBy(started, "orphan");
  started.signal("SIGKILL");
  // Its pipes are the orphan's too, so that only the orphan's end closes them.
  expect(isRunning(orphan)).toBe(true);
  await started.killTree();
  expect(isRunning(orphan)).toBe(false);
});

test("reaping: a test that leaves processes behind", async () => {
  const started = startProcess(family);
  left.push(started.pid, await startedBy(started, "child"), await startedBy(started, "orphan"));
  expect(left.every(isRunning)).toBe(true);
});

test("reaping: they were gone when that test was over; what beforeAll started lives", () => {
  expect(left).toHaveLength(3);
  expect(left.filter(isRunning)).toEqual([]);
  expect(shared.hasEnded).toBe(false);
});

test("ports: a free port can be listened on, and is given once", async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  expect(new Set(ports).size).toBe(3);
  for (const port of ports) {
    const server = createServer();
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    server.close();
  }
});
