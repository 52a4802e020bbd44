// The modules of the engine that one module loads when it is run, itself included.
// Owns: how imports are read from the text. Does not own: what a list of modules should be.
// Types are erased before anything is loaded, so imports of types alone do not count.
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { repositoryRoot } from "./repository-files.ts";

const importForm = /^(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?"(\.[^"]+)"/gm;

/** Paths from the root of the repository, sorted. */
export function modulesOf(entry: string): string[] {
  const known = new Set<string>();
  const visit = (path: string): void => {
    if (known.has(path)) return;
    known.add(path);
    if (!path.endsWith(".ts")) return;
    const text = readFileSync(`${repositoryRoot}${path}`, "utf8");
    for (const [, target = ""] of text.matchAll(importForm)) {
      visit(posix.join(posix.dirname(path), target));
    }
  };
  visit(entry);
  return [...known].sort();
}
