// Goal: each import rule can fail, and a checker that saw nothing is a failure.
// Method: the real rules over small trees made for the test, with a planted violation per rule.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { importProblems, unseen } from "./import-directions.ts";
import { repositoryRoot } from "./repository-files.ts";

const trees: string[] = [];

afterEach(() => {
  for (const tree of trees.splice(0)) rmSync(tree, { recursive: true });
});

interface Tree {
  /** Path → text. */
  readonly files: Record<string, string>;
  readonly dependencies?: readonly string[];
  readonly devDependencies?: readonly string[];
  /** Installed, but not declared in package.json. */
  readonly undeclared?: readonly string[];
}

/** Makes a repository of its own and returns its folder. */
function makeTree({
  files,
  dependencies = [],
  devDependencies = [],
  undeclared = [],
}: Tree): string {
  const root = mkdtempSync(join(tmpdir(), "orrery-imports-"));
  trees.push(root);
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  for (const name of [...dependencies, ...devDependencies, ...undeclared]) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: "index.js" }));
    write(`node_modules/${name}/index.js`, "");
  }
  const versions = (names: readonly string[]): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, "1.0.0"]));
  const manifest = {
    type: "module",
    dependencies: versions(dependencies),
    devDependencies: versions(devDependencies),
  };
  write("package.json", JSON.stringify(manifest));
  cpSync(join(repositoryRoot, "tsconfig.json"), join(root, "tsconfig.json"));
  return root;
}

const folders = [
  "base",
  "grid",
  "messaging-grid",
  "data-pump",
  "processing-units",
  "load",
  "report",
];
const leaves = Object.fromEntries(
  [...folders, "bidding-demo", "lab", "cli"].map((name) => [`src/${name}/a.ts`, "export {};"]),
);

test("imports that go the right way have no problems", async () => {
  const files = {
    ...leaves,
    "src/grid/stores/lmdb-store.ts": 'import "lmdb";\nimport "../../base/a.ts";',
    "src/lab/b.ts": 'import "../bidding-demo/a.ts";\nimport "../load/a.ts";\nimport "./a.ts";',
    "src/base/b.ts": 'import type { T } from "types-only";\nexport type U = T;',
    "bench/main.ts": 'import "../src/lab/a.ts";',
    "tests/a.test.ts": 'import "../bench/main.ts";\nimport "../src/cli/a.ts";\nimport "lmdb";',
  };
  const root = makeTree({ files, dependencies: ["lmdb"], devDependencies: ["types-only"] });
  expect(await importProblems(root)).toEqual([]);
});

test("an import that goes another way is found", async () => {
  const planted: [path: string, imported: string, rule: string][] = [
    ["src/base/b.ts", "../grid/a.ts", "src-base-imports-one-way"],
    ["src/grid/b.ts", "../processing-units/a.ts", "src-grid-imports-one-way"],
    ["src/messaging-grid/b.ts", "../data-pump/a.ts", "src-messaging-grid-imports-one-way"],
    ["src/data-pump/b.ts", "../messaging-grid/a.ts", "src-data-pump-imports-one-way"],
    ["src/processing-units/b.ts", "../report/a.ts", "src-processing-units-imports-one-way"],
    ["src/load/b.ts", "../report/a.ts", "src-load-imports-one-way"],
    ["src/bidding-demo/b.ts", "../lab/a.ts", "src-bidding-demo-imports-one-way"],
    ["src/lab/b.ts", "../cli/a.ts", "src-lab-imports-one-way"],
    ["src/cli/b.ts", "../../bench/a.ts", "src-cli-imports-one-way"],
    ["bench/b.ts", "../src/cli/a.ts", "bench-not-tests"],
    ["src/unknown/b.ts", "../base/a.ts", "known-folder"],
    ["src/grid/c.ts", "lmdb", "only-here-lmdb"],
    ["src/cli/c.ts", "postgres", "only-here-postgres"],
    ["src/grid/d.ts", "ws", "only-here-ws"],
    ["src/bidding-demo/c.ts", "fastify", "only-here-fastify"],
    ["src/grid/e.ts", "./nowhere.ts", "resolvable"],
    ["src/grid/f.ts", "undeclared", "declared-package"],
    ["src/grid/g.ts", "tool", "no-development-package"],
  ];
  const files: Record<string, string> = { ...leaves, "bench/a.ts": "export {};" };
  for (const [path, imported] of planted) files[path] = `import "${imported}";`;
  const problems = await importProblems(
    makeTree({
      files,
      dependencies: ["lmdb", "postgres", "ws", "fastify"],
      devDependencies: ["tool"],
      undeclared: ["undeclared"],
    }),
  );
  const found = problems.map((problem) => problem.replace(/ → .*$/, ""));
  expect(found.sort()).toEqual(planted.map(([path, , rule]) => `${rule}: ${path}`).sort());
});

test("types count: importing only a type is importing", async () => {
  const body = 'import type { A } from "../grid/b.ts";\nexport type B = A;';
  const files = { "src/grid/b.ts": "export type A = 1;", "src/base/b.ts": body };
  expect(await importProblems(makeTree({ files }))).toEqual([
    "src-base-imports-one-way: src/base/b.ts → src/grid/b.ts",
  ]);
});

test("a cycle is found", async () => {
  const files = { "src/base/a.ts": 'import "./b.ts";', "src/base/b.ts": 'import "./a.ts";' };
  const problems = await importProblems(makeTree({ files }));
  expect(problems.filter((problem) => problem.startsWith("no-cycle: "))).not.toEqual([]);
});

test("a checker that saw too little is a failure", () => {
  expect(unseen(new Set(), ["src/a.ts"])).toEqual(["not looked at: src/a.ts"]);
  expect(unseen(new Set(["src/a.ts"]), ["src/a.ts", "src/b.ts"])).toEqual([
    "not looked at: src/b.ts",
  ]);
  expect(unseen(new Set(), [])).toEqual(["there are no modules to look at"]);
});
