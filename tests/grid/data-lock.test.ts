// Goal: one process at a time uses a data folder, and no lock outlives its process.
// Method: real processes on a real folder; one of them is killed with -9.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { lockDataFolder } from "../../src/grid/data-lock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "orrery.lock."));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A process that tried to take the folder, and what came of it. */
async function taker(data: string): Promise<{ child: ChildProcess; outcome: unknown }> {
  const child = fork(join(import.meta.dirname, "data-lock-process.ts"), [data], { execArgv: [] });
  const [outcome] = (await once(child, "message")) as [unknown];
  return { child, outcome };
}

async function end(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit");
  if (signal === undefined) child.send("end");
  else child.kill(signal);
  await ended;
}

test("DATA_IN_USE: a second process is refused, and told who holds the folder", async () => {
  const data = join(folder, "made", "when missing");
  const first = await taker(data);
  expect(first.outcome).toMatchObject({ ok: true });
  const refused = lockDataFolder(data);
  expect(refused).toMatchObject({ ok: false, failure: { code: "DATA_IN_USE" } });
  const message = refused.ok ? "" : refused.failure.message;
  expect(message).toContain(`process ${first.child.pid ?? "?"} `);
  expect(message).toContain(data);
  await end(first.child);
  unwrap(lockDataFolder(data)).release();
});

test("a lock ends with its process, also by kill -9", async () => {
  const killed = await taker(folder);
  expect(killed.outcome).toMatchObject({ ok: true });
  await end(killed.child, "SIGKILL");
  const lock = unwrap(lockDataFolder(folder));
  const other = await taker(folder);
  expect(other.outcome).toMatchObject({ ok: false, failure: { code: "DATA_IN_USE" } });
  await end(other.child);
  lock.release();
});

test("a process is refused what it holds itself, until it released it", () => {
  const lock = unwrap(lockDataFolder(folder));
  const again = lockDataFolder(folder);
  expect(again).toMatchObject({ ok: false, failure: { code: "DATA_IN_USE" } });
  expect(again.ok ? "" : again.failure.message).toContain(`process ${process.pid} `);
  lock.release();
  lock.release(); // twice does no harm
  const second = unwrap(lockDataFolder(folder));
  lock.release(); // and does not release another's
  expect(lockDataFolder(folder)).toMatchObject({ ok: false });
  second.release();
});

test("two folders are two locks", () => {
  const first = unwrap(lockDataFolder(join(folder, "a")));
  const second = unwrap(lockDataFolder(join(folder, "b")));
  first.release();
  second.release();
});

test("DATA_UNUSABLE: a folder that cannot be made or written says so", () => {
  writeFileSync(join(folder, "file"), "");
  const below = join(folder, "file", "data");
  const outcome = lockDataFolder(below);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
  expect(outcome.ok ? "" : outcome.failure.message).toContain(below);
  writeFileSync(join(folder, "lock"), "something else that was here before, and is no lock file");
  expect(lockDataFolder(folder)).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
  expect(existsSync(join(folder, "lock.pid"))).toBe(false);
});
