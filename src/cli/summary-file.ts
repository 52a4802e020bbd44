// Summary file: where `--json` writes at the end of a run.
// Owns: finding out at the start whether that will be possible. Does not own: what is written.
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Throws the system's error where the file cannot be written; what lies there stays. */
export function prepareSummary(path: string | undefined): void {
  if (path === undefined) return;
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, "a"));
}

/** Writes it where one is asked for. */
export function writeSummary(path: string | undefined, summary: object): void {
  if (path !== undefined) writeFileSync(path, `${JSON.stringify(summary, null, 2)}\n`);
}
