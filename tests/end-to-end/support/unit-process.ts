// Unit process: `orrery unit` as a process of its own, and what can be asked of it from outside.
// Owns: starting it, waiting until it serves, its metrics. Does not own: its end (processes.ts).
import { startOrrery, type TestProcess } from "../../support/processes.ts";

export interface RunningUnit {
  readonly process: TestProcess;
  readonly url: string;
}

/** Starts a unit on the loopback interface; resolves when it serves. */
export async function startUnit(...flags: string[]): Promise<RunningUnit> {
  const started = startOrrery(["unit", ...flags]);
  const [, url = ""] = await started.line(/^serving (http:\S+)$/);
  return { process: started, url };
}

/**
 * A metric of the unit: of all its lanes together, and of all its labels; a second or two old.
 * null: the unit has not looked at its lanes yet.
 */
export async function metricOf(url: string, name: string): Promise<number | null> {
  const answer = await fetch(`${url}/metrics`);
  const lines = (await answer.text()).split("\n");
  const values = lines.filter((line) => new RegExp(`^${name}[ {]`).test(line));
  if (values.length === 0) return null;
  return values.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** For `until`: null when every partition serves. */
export async function notReady(url: string): Promise<string | null> {
  const answer = await fetch(`${url}/readyz`);
  return answer.status === 200 ? null : await answer.text();
}

/** For `until`: null when the database has all that is journaled, as far as the unit knows. */
export async function notWritten(url: string): Promise<string | null> {
  const backlog = await metricOf(url, "orrery_backlog_records");
  return backlog === 0 ? null : `the backlog is ${String(backlog)}`;
}
