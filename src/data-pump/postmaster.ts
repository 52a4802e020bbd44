// Postmaster: what a PostgreSQL server leaves in its data folder, and ending one left behind.
// Owns: reading postmaster.pid, telling our orphan from a stranger, waiting for its end.
// Does not own: the server that this process started (embedded-postgres.ts has it as a child).
// A unit killed with kill -9 leaves its server running. It is stopped and started anew, not
// adopted: only a child tells us when it dies.
import { readFile, readlink, realpath, rm } from "node:fs/promises";
import path from "node:path";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { delay, type Timers } from "../base/timers.ts";
import { run } from "./unprivileged-user.ts";

const pollMs = 20;
const fastStopMsMax = 20_000;
const hardStopMsMax = 5000;

interface PostmasterFile {
  readonly pid: number;
  readonly ready: boolean;
}

/** What postmaster.pid says; null where there is none (or it is just being written). */
export async function readPostmasterFile(cluster: string): Promise<PostmasterFile | null> {
  const text = await readFile(path.join(cluster, "postmaster.pid"), "utf8").catch(() => null);
  const lines = text?.split("\n") ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1) return null;
  return { pid, ready: lines[7]?.trim() === "ready" };
}

/**
 * True where process `pid` lives and is the server over `cluster`: its working folder is the
 * data folder, which survives renaming. A process that ended and was not yet reaped is not.
 */
async function servesCluster(pid: number, cluster: string): Promise<boolean> {
  if (process.platform === "linux") {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    return folder === (await realpath(cluster));
  }
  const listed = await run("ps", ["-o", "command=", "-p", String(pid)]);
  return listed.good && listed.output.includes(cluster);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone in the meantime (its absence is what the caller waits for), or not ours to stop
    // (then it does not go away, and the caller says so).
  }
}

async function waitForEnd(
  pid: number,
  cluster: string,
  timers: Timers,
  waitMsMax: number,
): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
    if (!(await servesCluster(pid, cluster))) return true;
    await delay(timers, pollMs);
  }
  return false;
}

/**
 * Ends a server that a killed unit left over `cluster`, so that a new one can start. Returns its
 * pid, or null where there was none. DATABASE_START where it does not end.
 */
export async function endOrphan(cluster: string, timers: Timers): Promise<Outcome<number | null>> {
  const file = await readPostmasterFile(cluster);
  if (file === null) return ok(null);
  const { pid } = file;
  if (!(await servesCluster(pid, cluster))) {
    // The number belongs to another process by now, and PostgreSQL would refuse to start.
    await rm(path.join(cluster, "postmaster.pid"), { force: true });
    return ok(null);
  }
  signal(pid, "SIGINT"); // fast shutdown: clients are cut off, everything is written
  if (await waitForEnd(pid, cluster, timers, fastStopMsMax)) return ok(pid);
  signal(pid, "SIGQUIT"); // at once; the next start recovers from its log
  if (await waitForEnd(pid, cluster, timers, hardStopMsMax)) return ok(pid);
  return failed(
    "DATABASE_START",
    `a PostgreSQL (process ${pid}) runs over ${cluster} and does not stop; stop it by hand`,
  );
}
