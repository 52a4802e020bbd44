// One Hazelcast member as a process: started, killed, frozen, resumed, stopped, started again.
// Owns: its processes (Java, and the guard where there is one), its output, its readiness.
// Does not own: the cluster (hazelcast-members.ts), where it lives (network.ts).
// With a guard both are one process group: whoever ends the group ends them all.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readFile } from "node:fs/promises";
import { get } from "node:http";
import path from "node:path";
import { must } from "../base/assert.ts";
import { delay, systemTimers } from "../base/timers.ts";
import { memberGuard } from "./hazelcast-program.ts";
import type { Reaper } from "./reaper.ts";

const answerMsMax = 1000;
const pollMs = 25;
const pidMsMax = 60_000;
const shownLines = 20;

/** How the process that was started has ended: the guard's, or Java's where there is none. */
export interface MemberEnd {
  /** null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a member says about itself and its cluster. */
export interface MemberHealth {
  /** It has joined; what it says before that is about itself alone. */
  readonly ready: boolean;
  readonly clusterSize: number;
  /** All copies of all partitions are where they should be. */
  readonly clusterSafe: boolean;
  readonly migrationQueueSize: number;
}

/** Where a member lives. */
export interface MemberPlace {
  readonly host: string;
  readonly port: number;
  /** Put before the command that starts it: ["ip", "netns", "exec", …]. */
  readonly prefix: readonly string[];
}

export interface MemberOptions {
  /** From 1. */
  readonly number: number;
  readonly place: MemberPlace;
  readonly guarded: boolean;
  /** Its output is appended to member-NUMBER.log in here. */
  readonly folder: string;
  /** MEMBER_… and GUARD_…, as deploy/hazelcast/member-guard --help describes them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly reaper: Reaper;
}

interface Run {
  /** Process group: the number of the process that was started. */
  readonly group: number;
  readonly ended: Promise<MemberEnd>;
  /** Where its output begins in the file. */
  readonly logFrom: number;
  over: boolean;
  javaPid: number;
}

export class Member {
  readonly number: number;
  readonly host: string;
  readonly port: number;
  readonly #options: MemberOptions;
  #run: Run | null = null;

  constructor(options: MemberOptions) {
    this.number = options.number;
    this.host = options.place.host;
    this.port = options.place.port;
    this.#options = options;
  }

  /** host:port */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  /** Process number of its Java, of the present run or the last one. */
  get pid(): number {
    return this.#started.javaPid;
  }

  /** Process number of its guard; null where it has none. */
  get guardPid(): number | null {
    return this.#options.guarded ? this.#started.group : null;
  }

  /** Resolves when the present run has ended: the guard where there is one, and so its member. */
  get ended(): Promise<MemberEnd> {
    return this.#started.ended;
  }

  get isRunning(): boolean {
    return this.#run?.over === false;
  }

  /** All its output so far, of all its runs. */
  output(): Promise<string> {
    return readFile(this.#logFile, "utf8");
  }

  /** Starts it, for the first time or again, on its port; resolves before it is ready. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    const { folder, guarded, place, environment, reaper } = this.#options;
    await mkdir(folder, { recursive: true });
    const log = await open(this.#logFile, "a");
    const logFrom = (await log.stat()).size;
    const command = [...place.prefix, memberGuard, ...(guarded ? [] : ["--unguarded"])];
    const child = spawn(must(command[0], "a command"), command.slice(1), {
      env: { ...process.env, ...environment },
      detached: true,
      // A file, not a pipe to us: a member must not notice that we do not read.
      stdio: ["ignore", log.fd, log.fd],
    });
    const exit = once(child, "exit"); // rejects where it cannot be started at all
    await log.close();
    const group = child.pid;
    if (group === undefined) {
      await exit;
      return;
    }
    reaper.add(group);
    const run = { group, javaPid: group, logFrom, over: false, ended: exit.then(ending) };
    void run.ended.then(() => {
      run.over = true;
      reaper.remove(group);
    });
    this.#run = run;
    if (guarded) run.javaPid = await this.#pidFromGuard(run);
  }

  /** kill -9 of Java; its guard, where there is one, sees that it is gone. Resolves when it is. */
  async kill(): Promise<void> {
    if (this.isRunning) signal(this.pid, "SIGKILL");
    await this.ended;
  }

  /** kill -9 of the whole group, whatever state it is in. Resolves when it is gone. */
  async destroy(): Promise<void> {
    if (this.#run === null || this.#run.over) return;
    signal(-this.#run.group, "SIGKILL");
    await this.#run.ended;
  }

  /** SIGSTOP: its connections stay open, nothing answers. With its guard: as docker pause does. */
  freeze(what: "member" | "member and guard" = "member"): void {
    if (this.isRunning) signal(what === "member" ? this.pid : -this.#started.group, "SIGSTOP");
  }

  /** SIGCONT to all that freeze stopped. */
  resume(): void {
    if (this.isRunning) signal(-this.#started.group, "SIGCONT");
  }

  /** SIGTERM: its data goes to the others, then it ends. */
  async stop(): Promise<MemberEnd> {
    if (this.isRunning) signal(this.#started.group, "SIGTERM");
    return this.ended;
  }

  /** True where it answers that it is ready, within a second, and its guard has seen it so. */
  async ready(): Promise<boolean> {
    if ((await this.#ask("/hazelcast/health/ready")) === null) return false;
    return this.guardPid === null || (await this.#ownOutput()).includes("is ready, and guarded");
  }

  /** Members of its cluster, itself among them, as it sees it; null where it does not answer. */
  async clusterSize(): Promise<number | null> {
    const text = await this.#ask("/hazelcast/health/cluster-size");
    return text === null || text === "" ? null : Number(text);
  }

  /**
   * null where it does not answer, or not yet. To be asked only where nobody hangs: for this a
   * member asks the others, one of its threads stands still until all have answered, and on that
   * thread it talks with others. Asked again and again it answers nobody, and its guard kills it.
   */
  async health(): Promise<MemberHealth | null> {
    const ready = await this.ready();
    const text = await this.#ask("/hazelcast/health");
    if (text === null || text === "") return null;
    return { ...(JSON.parse(text) as Omit<MemberHealth, "ready">), ready };
  }

  /** Its number and the last lines of its output, for a person. */
  async report(): Promise<string> {
    const lines = (await this.output().catch(() => "")).trimEnd().split("\n").slice(-shownLines);
    return lines.map((line) => `  member ${this.number}: ${line}`).join("\n");
  }

  get #started(): Run {
    return must(this.#run, () => `member ${this.number} was not started`);
  }

  get #logFile(): string {
    return path.join(this.#options.folder, `member-${this.number}.log`);
  }

  /** What the present run has said so far. */
  async #ownOutput(): Promise<string> {
    return (await readFile(this.#logFile)).subarray(this.#started.logFrom).toString();
  }

  async #pidFromGuard(run: Run): Promise<number> {
    for (let waitedMs = 0; waitedMs < pidMsMax && !run.over; waitedMs += pollMs) {
      const said = await this.#ownOutput();
      const pid = /^member-guard: started member process (\d+)$/m.exec(said)?.[1];
      if (pid !== undefined) return Number(pid);
      await delay(systemTimers, pollMs);
    }
    throw new Error(`the guard of member ${this.number} started none\n${await this.report()}`);
  }

  /** Body of a good answer; null otherwise. */
  #ask(what: string): Promise<string | null> {
    const { host, port } = this;
    return new Promise((resolve) => {
      const request = get({ host, port, path: what, agent: false, timeout: answerMsMax });
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(null)); // no answer is the answer
      request.on("response", (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (body += part));
        response.on("error", () => resolve(null));
        response.on("close", () => resolve(response.statusCode === 200 ? body : null));
      });
    });
  }
}

function ending(values: unknown[]): MemberEnd {
  const [code, endSignal] = values as [number | null, NodeJS.Signals | null];
  return { code, signal: endSignal };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended by itself
  }
}
