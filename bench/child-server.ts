// Child server: a program that serves as a child of this process, and says in a line that it does.
// Owns: its start, its output, its end. Does not own: what it serves.
// Nothing stays behind: the reaper ends it where this process did not.
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { must } from "../src/base/assert.ts";
import { Reaper } from "../src/faults/reaper.ts";

const shownLines = 20;

export class ChildServer {
  readonly pid: number;
  /** What the line that it serves said. */
  readonly said: RegExpExecArray;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #reaper: Reaper;

  private constructor(
    said: RegExpExecArray,
    child: ChildProcess,
    ended: Promise<void>,
    reaper: Reaper,
  ) {
    this.pid = must(child.pid, "a process that runs has a number");
    this.said = said;
    this.#child = child;
    this.#ended = ended;
    this.#reaper = reaper;
  }

  /** Resolves with the first line that `serves` fits. Rejects with what it said where it ended. */
  static async start(
    program: string,
    args: readonly string[],
    serves: RegExp,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ChildServer> {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    const reaper = new Reaper();
    if (child.pid !== undefined) reaper.add(child.pid);
    const lines: string[] = [];
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    child.on("error", (error) => {
      lines.push(error.message);
      end();
    });
    child.on("close", end);
    const said = await new Promise<RegExpExecArray | null>((resolve) => {
      const hear = (line: string) => {
        lines.push(line);
        if (lines.length > shownLines) lines.shift();
        const match = serves.exec(line);
        if (match !== null) resolve(match);
      };
      createInterface({ input: child.stdout }).on("line", hear);
      createInterface({ input: child.stderr }).on("line", hear);
      void ended.then(() => {
        resolve(null);
      });
    });
    if (said === null) {
      await reaper.close();
      throw new Error(`${program} ended before it served:\n${lines.join("\n")}`);
    }
    return new ChildServer(said, child, ended, reaper);
  }

  /** Ends it at once: nobody needs what it holds. */
  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
    this.#reaper.remove(this.pid);
    await this.#reaper.close();
  }
}
