// Runs dependency-cruiser and checks that it looked at all: with a compiler that it does not know
// it sees no modules, and calls that a success.
// Owns: the comparison of what it saw with what is on disk. The rules: .dependency-cruiser.mjs.
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "./repository-files.ts";

const FOLDERS = ["src", "bench", "tests"];
const CRUISER = join(repositoryRoot, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs");

interface CruiseResult {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

/** Problems of the tree below `root`: `rule: from → to`, and modules that were not looked at. */
export async function importProblems(root: string): Promise<string[]> {
  const config = join(repositoryRoot, ".dependency-cruiser.mjs");
  const args = [CRUISER, "--config", config, "--output-type", "json", "."];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  const { modules, summary } = JSON.parse(stdout) as CruiseResult;
  return [
    ...summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`),
    ...unseen(new Set(modules.map(({ source }) => source)), modulesOnDisk(root)),
  ];
}

/** The modules on disk that a checker has not seen. No modules at all is a problem as well. */
export function unseen(seen: ReadonlySet<string>, onDisk: readonly string[]): string[] {
  if (onDisk.length === 0) return ["there are no modules to look at"];
  return onDisk.filter((path) => !seen.has(path)).map((path) => `not looked at: ${path}`);
}

function modulesOnDisk(root: string): string[] {
  return FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .map((path) => `${folder}/${path.replaceAll("\\", "/")}`)
      .filter((path) => path.endsWith(".ts")),
  );
}
