// The files of the repository, as the rules about them need them.
// Owns: where the repository is, and which files count as its own.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A file with its path from the root of the repository, with slashes. */
export interface RepositoryFile {
  readonly path: string;
  readonly text: string;
}

export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

/** Paths of all files of the repository, whether added to git or not, but not the ignored ones. */
export function repositoryPaths(): string[] {
  const list = execFileSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
    { cwd: repositoryRoot, encoding: "utf8" },
  );
  return list.split("\0").filter((path) => path !== "");
}

/** The files whose path matches. A file that is deleted but still known to git is left out. */
export function repositoryFiles(pattern: RegExp): RepositoryFile[] {
  return repositoryPaths()
    .filter((path) => pattern.test(path))
    .flatMap((path) => {
      const text = readIfThere(`${repositoryRoot}${path}`);
      return text === undefined ? [] : [{ path, text }];
    });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
