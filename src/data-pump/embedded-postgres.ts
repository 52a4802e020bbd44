// Embedded PostgreSQL: a real database server as a child process, for whoever brings none.
// Owns: its data folder (made at the first start), its password and port, starting it, starting
// it again when it dies, stopping it.
// Does not own: what is stored in it, connections to it, where paths are closed to its user
// (embedded-home.ts), a server that an earlier unit left (postmaster.ts).
// Invariants (docs/invariants.md):
//   D9. An embedded database is flushed to disk before it answers (fsync and synchronous_commit
//       stand in its command line, where no setting overrides them), and listens on loopback only.
// The folder holds: cluster/ (the data), password, port, postgres.log, and the lock (data-lock.ts).
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { failed, failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { delay, withDeadline, type Timers } from "../base/timers.ts";
import { lockDataFolder, type DataLock } from "../grid/data-lock.ts";
import { installedPostgres, reachableFolder, reachablePrograms } from "./embedded-home.ts";
import { endOrphan, readPostmasterFile } from "./postmaster.ts";
import { programEnvironment, run, unprivilegedUser, type RunAs } from "./unprivileged-user.ts";

const userName = "orrery";
const databaseName = "postgres";
const loopback = "127.0.0.1";
const logBytesMax = 4 * 1024 * 1024;
const readyMsMax = 60_000; // crash recovery after a kill may take a while
const readyPollMs = 20;
const restartMsMin = 50;
const restartMsMax = 2000;
const fastStopMsMax = 20_000;

export interface EmbeddedPostgresOptions {
  /** Made where it is missing; holds everything, so deleting it starts anew. */
  readonly folder: string;
  readonly timers: Timers;
  /** Told in one line when the server died and when it is back. */
  readonly log: (message: string) => void;
}

/** Everything that a start of the server needs. */
interface Server {
  readonly program: string;
  readonly as: RunAs;
  readonly folder: string;
  readonly port: number;
}

export class EmbeddedPostgres {
  /** With its password: for connecting, not for showing. */
  readonly url: string;
  /** Where everything lies really, symbolic links resolved. */
  readonly folder: string;
  readonly #server: Server;
  readonly #timers: Timers;
  readonly #log: (message: string) => void;
  readonly #lock: DataLock;
  #child: ChildProcess;
  #stopping = false;
  /** Ends when the server is stopped for good. */
  readonly #supervision: Promise<void>;

  constructor(
    server: Server,
    url: string,
    child: ChildProcess,
    lock: DataLock,
    options: EmbeddedPostgresOptions,
  ) {
    this.#server = server;
    this.url = url;
    this.folder = server.folder;
    this.#lock = lock;
    this.#child = child;
    this.#timers = options.timers;
    this.#log = options.log;
    this.#supervision = this.#supervise();
  }

  /** The server's process at the moment; it changes when the server had to be started again. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Fast shutdown: clients are cut off, everything is written. Resolves when it is over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await endChild(this.#child, this.#timers);
    await this.#supervision;
    this.#lock.release();
  }

  async #supervise(): Promise<void> {
    for (;;) {
      const how = await ended(this.#child);
      if (this.#stopping) return;
      this.#log(`the embedded database stopped by itself (${how}); starting it again`);
      if (!(await this.#startAgain())) return;
      this.#log("the embedded database is back");
    }
  }

  /** False where we are stopping meanwhile. Tries for as long as it takes. */
  async #startAgain(): Promise<boolean> {
    // Right after a crash the old server's processes may still hold its memory for a moment.
    for (let backoffMs = restartMsMin; ; backoffMs = Math.min(restartMsMax, backoffMs * 2)) {
      if (this.#isStopping()) return false;
      const started = await startServer(this.#server, this.#timers, (child) => {
        this.#child = child;
        if (this.#isStopping()) child.kill("SIGINT");
      });
      if (started.ok) return !this.#isStopping();
      if (this.#isStopping()) return false;
      this.#log(started.failure.message);
      await delay(this.#timers, backoffMs);
    }
  }

  #isStopping(): boolean {
    return this.#stopping;
  }
}

/**
 * Starts PostgreSQL over `folder`; makes the database at the first time. A server that a killed
 * unit left there is ended first; a folder that a living unit uses is DATA_IN_USE.
 * Fails with DATABASE_START or DATA_UNUSABLE too, saying what can be done.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<Outcome<EmbeddedPostgres>> {
  const user = await unprivilegedUser(path.join(options.folder, "cluster"));
  if (!user.ok) return user;
  const as = user.value;
  const home = await reachableFolder(path.resolve(options.folder), as);
  if (!home.ok) return home;
  const folder = home.value;
  const lock = lockDataFolder(folder);
  if (!lock.ok) return lock;
  const started = await startLocked(folder, as, lock.value, options).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    return failed("DATA_UNUSABLE", `cannot keep a database in ${folder}: ${why}`);
  });
  if (!started.ok) lock.value.release();
  return started;
}

/**
 * The URL of the server that another unit runs over `folder`; null where that has not made it
 * yet. Whoever uses it loses it when that unit stops.
 */
export async function runningEmbeddedPostgres(folder: string): Promise<string | null> {
  try {
    const password = (await readFile(path.join(folder, "password"), "utf8")).trim();
    const port = Number(await readFile(path.join(folder, "port"), "utf8"));
    return urlOf(password, port);
  } catch {
    return null;
  }
}

function urlOf(password: string, port: number): string {
  return `postgres://${userName}:${password}@${loopback}:${port}/${databaseName}`;
}

async function startLocked(
  folder: string,
  as: RunAs,
  lock: DataLock,
  options: EmbeddedPostgresOptions,
): Promise<Outcome<EmbeddedPostgres>> {
  const installed = await installedPostgres();
  if (!installed.ok) return installed;
  const programs = await reachablePrograms(installed.value.native, installed.value.version, as);
  if (!programs.ok) return programs;
  const orphan = await endOrphan(path.join(folder, "cluster"), options.timers);
  if (!orphan.ok) return orphan;
  const problem = await makeCluster(programs.value.initdb, folder, as);
  if (problem !== null) return { ok: false, failure: problem };
  const password = (await readFile(path.join(folder, "password"), "utf8")).trim();
  const port = await choosePort(path.join(folder, "port"));
  const server = { program: programs.value.postgres, as, folder, port };
  const started = await startServer(server, options.timers, () => undefined);
  if (!started.ok) return started;
  const url = urlOf(password, port);
  return ok(new EmbeddedPostgres(server, url, started.value, lock, options));
}

/** Makes folder/cluster where it is missing. Complete or not there: made aside, then renamed. */
async function makeCluster(initdb: string, folder: string, as: RunAs): Promise<Failure | null> {
  const cluster = path.join(folder, "cluster");
  if ((await stat(cluster).catch(() => null)) !== null) return null;
  const draft = path.join(folder, "cluster.new");
  const password = path.join(folder, "password");
  await rm(draft, { recursive: true, force: true });
  await rm(password, { force: true });
  await mkdir(draft, { mode: 0o700 });
  await writeFile(password, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
  if (as.uid !== undefined && as.gid !== undefined) {
    await chown(draft, as.uid, as.gid);
    await chown(password, as.uid, as.gid);
  }
  const made = await run(
    initdb,
    [
      ...["-D", draft, "-U", userName, "--pwfile", password, "--auth", "scram-sha-256"],
      ...["--encoding", "UTF8", "--locale", "C"],
    ],
    as,
  );
  if (!made.good) return failure("DATABASE_START", `initdb failed: ${lastLine(made.output)}`);
  await rename(draft, cluster);
  return null;
}

/** The port of the last start where it is free, so that it stays the same; else another one. */
async function choosePort(file: string): Promise<number> {
  const kept = Number(await readFile(file, "utf8").catch(() => ""));
  const port = (kept > 0 ? await freePort(kept) : null) ?? (await freePort(0)) ?? 0;
  await writeFile(file, `${port}\n`);
  return port;
}

function freePort(wanted: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on("error", () => resolve(null));
    probe.listen({ port: wanted, host: loopback }, () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : null;
      probe.close(() => resolve(port));
    });
  });
}

/** Starts the server and waits until it takes connections. The child is told before the wait. */
async function startServer(
  server: Server,
  timers: Timers,
  onChild: (child: ChildProcess) => void,
): Promise<Outcome<ChildProcess>> {
  const logPath = path.join(server.folder, "postgres.log");
  const log = await open(logPath, "a", 0o600);
  try {
    if ((await log.stat()).size > logBytesMax) await log.truncate();
    const logFrom = (await log.stat()).size;
    const cluster = path.join(server.folder, "cluster");
    const child = spawn(server.program, serverParameters(cluster, server.port), {
      ...server.as,
      cwd: "/",
      env: programEnvironment(),
      // A group of its own: Ctrl-C in a terminal reaches the unit, which stops the database last.
      detached: true,
      // A file, not a pipe to us: the server must not notice that we were killed.
      stdio: ["ignore", log.fd, log.fd],
    });
    const end = ended(child);
    onChild(child);
    if (await becameReady(child, end, cluster, timers)) return ok(child);
    await endChild(child, timers);
    const said = (await readFile(logPath, "utf8")).slice(logFrom);
    return failed(
      "DATABASE_START",
      `the embedded database does not start: ${lastLine(said) || (await end)} (see ${logPath})`,
    );
  } finally {
    await log.close();
  }
}

function serverParameters(cluster: string, port: number): string[] {
  const settings = {
    listen_addresses: loopback,
    port: String(port),
    unix_socket_directories: "",
    fsync: "on",
    synchronous_commit: "on",
    full_page_writes: "on",
    log_checkpoints: "off",
  };
  return [
    "-D",
    cluster,
    ...Object.entries(settings).flatMap(([name, v]) => ["-c", `${name}=${v}`]),
  ];
}

/** How a child ended, in words; also where it could not be started at all. */
function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve(`exit code ${child.exitCode ?? child.signalCode ?? "unknown"}`);
      return;
    }
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(signal ?? `exit code ${code ?? "unknown"}`));
  });
}

async function becameReady(
  child: ChildProcess,
  end: Promise<string>,
  cluster: string,
  timers: Timers,
): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < readyMsMax; waitedMs += readyPollMs) {
    if ((await withDeadline(timers, readyPollMs, end, () => null)) !== null) return false;
    const file = await readPostmasterFile(cluster);
    if (file !== null && file.pid === child.pid && file.ready) return true;
  }
  return false;
}

async function endChild(child: ChildProcess, timers: Timers): Promise<void> {
  if (child.pid === undefined) return;
  const end = ended(child);
  child.kill("SIGINT"); // fast shutdown
  const gentle = await withDeadline(timers, fastStopMsMax, end, () => null);
  if (gentle !== null) return;
  child.kill("SIGQUIT"); // at once; the next start recovers from the log
  if ((await withDeadline(timers, fastStopMsMax, end, () => null)) === null) child.kill("SIGKILL");
  await end;
}

/** What a program said last: PostgreSQL's reason stands in its last line, or in FATAL before. */
function lastLine(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return lines.findLast((line) => /FATAL|PANIC|error:/.test(line)) ?? lines.at(-1) ?? "";
}
