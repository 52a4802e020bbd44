// A program for processes.test.ts: prints its arguments, and does what its standard input says.
// child: starts a process of its own; orphan: starts one in a session of its own. Both print
// their number and live for an hour.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

console.log(`arguments ${process.argv.slice(2).join(" ")}`);
console.error(`runner ${process.env["VITEST"] ?? "none"} given ${process.env["GIVEN"] ?? "none"}`);
process.on("SIGTERM", () => {
  console.log("asked to stop");
});

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  if (line === "child" || line === "orphan") {
    const program = `console.log("${line} " + process.pid); setInterval(() => {}, 3600_000);`;
    const stdio: ["ignore", "inherit", "inherit"] = ["ignore", "inherit", "inherit"];
    spawn(process.execPath, ["-e", program], { stdio, detached: line === "orphan" });
  } else if (line.startsWith("exit ")) {
    process.exit(Number(line.slice("exit ".length)));
  } else {
    console.log(`heard ${line}`);
  }
});
