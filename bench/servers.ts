// Servers: what is measured runs in processes of its own, started fresh and ended by us.
// Owns: starting, waiting until one serves, stopping. Does not own: what they serve.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Server {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

// As users start it: the launcher says how some libraries are to be used.
const unitProgram = fileURLToPath(new URL("../bin/orrery.cjs", import.meta.url));
const bareProgram = fileURLToPath(new URL("./bare-server-process.ts", import.meta.url));
const shownLines = 20;

// Whatever happens to this process, the servers end with it.
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** The server that does nothing. */
export function startBare(): Promise<Server> {
  return start(bareProgram, []);
}

export interface UnitServerOptions {
  readonly store: string;
  readonly campaigns: string;
  readonly data: string;
  /** A folder for profiles of its threads, which are there once it has stopped. */
  readonly profiles?: string;
}

/** Between samples of a profile. */
const sampleUs = 500;

/** A processing unit with one lane and no database. */
export function startUnit(options: UnitServerOptions): Promise<Server> {
  const { store, campaigns, data, profiles } = options;
  const fixed = ["--lanes", "1", "--database", "none:", "--port", "0", "--log-level", "warn"];
  const given = ["--store", store, "--campaigns", campaigns, "--data", data];
  const profiling =
    profiles === undefined
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${String(sampleUs)}`];
  return start(unitProgram, ["unit", ...fixed, ...given], profiling);
}

/** Starts a program that says `serving URL` when it serves. Rejects with what it said instead. */
async function start(
  program: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): Promise<Server> {
  const child = spawn(process.execPath, [...nodeOptions, program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment(),
  });
  running.add(child);
  const ended = once(child, "close").then(() => running.delete(child));
  const lines: string[] = [];
  const url = await new Promise<string | null>((resolve) => {
    const hear = (line: string) => {
      lines.push(line);
      if (lines.length > shownLines) lines.shift();
      const match = /^serving (http:\S+)$/.exec(line);
      if (match !== null) resolve(match[1] ?? null);
    };
    createInterface({ input: child.stdout }).on("line", hear);
    createInterface({ input: child.stderr }).on("line", hear);
    void ended.then(() => {
      resolve(null);
    });
  });
  if (url === null || child.pid === undefined) {
    throw new Error(`${program} ended before it served:\n${lines.join("\n")}`);
  }
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { pid: child.pid, url, stop };
}

/** Settings of the user's own shell must not change what is measured. */
function environment(): NodeJS.ProcessEnv {
  const given = Object.entries(process.env).filter(([name]) => !name.startsWith("ORRERY_"));
  return Object.fromEntries(given);
}
