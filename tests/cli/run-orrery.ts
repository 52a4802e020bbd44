// Run Orrery: a command that is expected to end by itself. Owns: collecting what it said.
import { expect } from "vitest";
import { startOrrery } from "../support/processes.ts";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Processes that it left behind. */
  readonly left: readonly number[];
}

/** Runs it to its end. */
export async function runOrrery(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const started = startOrrery(args, { env });
  const { code } = await started.ended;
  const { stdout, stderr } = started;
  return { code, stdout, stderr, left: started.descendants() };
}

/** What `runOrrery` gives for a refusal: one line that says `problem`, and nothing left behind. */
export function refusal(code: 1 | 2, problem: RegExp): Ended {
  const line = new RegExp(`^orrery: .*${problem.source}.*\\n$`);
  // What a start had said before it failed is not judged here.
  const matching = expect.stringMatching(line) as string;
  return { code, stdout: expect.any(String) as string, stderr: matching, left: [] };
}
