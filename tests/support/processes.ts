// Processes for tests: child processes that are watched by what they print, and that never stay
// behind: whatever a test does, the whole tree is killed at its end (or after the file, where it
// was started in beforeAll).
// Owns: starting, output, signals, the end. Does not own: what the programs are.
// Use: const unit = startOrrery(["unit", "--port", String(await freePort())]);
//      const [, url] = await unit.line(/listening on (\S+)/);
//      await unit.killTree();
import { spawn, type ChildProcess, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, onTestFailed, onTestFinished, TestRunner } from "vitest";
import { ProcessTree } from "./process-tree.ts";

const launcher = fileURLToPath(new URL("../../bin/orrery.cjs", import.meta.url));
const shownLines = 60;

export interface StartOptions {
  /** Added to this process's environment, without what belongs to the test runner. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: this process's. */
  readonly cwd?: string;
}

export interface ProcessEnd {
  /** null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type OutputName = "stdout" | "stderr";

/** What one stream printed, and who waits for more. */
class Output {
  readonly lines: string[] = [];
  #read = 0;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(stream: Readable) {
    const reader = createInterface({ input: stream, crlfDelay: Infinity });
    reader.on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
    reader.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next line that matches, behind the one that was found last; null when there is none. */
  async next(pattern: RegExp): Promise<RegExpExecArray | null> {
    for (;;) {
      while (this.#read < this.lines.length) {
        const match = pattern.exec(this.lines[this.#read++] ?? "");
        if (match !== null) return match;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export class TestProcess {
  readonly pid: number;
  /** Resolves when the process has ended and nobody can print to its streams any more. */
  readonly ended: Promise<ProcessEnd>;
  readonly stdin: Writable;
  readonly #child: ChildProcess;
  readonly #title: string;
  readonly #tree: ProcessTree;
  readonly #outputs: Readonly<Record<OutputName, Output>>;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, title: string) {
    if (child.pid === undefined) throw new Error(`cannot start ${title}`);
    this.pid = child.pid;
    this.stdin = child.stdin;
    this.stdin.on("error", () => undefined); // written to a process that had just ended
    this.#child = child;
    this.#title = title;
    this.#tree = new ProcessTree(child.pid);
    this.#outputs = { stdout: new Output(child.stdout), stderr: new Output(child.stderr) };
    this.ended = once(child, "close").then((values) => {
      const [code, signal] = values as [number | null, NodeJS.Signals | null];
      return { code, signal };
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** All that was printed to standard output until now; lines end with a line feed. */
  get stdout(): string {
    return this.#outputs.stdout.lines.map((line) => `${line}\n`).join("");
  }

  get stderr(): string {
    return this.#outputs.stderr.lines.map((line) => `${line}\n`).join("");
  }

  /**
   * Waits for the next line of that stream that matches, behind the line that this call found the
   * last time. Rejects with all output where the stream ends first.
   */
  async line(pattern: RegExp, from: OutputName = "stdout"): Promise<RegExpExecArray> {
    const match = await this.#outputs[from].next(pattern);
    this.#tree.look(); // whoever was started until now is found again without its parent
    if (match === null) throw new Error(`no line of ${from} matched ${pattern}\n${this.report()}`);
    return match;
  }

  /** Sends a signal to this process alone; false where it has ended. */
  signal(name: NodeJS.Signals): boolean {
    this.#tree.look();
    return this.#child.kill(name);
  }

  /** Reads what it prints no longer: it writes into a pipe that nobody holds. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  /** Numbers of the processes that descend from this one and live, itself not among them. */
  descendants(): number[] {
    return this.#tree
      .look()
      .map(({ pid }) => pid)
      .filter((pid) => pid !== this.pid);
  }

  /** Kills the process and all that descends from it, as kill -9 does; resolves when it is so. */
  async killTree(): Promise<ProcessEnd> {
    this.#tree.kill();
    const end = await this.ended;
    // Others than our own child give no event: their end is read from the system's table.
    while (this.#tree.look().length > 0) await new Promise((resolve) => setImmediate(resolve));
    return end;
  }

  /** Kills without waiting: for the end of the test process itself. */
  killNow(): void {
    this.#tree.kill();
  }

  /** The command and the last lines of its output, for a person. */
  report(): string {
    const tail = (name: OutputName) =>
      this.#outputs[name].lines.slice(-shownLines).map((line) => `  ${name}: ${line}`);
    return [this.#title, ...tail("stdout"), ...tail("stderr")].join("\n");
  }
}

const running = new Set<TestProcess>();

async function reap(started: TestProcess): Promise<void> {
  await started.killTree();
  running.delete(started);
}

// The file that imports this: processes of beforeAll live as long as its tests.
afterAll(async () => {
  await Promise.all([...running].map(reap));
});
process.on("exit", () => {
  for (const started of running) started.killNow();
});

/** Starts a script (a path) on this Node, in a process group of its own, with pipes. */
export function startProcess(
  script: string,
  args: readonly string[] = [],
  options: StartOptions = {},
): TestProcess {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: options.cwd,
    env: { ...environment(), ...options.env },
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const started = new TestProcess(child, [script, ...args].join(" "));
  running.add(started);
  if (isInTest()) {
    onTestFinished(() => reap(started));
    onTestFailed(() => console.error(started.report()));
  }
  return started;
}

/** Starts `orrery` with these arguments, through its launcher, as a user does. */
export function startOrrery(args: readonly string[], options: StartOptions = {}): TestProcess {
  return startProcess(launcher, args, options);
}

const givenPorts = new Set<number>();

/** A TCP port of the loopback interface that was free a moment ago; never the same one twice. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    if (givenPorts.has(port)) continue;
    givenPorts.add(port);
    return port;
  }
}

function isInTest(): boolean {
  return TestRunner.getCurrentTest() !== undefined;
}

/** What a user's shell would give: nothing of the test runner's, no settings of Orrery. */
function environment(): NodeJS.ProcessEnv {
  const given = Object.entries(process.env);
  const foreign = /^(?:VITEST|ORRERY_|NODE_ENV$|NODE_OPTIONS$|TEST$)/;
  return Object.fromEntries(given.filter(([name]) => !foreign.test(name)));
}
