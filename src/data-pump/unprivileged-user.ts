// Unprivileged user: as whom the embedded PostgreSQL runs, because it refuses to run as root.
// Owns: finding that user, and asking the system what it can reach.
// Does not own: what is done where something is out of its reach (embedded-home.ts).
import { execFile, spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { failed, ok, type Outcome } from "../base/failure.ts";

/** Options of spawn; empty: as the user that we are. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

/** Exit code 0 and what it printed, or why not. */
export interface Ran {
  readonly good: boolean;
  readonly output: string;
}

/** True where this process is root, and so must run PostgreSQL as somebody else. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * The environment of PostgreSQL's programs: messages in English, and none of the PG… variables
 * of the caller, which would change the address or the folder behind our back.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:PG|LC_|LANG)/.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: "C", TZ: "UTC" };
}

/** Runs a program to its end; a program that cannot be started is not good, and says why. */
export function run(program: string, parameters: readonly string[], as: RunAs = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(program, parameters, {
      ...as,
      cwd: "/",
      env: programEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (chunk: Buffer): void => {
      if (output.length < 64 * 1024) output += chunk.toString("utf8");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error) => resolve({ good: false, output: error.message }));
    child.on("close", (code) => resolve({ good: code === 0, output: output.trim() }));
  });
}

/** Numbers of a user of this system, or null where there is no such user. */
async function userIds(name: string): Promise<RunAs | null> {
  const ask = (option: string): Promise<number | null> =>
    new Promise((resolve) => {
      execFile("id", [option, name], (error, output) => {
        resolve(error === null ? Number(output.trim()) : null);
      });
    });
  const [uid, gid] = await Promise.all([ask("-u"), ask("-g")]);
  return uid === null || gid === null || uid === 0 ? null : { uid, gid };
}

/**
 * As whom PostgreSQL runs over the data in `cluster`: its owner where the data exists; a new one
 * belongs to us, or as root to `postgres` if there is such a user, else `nobody`. DATABASE_START
 * where that cannot be.
 */
export async function unprivilegedUser(cluster: string): Promise<Outcome<RunAs>> {
  if (process.getuid === undefined) return ok({}); // Windows: PostgreSQL gives up its rights itself
  const found = await stat(cluster).catch(() => null);
  if (!isRoot()) {
    if (found === null || found.uid === process.getuid()) return ok({});
    return failed(
      "DATABASE_START",
      `the database in ${cluster} belongs to user ${found.uid}; run as that user or as root, ` +
        "or choose another data folder",
    );
  }
  if (found !== null && found.uid !== 0) return ok({ uid: found.uid, gid: found.gid });
  const as = (await userIds("postgres")) ?? (await userIds("nobody"));
  if (as !== null) return ok(as);
  return failed(
    "DATABASE_START",
    "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; " +
      "run as another user, or use --database postgres://…",
  );
}

/** True where `as` can work in a folder: enter it, with all that is above it, and write there. */
export async function canWork(folder: string, as: RunAs): Promise<boolean> {
  if (as.uid === undefined) return true;
  const asked = await run("/bin/sh", ["-c", 'cd -- "$1" && test -w .', "sh", folder], as);
  return asked.good;
}
