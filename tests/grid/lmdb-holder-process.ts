// Holds the write lock of a folder until a file is there, and lives on until it is killed.
import { existsSync } from "node:fs";
import { open } from "lmdb";

const [, , folder = "", mayGo = ""] = process.argv;
const cell = new Int32Array(new SharedArrayBuffer(4));
const database = open({ path: folder, noSubdir: false });
database.transactionSync(() => {
  process.stdout.write("holds\n");
  while (!existsSync(mayGo)) Atomics.wait(cell, 0, 0, 1);
});
process.stdout.write("free\n");
process.stdin.resume();
