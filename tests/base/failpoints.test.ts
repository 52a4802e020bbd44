// Goal: a failpoint ends or freezes the process at the named place, at the time that was asked for,
// and does nothing where none is armed. Method: a process of its own that comes by ten times.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { failpoint, failpointEnvironment } from "../../src/base/failpoints.ts";
import { until } from "../end-to-end/support/until.ts";
import { startProcess } from "../support/processes.ts";

const program = fileURLToPath(new URL("./failpoint-process.ts", import.meta.url));

test("kill: the process dies there, at that time", async () => {
  const env = failpointEnvironment({ name: "pump.write", does: "kill", time: 4 });
  const child = startProcess(program, [], { env });
  expect(await child.ended).toEqual({ code: null, signal: "SIGKILL" });
  expect(child.stdout).toMatch(/at 4\n$/);
});

test("stop: the process stands there until it is resumed", async () => {
  const env = failpointEnvironment({ name: "log.trim", does: "stop", time: 2 });
  const child = startProcess(program, [], { env });
  await child.line(/^at 2$/);
  await until("it stands", () => {
    const state = readFileSync(`/proc/${String(child.pid)}/stat`, "utf8").split(") ")[1]?.[0];
    return Promise.resolve(state === "T" ? null : `state ${String(state)}`);
  });
  expect(child.stdout).toMatch(/at 2\n$/);
  child.signal("SIGCONT");
  await child.line(/^over$/);
});

test("unarmed, nothing happens", async () => {
  failpoint("log.append");
  expect(await startProcess(program).ended).toEqual({ code: 0, signal: null });
});
