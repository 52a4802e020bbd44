// PostgreSQL server for faults: the embedded one, that can be killed, frozen, stopped for as long
// as somebody likes, lose a backend, be copied and be set back to the copy.
// Owns: the server's life, the processes of it, the copies of its data. Linux only (/proc).
// Does not own: what stands between it and its clients (postgres-proxy.ts), SQL.
// Nothing stays behind: the reaper ends the server where this process did not.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { must } from "../base/assert.ts";
import { unwrap } from "../base/failure.ts";
import { delay, systemTimers } from "../base/timers.ts";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../data-pump/embedded-postgres.ts";
import { Reaper } from "./reaper.ts";
import { runProgram } from "./run-program.ts";

const pollMs = 5;

/** One process of the server. */
interface ServerProcess {
  readonly pid: number;
  /** What it shows of itself: "postgres: orrery postgres 127.0.0.1(41822) idle". */
  readonly title: string;
}

export class PostgresServer {
  readonly #folder: string;
  readonly #reaper: Reaper;
  #server: EmbeddedPostgres;
  #isUp = true;

  private constructor(folder: string, server: EmbeddedPostgres, reaper: Reaper) {
    this.#folder = folder;
    this.#server = server;
    this.#reaper = reaper;
  }

  /** Starts one over `folder`, which its unprivileged user can reach. Throws a FailureError. */
  static async start(folder: string): Promise<PostgresServer> {
    const reaper = new Reaper(ending(join(folder, "postgres", "cluster")));
    try {
      return new PostgresServer(folder, await startIn(folder), reaper);
    } catch (error) {
      await reaper.close();
      throw error;
    }
  }

  /** Stays the same in all its lives, as long as nobody takes its port. */
  get url(): string {
    return this.#server.url;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** The folder with its data. */
  get cluster(): string {
    return join(this.#server.folder, "cluster");
  }

  /** kill -9 of the postmaster: all connections end, it recovers, and is back by itself. */
  kill(): void {
    process.kill(this.#pid, "SIGKILL");
  }

  /** Fast shutdown; it stays away until `start`. */
  async stop(): Promise<void> {
    if (!this.#isUp) return;
    this.#isUp = false;
    await this.#server.stop();
  }

  async start(): Promise<void> {
    if (this.#isUp) return;
    this.#server = await startIn(this.#folder);
    this.#isUp = true;
  }

  /** kill -9 of one backend that serves a unit: the server ends all others, and recovers. */
  async killBackend(): Promise<void> {
    for (;;) {
      // One that writes; a moment later it may be another one.
      const backends = this.#processes().filter(({ title }) => /127\.0\.0\.1\(/.test(title));
      const busy = backends.find(({ title }) => /INSERT|UPDATE|COMMIT|transaction/.test(title));
      const backend = busy ?? backends[0];
      if (backend !== undefined) {
        process.kill(backend.pid, "SIGKILL");
        return;
      }
      await delay(systemTimers, pollMs);
    }
  }

  /** SIGSTOP of all its processes: connections stay open, new ones hang. */
  freeze(): void {
    signalAll([this.#pid, ...this.#processes().map(({ pid }) => pid)], "SIGSTOP");
  }

  /** SIGCONT */
  resume(): void {
    signalAll([...this.#processes().map(({ pid }) => pid), this.#pid], "SIGCONT");
  }

  /** Stops it, copies its data under `name`, and starts it again. */
  async backUp(name: string): Promise<void> {
    await this.stop();
    await runProgram("cp", ["-a", this.cluster, this.#copy(name)]);
    await this.start();
  }

  /** Sets its data back to that copy, and starts it. */
  async restore(name: string): Promise<void> {
    await this.stop();
    rmSync(this.cluster, { recursive: true });
    await runProgram("cp", ["-a", this.#copy(name), this.cluster]);
    await this.start();
  }

  /** Ends it for good. Its folder is somebody else's to remove. */
  async close(): Promise<void> {
    if (this.#isUp) this.resume();
    await this.stop();
    await this.#reaper.close();
  }

  get #pid(): number {
    return must(this.#server.pid, "a server that runs has a number");
  }

  #copy(name: string): string {
    return join(this.#server.folder, `backup-${name}`);
  }

  #processes(): ServerProcess[] {
    const parent = this.#pid;
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
      .map((name) => ({ pid: Number(name), title: titleOf(name) }));
  }
}

async function startIn(folder: string): Promise<EmbeddedPostgres> {
  const started = await startEmbeddedPostgres({
    folder: join(folder, "postgres"),
    timers: systemTimers,
    log: () => undefined,
  });
  return unwrap(started);
}

/** Shell: ends the server over that folder, where one runs. */
function ending(cluster: string): string {
  const pid = `$(head -n 1 '${cluster}/postmaster.pid')`;
  return `[ "$(readlink /proc/${pid}/cwd)" = '${cluster}' ] && kill -QUIT ${pid}`;
}

function signalAll(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended by itself
    }
  }
}

/** Number of the parent; null where the process has ended meanwhile. */
function parentOf(pid: string): number | null {
  const fields = readProcess(pid, "stat")?.split(") ").at(-1)?.split(" ");
  return fields === undefined ? null : Number(fields[1]);
}

function titleOf(pid: string): string {
  return (readProcess(pid, "cmdline") ?? "").replaceAll("\0", " ").trim();
}

function readProcess(pid: string, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return null;
  }
}
