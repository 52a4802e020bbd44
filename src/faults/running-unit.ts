// Running unit: a processing unit as a process group of its own, that can be killed, frozen, and
// lose a lane.
// Owns: the process, its output, waiting until it serves. Does not own: what runs in it
// (unit-process.ts), the network it lives in (network.ts).
// Nothing stays behind: what is not ended by `kill` or `stop` is ended by the reaper.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { must } from "../base/assert.ts";
import { failpointEnvironment, type ArmedFailpoint } from "../base/failpoints.ts";
import { delay, systemTimers } from "../base/timers.ts";
import type { Reaper } from "./reaper.ts";

const program = fileURLToPath(new URL("./unit-process.ts", import.meta.url));
const pollMs = 10;
const startMsMax = 60_000;
const shownLines = 30;

export interface RunningUnitOptions {
  readonly name: string;
  /** memory:, lmdb:… or hazelcast://… */
  readonly store: string;
  /** URL of the application's module. */
  readonly application: string;
  readonly lanes: number;
  readonly partitions: number;
  readonly host: string;
  /** postgres://…; left out: none. */
  readonly database?: string;
  /** Options of the application, plain data. */
  readonly options?: unknown;
  /** What logs and checkpoints may take in the grid; left out: 4 GiB. */
  readonly gridBytesMax?: number;
}

export interface UnitPlace {
  /** NAME.log is written there. */
  readonly folder: string;
  readonly reaper: Reaper;
  /** Put before the command that starts it: ["ip", "netns", "exec", …]. */
  readonly prefix?: readonly string[];
  /** Where the process is to die or to freeze. */
  readonly failpoint?: ArmedFailpoint;
}

export class RunningUnit {
  readonly name: string;
  /** http://host:port; another one in each life of the unit; "" where it died before. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #group: number;
  readonly #ended: Promise<unknown>;
  readonly #logFile: string;

  private constructor(
    name: string,
    url: string,
    child: ChildProcess,
    ended: Promise<unknown>,
    logFile: string,
  ) {
    this.name = name;
    this.url = url;
    this.#child = child;
    this.#group = must(child.pid, "a process that runs has a number");
    this.#ended = ended;
    this.#logFile = logFile;
  }

  /**
   * Starts it; resolves when it serves, or has died where it was to die. Throws an Error with what
   * it said where it does neither.
   */
  static async start(options: RunningUnitOptions, place: UnitPlace): Promise<RunningUnit> {
    const logFile = join(place.folder, `${options.name}.log`);
    const log = openSync(logFile, "a");
    const from = readFileSync(logFile).length;
    const [command, ...args] = [...(place.prefix ?? []), process.execPath, program];
    args.push(JSON.stringify(options));
    // A file, not a pipe to us: a unit must not notice that we do not read.
    const child = spawn(must(command, "a command"), args, {
      env: { ...process.env, ...(place.failpoint && failpointEnvironment(place.failpoint)) },
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const group = must(child.pid, () => `${options.name} cannot be started`);
    place.reaper.add(group);
    const ended = once(child, "exit");
    void ended.then(() => {
      place.reaper.remove(group);
    });
    const isOver = () => child.exitCode !== null || child.signalCode !== null;
    for (let waitedMs = 0; waitedMs < startMsMax && !isOver(); waitedMs += pollMs) {
      const said = readFileSync(logFile).subarray(from).toString();
      const url = /^serving (http:\S+)$/m.exec(said)?.[1];
      if (url !== undefined) return new RunningUnit(options.name, url, child, ended, logFile);
      await delay(systemTimers, pollMs);
    }
    const isAsked = place.failpoint?.does === "kill" && child.signalCode === "SIGKILL";
    if (isAsked) return new RunningUnit(options.name, "", child, ended, logFile);
    throw new Error(`${options.name} does not serve\n${tailOf(logFile)}`);
  }

  /** Resolves when its process has ended, whatever ended it. */
  get ended(): Promise<unknown> {
    return this.#ended;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    if (this.isRunning) await this.#ended;
  }

  /** Ends the thread of one lane as a crash does; the next one in turn. */
  killLane(): void {
    process.kill(this.#group, "SIGUSR2");
  }

  /** SIGSTOP: its connections stay open, nothing answers. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  /** SIGCONT */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** SIGTERM: it gives everything away, then ends. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    process.kill(this.#group, "SIGTERM");
    await this.#ended;
  }

  /** The last lines of its output, for a person. */
  report(): string {
    return tailOf(this.#logFile);
  }

  #signal(name: NodeJS.Signals): void {
    if (this.isRunning) process.kill(-this.#group, name);
  }
}

function tailOf(logFile: string): string {
  const lines = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-shownLines);
  return lines.join("\n");
}
