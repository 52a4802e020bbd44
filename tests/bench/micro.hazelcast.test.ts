// Goal: what `micro` measures on members is right: each append is journaled once. Method: its
// process with the smallest size, on two members. No figure is judged.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { MicroJob, MicroResult } from "../../bench/micro-process.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { startProcess } from "../support/processes.ts";

const program = fileURLToPath(new URL("../../bench/micro-process.ts", import.meta.url));

const title = hazelcastTitle("log appends on members");
describe.skipIf(hazelcastMissing !== null)(title, () => {
  const patience = { timeout: 600_000 };

  test("micro on members: what is appended is there, one or 32 in flight", patience, async () => {
    const members = await startMembers({ members: 2 });
    const job: MicroJob = {
      group: "logs",
      size: { warmUpMs: 0, sampleMs: 1, samples: 1 },
      campaigns: { few: 100, many: 1000 },
      logs: [{ name: "members", store: members.url, inFlight: [1, 32] }],
    };
    const measured = startProcess(program, [JSON.stringify(job)], { cwd: process.cwd() });
    const [line] = await measured.line(/^\{.*\}$/);
    expect(await measured.ended).toMatchObject({ code: 0 });
    const { figures } = JSON.parse(line) as MicroResult;
    expect(figures.map(({ name }) => name)).toEqual([
      "log append, members, 1 in flight",
      "log append, members, 32 in flight",
    ]);
  });
});
