// Data lock: one process at a time uses a data folder.
// Owns: the folder's `lock` and `lock.pid`. Does not own: what else lies in the folder.
// The lock is one of the operating system on an open file, taken through SQLite (an exclusive
// transaction on an empty file, which works alike on all platforms): it ends with its process,
// however that dies, so it is never stale. The pid beside it only names the holder to people.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { failed, ok, type Outcome } from "../base/failure.ts";

export interface DataLock {
  release(): void;
}

const sqliteBusy = 5;

// What is collected is closed, and its lock with it: held locks are kept from that here.
const held = new Set<DatabaseSync>();

function holder(pidFile: string): string {
  try {
    const pid = readFileSync(pidFile, "utf8").trim();
    return /^\d+$/.test(pid) ? `process ${pid}` : "another process";
  } catch {
    return "another process"; // it has the lock and did not write its pid yet
  }
}

function problem(error: unknown, folder: string, pidFile: string): Outcome<never> {
  if (error instanceof Error && "errcode" in error && error.errcode === sqliteBusy) {
    const who = holder(pidFile);
    const advice = "stop it, or choose another data folder";
    return failed("DATA_IN_USE", `${who} uses the data folder ${folder}; ${advice}`);
  }
  const what = error instanceof Error ? error.message : String(error);
  const advice = "choose a data folder that can be written";
  return failed("DATA_UNUSABLE", `cannot use the data folder ${folder}: ${what}; ${advice}`);
}

/**
 * Takes the folder for this process, creating it where it is missing. Fails with DATA_IN_USE,
 * naming the holder's pid, or DATA_UNUSABLE where it cannot be made or written.
 */
export function lockDataFolder(folder: string): Outcome<DataLock> {
  const pidFile = join(folder, "lock.pid");
  let file: DatabaseSync | null = null;
  try {
    mkdirSync(folder, { recursive: true });
    file = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
    file.exec("BEGIN EXCLUSIVE");
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    file?.close();
    return problem(error, folder, pidFile);
  }
  const taken = file;
  held.add(taken);
  return ok({
    release() {
      if (held.delete(taken)) taken.close();
    },
  });
}
