// Trees: revisions of this repository, each in a folder of its own, to be run side by side.
// Owns: making the folders. Does not own: what is run in them (compare.ts), removing them.
// Each tree is a copy, the working tree's too: what is edited meanwhile changes none of them.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { failed, ok, type Outcome } from "../src/base/failure.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** How the working tree is called. */
const workingTree = ".";

export interface Tree {
  /** As the user calls it. */
  readonly name: string;
  readonly folder: string;
  readonly commit: string;
  /** It was made for other packages than those that are installed. */
  readonly hasOtherPackages: boolean;
}

/**
 * Puts a revision, or `.`: the working tree as it is now, below `folder`. The packages are those
 * that are installed here. Fails with CONFIG_INVALID (terminal) where there is no such revision.
 */
export function makeTree(revision: string, folder: string): Outcome<Tree> {
  const commit = commitOf(revision === workingTree ? "HEAD" : revision);
  if (commit === null) {
    return failed("CONFIG_INVALID", `there is no revision ${revision}: name a commit, or .`);
  }
  if (revision === workingTree) copyWorkingTree(folder);
  else {
    git(root, "clone", "--quiet", "--shared", "--no-checkout", root, folder);
    git(folder, "checkout", "--quiet", "--detach", commit);
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const short = commit.slice(0, 10);
  return ok({
    name: revision,
    folder,
    commit: revision === workingTree ? `${short} and the working tree` : short,
    hasOtherPackages: packagesOf(folder) !== packagesOf(root),
  });
}

function commitOf(revision: string): string | null {
  try {
    // Not an option of git's, whatever it is called.
    return git(
      root,
      "rev-parse",
      "--verify",
      "--quiet",
      "--end-of-options",
      `${revision}^{commit}`,
    );
  } catch {
    return null;
  }
}

/** What git would see of it: tracked files and new ones, nothing that is ignored. */
function copyWorkingTree(folder: string): void {
  const listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z");
  for (const path of new Set(listed.split("\0"))) {
    const file = join(root, path);
    if (path === "" || !existsSync(file) || lstatSync(file).isDirectory()) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(file, join(folder, path));
  }
}

function packagesOf(folder: string): string {
  const file = join(folder, "package-lock.json");
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function git(cwd: string, ...args: readonly string[]): string {
  const limits = { encoding: "utf8", maxBuffer: 2 ** 26 } as const;
  return execFileSync("git", args, { cwd, ...limits, stdio: ["ignore", "pipe", "pipe"] }).trim();
}
