// Goal: each rule about invariants can fail, in both directions. Method: a small document with two
// files that keep all rules, then one change at a time.
import { expect, test } from "vitest";
import { invariantProblems } from "./invariant-rules.ts";

const document = `# Invariants
## The log
### L1. One loop mutates a partition
Text.

Enforced by: tests/lane.test.ts, \`src/lane.ts\` (asserted in attach, and elsewhere)
### L2. No gaps
Enforced by: tests/lane.test.ts.
`;
const module = {
  path: "src/lane.ts",
  text: `// Lane loop. Uses V8 and SHA2, which are no ids.
// Invariants (docs/invariants.md):
//   L1. Exactly one loop mutates a partition. Not L9.
//   L2. No gaps; L7 is not cited here.
import { P9 } from "./p.ts"; // P9. Not in the header.
`,
};
const tests = {
  path: "tests/lane.test.ts",
  text: '// Goal.\ntest("L1: one loop", run);\ntest.each([1])("L2: no gap %d", run);\n',
};

test("a document and files that fit have no problems", () => {
  expect(invariantProblems(document, [module, tests])).toEqual([]);
  expect(invariantProblems("# Invariants\n", [{ path: "src/a.ts", text: "// Owns.\n" }])).toEqual(
    [],
  );
});

test.each([
  "// Invariants (docs/invariants.md): L1, L3.\n",
  "// Keeps (docs/invariants.md) L3\n",
  "// Invariants (docs/invariants.md):\n//   L3. Some.\n",
  "/**\n * Invariants (docs/invariants.md):\n * - L1 and L3: some.\n */\n",
])("an id that a header cites and nothing defines is found: %j", (text) => {
  const other = { path: "src/other.ts", text };
  expect(invariantProblems(document, [module, tests, other])).toEqual([
    "src/other.ts: cites L3, unknown to docs/invariants.md",
  ]);
});

test.each([
  'test("L3: some", run);',
  'test.each(table)("L3: some", run);',
  'test(\n  "L3: some",\n  run,\n);',
  'describe("L1, L3: some", run);',
])("an id that a test's title cites and nothing defines is found: %j", (title) => {
  const other = { path: "tests/other.test.ts", text: `// Goal.\n${title}\n` };
  expect(invariantProblems(document, [module, tests, other])).toEqual([
    "tests/other.test.ts: cites L3, unknown to docs/invariants.md",
  ]);
});

test("an invariant without enforcement is found", () => {
  const more = `${document}### L3. Nothing enforces this\nText.\n### L4. Nor this\n`;
  expect(invariantProblems(more, [module, tests])).toEqual([
    'docs/invariants.md: L3 has no "Enforced by" line',
    'docs/invariants.md: L4 has no "Enforced by" line',
  ]);
});

test("a named file that is not there, or does not cite the id, is found", () => {
  expect(invariantProblems(document, [tests])).toEqual([
    "docs/invariants.md: L1: there is no src/lane.ts",
  ]);
  const silent = { path: "src/lane.ts", text: "// Lane loop.\n" };
  expect(invariantProblems(document, [silent, tests])).toEqual([
    "docs/invariants.md: L1: src/lane.ts does not cite it",
  ]);
});

test("a heading that is no invariant, and one that stands twice, are found", () => {
  const twice = `${document}### L1. Again\n### Something else\n`;
  expect(invariantProblems(twice, [module, tests])).toEqual([
    "docs/invariants.md: L1 is defined twice",
    'docs/invariants.md: not of the form "### L1. Title": ### Something else',
  ]);
});
