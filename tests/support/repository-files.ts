// The files of the repository, as the rules about them need them.
// Owns: where the repository is, and which files count as its own.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** A file with its path from the root of the repository, with slashes. */
export interface RepositoryFile {
  readonly path: string;
  readonly text: string;
}

export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

/** Not the repository's own: what is installed, made by a run, or kept by git. */
const IGNORED = new Set([".git", "coverage", "data", "node_modules"]);

/** Paths of all files of the repository, sorted. */
export function repositoryPaths(): string[] {
  const own = readdirSync(repositoryRoot).filter((name) => !IGNORED.has(name));
  return own
    .flatMap((name) => {
      if (!statSync(`${repositoryRoot}${name}`).isDirectory()) return [name];
      return readdirSync(`${repositoryRoot}${name}`, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(repositoryRoot, join(entry.parentPath, entry.name)));
    })
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
}

/** The files whose path matches. */
export function repositoryFiles(pattern: RegExp): RepositoryFile[] {
  return repositoryPaths()
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, text: readFileSync(`${repositoryRoot}${path}`, "utf8") }));
}
