// Goal: the whole repository keeps the house rules (docs: CONTRIBUTING.md). Method: the rules of
// tests/support, each shown there able to fail, over every file; a list of problems is the message.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { importProblems } from "./support/import-directions.ts";
import { invariantProblems } from "./support/invariant-rules.ts";
import { lockProblems, manifestProblems } from "./support/package-rules.ts";
import type { PackageLock, PackageManifest } from "./support/package-rules.ts";
import { repositoryFiles, repositoryPaths, repositoryRoot } from "./support/repository-files.ts";
import { leftoverNote, nameProblem, sourceProblems } from "./support/source-rules.ts";

const SOURCES = /^(?:src|bench|tests)\/.*\.ts$|^[^/]+\.ts$/;

const manifest = JSON.parse(readText("package.json")) as PackageManifest;

function readText(path: string): string {
  return readFileSync(`${repositoryRoot}${path}`, "utf8");
}

test("calls, types, comments, tests, lengths and headers keep the rules", () => {
  const files = repositoryFiles(SOURCES);
  // A pattern that matches nothing would keep every rule.
  expect(files.map(({ path }) => path)).toContain("tests/house-rules.test.ts");
  expect(files.flatMap(sourceProblems)).toEqual([]);
});

test("file names are kebab-case", () => {
  const paths = repositoryPaths().filter((path) => /^(?:src|bench|tests|bin)\//.test(path));
  expect(paths.flatMap((path) => nameProblem(path) ?? [])).toEqual([]);
});

test("documents and scripts have no note about work left for later", () => {
  const files = repositoryFiles(/\.(?:md|js|mjs|cjs|html|css)$|^\.ci\//);
  const problems = files.flatMap(({ path, text }) => {
    const note = leftoverNote(text);
    return note === undefined ? [] : [`${path}: ${note}`];
  });
  expect(problems).toEqual([]);
});

test("packages have exact versions, none of them known to be unsafe", () => {
  const lock = JSON.parse(readText("package-lock.json")) as PackageLock;
  expect(Object.keys(lock.packages)).toContain("node_modules/fastify");
  expect([...manifestProblems(manifest), ...lockProblems(lock)]).toEqual([]);
});

test("the tests run on the Node that the program runs on", () => {
  expect(Object.values(manifest.optionalDependencies ?? {})).toContain(process.versions.node);
});

test("imports go one way, in every module", async () => {
  expect(await importProblems(repositoryRoot)).toEqual([]);
});

test("invariants that are cited are defined, and those that are defined are enforced", () => {
  const files = repositoryFiles(/^(?:src|tests)\/.*\.ts$/).filter(
    // Their texts are samples.
    ({ path }) => !/^tests\/support\/.*-rules\.test\.ts$/.test(path),
  );
  expect(invariantProblems(readText("docs/invariants.md"), files)).toEqual([]);
});
