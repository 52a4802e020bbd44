// Goal: the embedded database starts anywhere, keeps what it was given, comes back after crashes
// of itself and of its parent, and never stays behind. Method: the real server in temporary
// folders; processes killed by number; waiting for what is logged or for a process's end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { installedPostgres, reachablePrograms } from "../../src/data-pump/embedded-home.ts";
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from "../../src/data-pump/embedded-postgres.ts";
import { isRoot, unprivilegedUser } from "../../src/data-pump/unprivileged-user.ts";
import { openFolder, query } from "../support/embedded-database.ts";

// initdb and recovery are flushed to disk: on a busy machine that takes its time.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function temporaryFolder(): Promise<string> {
  const folder = await openFolder("orrery-embedded-");
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function start(
  folder: string,
  log: (message: string) => void = () => undefined,
): Promise<EmbeddedPostgres> {
  const options = { folder, timers: systemTimers, log };
  const server = unwrap(await startEmbeddedPostgres(options));
  cleanups.push(() => server.stop());
  return server;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("D9: the embedded database is durable, on loopback, with a password only its user reads", async () => {
  const folder = path.join(await temporaryFolder(), "data", "postgres");
  const server = await start(folder);
  const settings = await query(
    server.url,
    `SELECT name, setting, source FROM pg_settings
     WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses')
     ORDER BY name`,
  );
  expect(settings).toEqual([
    { name: "fsync", setting: "on", source: "command line" },
    { name: "full_page_writes", setting: "on", source: "command line" },
    { name: "listen_addresses", setting: "127.0.0.1", source: "command line" },
    { name: "synchronous_commit", setting: "on", source: "command line" },
  ]);
  expect((await lstat(path.join(folder, "password"))).mode & 0o777).toBe(0o600);
  const wrong = new URL(server.url);
  wrong.password = "wrong";
  await expect(query(wrong.href, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
});

test("rows, password and port stay over a stop and a start", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const first = await start(folder);
  await query(first.url, "CREATE TABLE kept AS SELECT 41 AS answer");
  const { pid } = first;
  await first.stop();
  expect(isAlive(pid ?? 0)).toBe(false);
  const second = await start(folder);
  expect(second.url).toBe(first.url);
  expect(await query(second.url, "SELECT answer FROM kept")).toEqual([{ answer: 41 }]);
});

test("a server that was killed is started again on the same address", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const logged: string[] = [];
  const back = Promise.withResolvers<undefined>();
  const server = await start(folder, (message) => {
    logged.push(message);
    if (message.endsWith("is back")) back.resolve(undefined);
  });
  await query(server.url, "CREATE TABLE kept AS SELECT 42 AS answer");
  const killed = server.pid ?? 0;
  process.kill(killed, "SIGKILL");
  await back.promise;
  expect(server.pid).not.toBe(killed);
  expect(await query(server.url, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
  expect(logged[0]).toContain("SIGKILL");
});

test("after kill -9 of the parent, a new start ends the server left behind and keeps its rows", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const script = path.join(import.meta.dirname, "../support/embedded-parent-process.ts");
  const parent = spawn(process.execPath, [script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanups.push(async () => {
    if (parent.exitCode === null && parent.signalCode === null && parent.kill("SIGTERM")) {
      await once(parent, "exit");
    }
  });
  const [line] = (await once(createInterface(parent.stdout), "line")) as [string];
  const orphan = JSON.parse(line) as { url: string; pid: number };
  cleanups.push(() => {
    if (isAlive(orphan.pid)) process.kill(orphan.pid, "SIGQUIT");
    return Promise.resolve();
  });
  await query(orphan.url, "CREATE TABLE kept AS SELECT 43 AS answer");
  parent.kill("SIGKILL");
  await once(parent, "exit");
  expect(isAlive(orphan.pid)).toBe(true);
  const server = await start(folder);
  expect(server.pid).not.toBe(orphan.pid);
  expect(await query(server.url, "SELECT answer FROM kept")).toEqual([{ answer: 43 }]);
});

test("a postmaster.pid that names somebody else's process does not prevent the start", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const first = await start(folder);
  await first.stop();
  const file = path.join(folder, "cluster", "postmaster.pid");
  await writeFile(file, `${String(process.pid)}\n${path.join(folder, "cluster")}\n1\n5432\n\n\n\n`);
  const second = await start(folder);
  expect(await query(second.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("DATA_IN_USE where a living unit has its database in the folder", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const first = await start(folder);
  const options = { folder, timers: systemTimers, log: () => undefined };
  const second = await startEmbeddedPostgres(options);
  expect(second).toMatchObject({ ok: false, failure: { code: "DATA_IN_USE" } });
  expect(await query(first.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("an initdb that was cut off is begun anew", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  await mkdir(path.join(folder, "cluster.new", "base"), { recursive: true });
  const server = await start(folder);
  expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("DATABASE_START says what PostgreSQL said where the data cannot be used", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const server = await start(folder);
  await server.stop();
  await writeFile(path.join(folder, "cluster", "PG_VERSION"), "9\n");
  const outcome = await startEmbeddedPostgres({
    folder,
    timers: systemTimers,
    log: () => undefined,
  });
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATABASE_START" } });
  expect(outcome.ok ? "" : outcome.failure.message).toMatch(/FATAL.*incompatible/);
});

test("DATA_UNUSABLE where the folder cannot be made", async () => {
  const folder = await temporaryFolder();
  await writeFile(path.join(folder, "file"), "");
  const outcome = await startEmbeddedPostgres({
    folder: path.join(folder, "file", "postgres"),
    timers: systemTimers,
    log: () => undefined,
  });
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
});

test("a stop while the server is being started again ends it for good", async () => {
  const folder = path.join(await temporaryFolder(), "postgres");
  const died = Promise.withResolvers<undefined>();
  const server = await start(folder, () => died.resolve(undefined));
  process.kill(server.pid ?? 0, "SIGKILL");
  await died.promise;
  await server.stop();
  expect(isAlive(server.pid ?? 0)).toBe(false);
});

test.skipIf(!isRoot())(
  "as root, a folder closed to other users becomes a link to one that is open",
  async () => {
    const closed = await mkdtemp(path.join(tmpdir(), "orrery-closed-")); // 0700, root's
    cleanups.push(() => rm(closed, { recursive: true, force: true }));
    const folder = path.join(closed, "data", "postgres");
    const first = await start(folder);
    cleanups.unshift(() => rm(first.folder, { recursive: true, force: true }));
    await query(first.url, "CREATE TABLE kept AS SELECT 44 AS answer");
    await first.stop();
    expect(await readlink(folder)).toBe(first.folder);
    expect(first.folder).toMatch(/^\/var\/lib\/orrery\/[0-9a-f]{16}$/);
    expect(await readFile(path.join(first.folder, "README"), "utf8")).toContain(folder);
    const second = await start(folder);
    expect(second.folder).toBe(first.folder);
    expect(await query(second.url, "SELECT answer FROM kept")).toEqual([{ answer: 44 }]);
  },
);

test.skipIf(!isRoot())("as root, files of somebody else are never moved aside", async () => {
  const closed = await mkdtemp(path.join(tmpdir(), "orrery-closed-"));
  cleanups.push(() => rm(closed, { recursive: true, force: true }));
  await writeFile(path.join(closed, "precious"), "kept");
  const outcome = await startEmbeddedPostgres({
    folder: closed,
    timers: systemTimers,
    log: () => undefined,
  });
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
  expect(await readFile(path.join(closed, "precious"), "utf8")).toBe("kept");
});

test.skipIf(!isRoot())(
  "as root, programs closed to other users are copied once to where they can be run",
  async () => {
    const { native, version } = unwrap(await installedPostgres());
    const closed = await mkdtemp(path.join(tmpdir(), "orrery-closed-"));
    cleanups.push(() => rm(closed, { recursive: true, force: true }));
    const unreachable = path.join(closed, "native");
    await copyFolder(native, unreachable);
    const home = path.join(await temporaryFolder(), "home");
    const as = unwrap(await unprivilegedUser(path.join(home, "none")));
    const programs = unwrap(await reachablePrograms(unreachable, version, as, home));
    expect(programs.postgres).toBe(path.join(home, `postgresql-${version}`, "bin", "postgres"));
    const copiedAt = (await lstat(programs.postgres)).ctimeMs;
    expect(unwrap(await reachablePrograms(unreachable, version, as, home))).toEqual(programs);
    expect((await lstat(programs.postgres)).ctimeMs).toBe(copiedAt);
    // Those of this checkout may themselves be closed to others, as all below root's home is.
    const reachable = path.join(await temporaryFolder(), "native");
    await cp(native, reachable, { recursive: true, verbatimSymlinks: true });
    expect(unwrap(await reachablePrograms(reachable, version, as, home)).postgres).toBe(
      path.join(reachable, "bin", "postgres"),
    );
  },
);

async function copyFolder(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
  await chmod(path.join(to, "bin"), 0o700);
}
