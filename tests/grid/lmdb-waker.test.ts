// Goal: a writer whose wake-up was lost, because who was woken before it was killed, goes on.
// Method: a process holds the lock while this one waits for it; then the bit that says that
// somebody waits is cleared in the lock's file, which is all that such a kill leaves behind.
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { ok, unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { openLmdbStore } from "../../src/grid/stores/lmdb-store.ts";
import { testFolder } from "../end-to-end/support/test-folder.ts";
import { until } from "../end-to-end/support/until.ts";
import { startProcess } from "../support/processes.ts";

const holder = fileURLToPath(new URL("./lmdb-holder-process.ts", import.meta.url));
/** Where lmdb's lock of writers lies in lock.mdb, and the bit of those who wait (glibc, x64). */
const lockAt = 64;
const waiters = 0x80000000;

test.skipIf(process.platform !== "linux" || process.arch !== "x64")(
  "S1: a writer that sleeps at a free lock is woken, and nothing of it is lost",
  async () => {
    const folder = await testFolder();
    const mayGo = join(folder, "may-go");
    const store = unwrap(await openLmdbStore({ folder, sync: true, timers: systemTimers }));
    onTestFinished(() => store.close());
    const map = store.map("m");
    expect(await map.put(Buffer.from("a"), Buffer.from("1"), 10_000)).toEqual(ok(null));
    const process = startProcess(holder, [folder, mayGo]);
    await process.line(/^holds$/);

    const written = map.put(Buffer.from("b"), Buffer.from("2"), 150_000);
    const file = openSync(join(folder, "lock.mdb"), "r+");
    onTestFinished(() => closeSync(file));
    const word = Buffer.alloc(4);
    const read = (): number => (readSync(file, word, 0, 4, lockAt), word.readUInt32LE());
    await until("the writer waits", () => {
      return Promise.resolve((read() & waiters) === 0 ? `the lock is ${read()}` : null);
    });
    word.writeUInt32LE((read() & ~waiters) >>> 0);
    writeSync(file, word, 0, 4, lockAt);
    writeFileSync(mayGo, "");
    await process.line(/^free$/);

    expect(await written).toEqual(ok(null));
    expect(await map.get(Buffer.from("b"), 10_000)).toEqual(ok(Buffer.from("2")));
  },
);
