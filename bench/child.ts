// Child: a program in a process of its own, that ends with this one.
// Owns: starting it, what it printed, its end. Does not own: what it does.
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface ChildOptions {
  readonly cwd?: string;
  /** Node's own arguments. */
  readonly nodeArguments?: readonly string[];
}

export interface ChildEnd {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of this tree, set up as the launcher sets up a unit (bin/orrery.cjs). */
export async function runChild(
  program: string,
  programArguments: readonly string[],
  { cwd, nodeArguments = [] }: ChildOptions = {},
): Promise<ChildEnd> {
  const child = spawn(process.execPath, [...nodeArguments, program, ...programArguments], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true" },
    ...(cwd !== undefined && { cwd }),
  });
  const kill = () => child.kill("SIGTERM");
  // Before others remove the folder in which it works.
  process.prependListener("exit", kill);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  process.off("exit", kill);
  return { code, stdout, stderr };
}
