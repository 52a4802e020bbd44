// LMDB waker process: takes and gives the write lock of a folder some hundred times. Two of them at
// once make one another wait, and so wake who sleeps at the lock (lmdb-waker.ts says why). Nothing
// is written, and units have their turn in between.
import { open } from "lmdb";
import { must } from "../../base/assert.ts";

const turns = 300;
const holdMs = 1;

const cell = new Int32Array(new SharedArrayBuffer(4));
const database = open({ path: must(process.argv[2], "a folder"), noSubdir: false });
for (let turn = 0; turn < turns; turn++) {
  database.transactionSync(() => Atomics.wait(cell, 0, 0, holdMs));
}
await database.close();
