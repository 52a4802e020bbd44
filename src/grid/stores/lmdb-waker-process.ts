// LMDB waker process: takes and gives the write lock of a folder some hundred times, beside a
// second process of its own that does the same: they make one another wait, and so wake who sleeps
// at the lock (lmdb-waker.ts says why). Nothing is written, and units have their turn in between.
// Arguments: the folder; `second`, for the one that this process starts.
// Both open before either begins: what the first one wakes writes at once, which must not meet
// the second one's open (lmdb-opening.ts).
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { open } from "lmdb";
import { must } from "../../base/assert.ts";
import { systemTimers } from "../../base/timers.ts";
import { lockAlone, SharedWrites } from "./lmdb-opening.ts";

const turns = 300;
const holdMs = 1;

const folder = must(process.argv[2], "a folder");
const cell = new Int32Array(new SharedArrayBuffer(4));

function openFolder() {
  return open({ path: folder, noSubdir: false });
}

async function contend(database: ReturnType<typeof openFolder>): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    database.transactionSync(() => Atomics.wait(cell, 0, 0, holdMs));
  }
  await database.close();
}

async function first(): Promise<void> {
  const alone = await lockAlone(folder, systemTimers);
  const database = openFolder();
  const second = fork(fileURLToPath(import.meta.url), [folder, "second"], { execArgv: [] });
  const ended = once(second, "exit");
  await Promise.race([once(second, "message"), ended]);
  alone.release();
  const writes = new SharedWrites(folder, systemTimers);
  await writes.begin(async () => {
    process.send?.("open");
    second.send("go");
    await contend(database);
    await ended;
  });
  writes.close();
  process.disconnect?.();
}

async function second(): Promise<void> {
  const database = openFolder();
  process.once("disconnect", () => {
    process.exit(1); // who keeps others from opening has died
  });
  process.send?.("open");
  await new Promise<unknown>((resolve) => process.once("message", resolve));
  await contend(database);
  process.disconnect?.();
}

await (process.argv[3] === "second" ? second() : first());
