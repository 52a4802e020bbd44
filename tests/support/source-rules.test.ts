// Goal: each house rule about source text can fail. Method: one planted violation per rule, and
// beside it the nearest text that keeps the rule.
import { describe, expect, test } from "vitest";
import { leftoverNote, nameProblem, sourceProblems } from "./source-rules.ts";

const HEADER = "// Owns: nothing.\n";

function problems(path: string, body: string): string {
  return sourceProblems({ path, text: HEADER + body }).join("\n");
}

function lines(count: number): string {
  return "x();\n".repeat(count);
}

describe("a banned call is found, with what replaces it", () => {
  test.each([
    ["const at = Date.now();", "Date.now is banned here: use the clock"],
    ["const at = new Date();", "new Date() is banned here: use the clock"],
    ["const at = Date();", "Date() is banned here: use the clock"],
    ["const at = performance.now();", "performance.now is banned here: use the clock"],
    ["const at = globalThis.performance.now();", "performance.now is banned here"],
    ["const at = process.hrtime.bigint();", "process.hrtime is banned here: use the clock"],
    ["const dice = Math.random;", "Math.random is banned here: use the random source"],
    ["const id = crypto.randomUUID();", "crypto.randomUUID is banned here: use the ids"],
    ['import { randomUUID } from "node:crypto";', "randomUUID is banned here: use the ids"],
    ["setTimeout(done, 5);", "setTimeout is banned here: use the timers"],
    ["setInterval(done, 5);", "setInterval is banned here: use the timers"],
    ["setImmediate(done);", "setImmediate is banned here: use the timers"],
    ["globalThis.setTimeout(done, 5);", "setTimeout is banned here: use the timers"],
    ["const timers = { setTimeout };", "setTimeout is banned here: use the timers"],
    ["process.nextTick(done);", "process.nextTick is banned here: use the timers"],
    ["fetch(url, { signal: AbortSignal.timeout(5) });", "AbortSignal.timeout is banned here"],
    ['import { after } from "node:timers/promises";', "import of timers/promises is banned here"],
  ])("%s", (body, problem) => {
    expect(problems("src/grid/some-module.ts", body)).toContain(problem);
  });

  test.each([
    "const shown = new Date(recordTimeMs).toISOString();",
    "const timer = port.setTimeout(done, 5);",
    "interface Port { setTimeout(done: () => void): void }",
    'const text = "Date.now() and setTimeout(";',
    "// Date.now() would differ on replay.",
  ])("not a banned call: %s", (body) => {
    expect(problems("src/grid/some-module.ts", body)).toBe("");
  });

  test.each(["src/base/clock.ts", "src/report/page.ts", "src/bidding-demo/page/live.ts"])(
    "%s may use the system's",
    (path) => {
      expect(problems(path, "setTimeout(done, Date.now());")).toBe("");
    },
  );
});

describe("a hole in the types and an exemption are found", () => {
  test.each([
    ["const x = y as any;", "a cast to any"],
    ["const x = y as unknown as Lane;", "a cast through unknown"],
    ["const x = (y as unknown) as Lane;", "a cast through unknown"],
    ["// eslint-disable-next-line no-console\nrun();", "an exemption"],
    ["// @ts-ignore\nrun();", "an exemption"],
    ["run(/* @ts-expect-error */ 1);", "an exemption"],
    ["run(); // @ts-nocheck", "an exemption"],
    ["// prettier-ignore\nrun();", "an exemption"],
  ])("%s", (body, problem) => {
    expect(problems("bench/scenario.ts", body)).toContain(problem);
  });

  test.each(["const x: unknown = y as unknown;", 'const text = "@ts-ignore as any";'])(
    "none in: %s",
    (body) => {
      expect(problems("bench/scenario.ts", body)).toBe("");
    },
  );
});

describe("a note about work left for later is found", () => {
  test.each(["// TODO: later", "run(/* FIXME */);", "/** XXX */"])("%s", (body) => {
    expect(problems("src/grid/some-module.ts", body)).toContain("do it, or write an issue");
  });
  test("in a document as well", () => {
    expect(leftoverNote("Some text.\nTODO: more.")).toContain("TODO");
    expect(leftoverNote("Todo lists are not notes.")).toBeUndefined();
  });
});

describe("lengths", () => {
  test("a file has at most 500 lines", () => {
    expect(problems("src/grid/some-module.ts", lines(500))).toContain("501 lines");
    expect(problems("src/grid/some-module.ts", lines(499))).toBe("");
  });

  test.each([
    ["function long() {\n", "}"],
    ["const long = () => {\n", "};"],
    ["class Long {\nlong() {\n", "}\n}"],
    ["class Long {\nconstructor() {\n", "}\n}"],
    ['test("R1: long", () => {\n', "});"],
  ])("a function has less than 70 lines: %s", (start, end) => {
    expect(problems("tests/long.test.ts", start + lines(68) + end)).toContain("of 70 lines");
    expect(problems("tests/long.test.ts", start + lines(67) + end)).toBe("");
  });

  test("a function that declares tests is as long as they are", () => {
    const tests = 'test("R1: x", run);\n'.repeat(80);
    expect(problems("tests/long.test.ts", `describe("all", () => {\n${tests}});`)).toBe("");
    expect(problems("tests/contract.ts", `function contract() {\n${tests}}`)).toBe("");
    const long = `test("R1: x", () => {\n${lines(80)}});\n`;
    expect(problems("tests/long.test.ts", `describe("all", () => {\n${long}});`)).toContain(
      "of 82",
    );
  });

  test("a comment has at most 100 characters a line", () => {
    expect(problems("src/grid/some-module.ts", `// ${"x".repeat(97)}`)).toBe("");
    expect(problems("src/grid/some-module.ts", `// ${"x".repeat(98)}`)).toContain(
      "longer than 100",
    );
  });
});

describe("tests", () => {
  test.each([
    ['test.skip("R1: x", run);', ".skip:"],
    ['test.only("R1: x", run);', ".only:"],
    ['describe.only("x", run);', ".only:"],
    ['test.todo("R1: x");', ".todo:"],
    ['test.concurrent.skip("R1: x", run);', ".skip:"],
    ["await new Promise((resolve) => setTimeout(resolve, 100));", "never for time"],
    ["await sleep(100);", "never for time"],
    ["await lab.sleep(soon);", "never for time"],
    ["await delay(100);", "never for time"],
    ["await delay(systemTimers, 100);", "never for time"],
  ])("%s", (body, problem) => {
    expect(problems("tests/some.test.ts", body)).toContain(problem);
  });

  test.each([
    'test.skipIf(chromium === undefined)("R1: x", run);',
    "await delay(simulation.timers, 100);",
    "queue.skip(1);",
  ])("allowed: %s", (body) => {
    expect(problems("tests/some.test.ts", body)).toBe("");
  });
});

test("a file without a comment at its head is found", () => {
  const text = 'import fs from "node:fs";\n';
  expect(sourceProblems({ path: "src/grid/a.ts", text }).join()).toContain("begin with a comment");
  expect(sourceProblems({ path: "src/grid/a.ts", text: `/** Owns. */\n${text}` })).toEqual([]);
});

test("a name that is not kebab-case is found", () => {
  for (const name of ["LaneLoop.ts", "lane_loop.ts", "lane--loop.ts", "laneLoop.test.ts"]) {
    expect(nameProblem(`src/grid/${name}`)).toContain("kebab-case");
  }
  for (const name of ["lane.ts", "lane-loop.ts", "page.chromium.test.ts", "README.md"]) {
    expect(nameProblem(`src/grid/${name}`)).toBeUndefined();
  }
});
