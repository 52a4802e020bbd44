// Embedded home: where the embedded PostgreSQL's programs and data lie, reachable for its user.
// Owns: finding the programs that npm installed; the folder under /var/lib/orrery that is used
// where, as root, a path is closed to the user that PostgreSQL runs as (a clone under /root).
// Does not own: starting anything (embedded-postgres.ts), choosing the user.
// Nothing here is removed by the program: a data folder that was deleted leaves its database
// under /var/lib/orrery, where README says what it was.
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import {
  chmod,
  chown,
  cp,
  mkdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  symlink,
  writeFile,
} from "node:fs/promises";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { canWork, isRoot, run, type RunAs } from "./unprivileged-user.ts";

/** Where things lie that the paths of the caller keep out of the other user's reach. */
const sharedHome = "/var/lib/orrery";

/** The programs of one PostgreSQL. */
export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function programsIn(native: string): Programs {
  const suffix = process.platform === "win32" ? ".exe" : "";
  return {
    initdb: path.join(native, "bin", `initdb${suffix}`),
    postgres: path.join(native, "bin", `postgres${suffix}`),
  };
}

/** The folder with the PostgreSQL that npm installed for this platform, and its version. */
export async function installedPostgres(): Promise<Outcome<{ native: string; version: string }>> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const parent = createRequire(import.meta.url).resolve("embedded-postgres");
    const entry = createRequire(parent).resolve(name);
    const root = path.dirname(path.dirname(entry));
    const text = await readFile(path.join(root, "package.json"), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    return ok({ native: path.join(root, "native"), version });
  } catch (error) {
    return failed(
      "DATABASE_START",
      `the package ${name} with PostgreSQL is not installed (${reason(error)}); ` +
        'run "npm ci", or use --database postgres://… or --database none:',
    );
  }
}

/**
 * Programs that `as` can run: those in `native`, or, as root, a copy of them under `home`, made
 * once per version. DATABASE_START where neither runs.
 */
export async function reachablePrograms(
  native: string,
  version: string,
  as: RunAs,
  home: string = sharedHome,
): Promise<Outcome<Programs>> {
  const installed = programsIn(native);
  const tried = await run(installed.postgres, ["--version"], as);
  if (tried.good) return ok(installed);
  if (as.uid === undefined || !isRoot()) {
    return failed("DATABASE_START", `${installed.postgres} does not run: ${tried.output}`);
  }
  const copy = path.join(home, `postgresql-${version}`);
  const copied = programsIn(copy);
  if ((await run(copied.postgres, ["--version"], as)).good) return ok(copied);
  const draft = `${copy}.${randomBytes(6).toString("hex")}`;
  try {
    await makeShared(home);
    await cp(native, draft, { recursive: true, verbatimSymlinks: true });
    // What npm unpacked may be for our eyes only.
    const opened = await run("chmod", ["-R", "a+rX", draft]);
    if (!opened.good) return failed("DATABASE_START", `chmod of ${draft}: ${opened.output}`);
    // Where another unit was faster, its copy is as good; the last look below decides.
    await rename(draft, copy).catch(() => null);
  } catch (error) {
    return failed("DATABASE_START", `cannot copy PostgreSQL to ${copy}: ${reason(error)}`);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  const again = await run(copied.postgres, ["--version"], as);
  if (again.good) return ok(copied);
  return failed(
    "DATABASE_START",
    `${copied.postgres} does not run; remove ${copy}: ${again.output}`,
  );
}

/**
 * A folder of ours in which `as` can have its data: `folder` itself, or, as root, where the way
 * to it is closed to that user, a new folder under `home`; `folder` then is a symbolic link to
 * it. Returns the folder's real path. DATA_UNUSABLE where it can be neither.
 */
export async function reachableFolder(
  folder: string,
  as: RunAs,
  home: string = sharedHome,
): Promise<Outcome<string>> {
  try {
    await mkdir(folder, { recursive: true });
    const real = await realpath(folder);
    if (await canWorkInside(real, as)) return ok(real);
    // Only an empty folder makes room for a link; what somebody put there stays.
    await rmdir(real);
    const moved = path.join(home, randomBytes(8).toString("hex"));
    await makeShared(home);
    await makeShared(moved);
    await symlink(moved, folder);
    await writeFile(path.join(moved, "README"), `The database of ${path.resolve(folder)}\n`);
    if (await canWorkInside(moved, as)) return ok(moved);
    return failed("DATA_UNUSABLE", `${moved} cannot be reached by user ${String(as.uid)}`);
  } catch (error) {
    return failed(
      "DATA_UNUSABLE",
      `cannot keep a database in ${folder}: ${reason(error)}; choose another data folder`,
    );
  }
}

/** A folder that everybody can enter, whatever our umask. */
async function makeShared(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
}

/** True where `as` can work in a subfolder of its own. */
async function canWorkInside(folder: string, as: RunAs): Promise<boolean> {
  if (as.uid === undefined || as.gid === undefined) return true;
  const probe = path.join(folder, `probe.${randomBytes(6).toString("hex")}`);
  await mkdir(probe);
  try {
    await chown(probe, as.uid, as.gid);
    return await canWork(probe, as);
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}
