// Goal: the guard kills a member that hung before it can come back, and no other; a member that is
// asked to stop stops; no member is left without its guard.
// Method: the real guard over a program that answers like a member, as it is told. Limits are small
// here, and long enough that a busy machine does not look like a hung member.
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, onTestFailed, onTestFinished, test, afterAll } from "vitest";
import { memberGuard, missingForGuard } from "../../src/faults/hazelcast-program.ts";
import { Member } from "../../src/faults/member-process.ts";
import { Reaper } from "../../src/faults/reaper.ts";
import { runProgram } from "../../src/faults/run-program.ts";
import { until } from "../end-to-end/support/until.ts";
import { isRunning } from "../support/process-tree.ts";
import { freePort } from "../support/processes.ts";

const fakeMember = fileURLToPath(new URL("./fake-member-process.ts", import.meta.url));
const guardMissing = missingForGuard();

let folder = "";
let fakeJava = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "orrery-guard-"));
  fakeJava = path.join(folder, "java");
  await writeFile(fakeJava, `#!/bin/sh\nexec "${process.execPath}" "${fakeMember}" "$@"\n`);
  await chmod(fakeJava, 0o755);
});
afterAll(() => rm(folder, { recursive: true }));

let members = 0;

/** A guarded fake member, and how it is told things. */
async function startGuarded(environment: Readonly<Record<string, string>>) {
  const reaper = new Reaper();
  const place = { host: "127.0.0.1", port: await freePort(), prefix: [] };
  const member = new Member({
    number: ++members,
    place,
    guarded: true,
    folder,
    environment: { MEMBER_JAVA: fakeJava, MEMBER_PORT: String(place.port), ...environment },
    reaper,
  });
  onTestFinished(async () => {
    await member.destroy();
    await reaper.close();
  });
  onTestFailed(async () => console.error(await member.report()));
  await member.start();
  const ask = (method: string, what: string) =>
    fetch(`http://127.0.0.1:${place.port}/${what}`, { method }).then(() => undefined);
  const tell = (what: string) => ask("POST", what);
  /** Resolves when the guard has asked so often since the last order. */
  const asked = (count: number) => ask("GET", `asked/${count}`);
  /** Resolves when the guard has heard that it is ready: only from then on may it kill. */
  const guarded = () =>
    until("it is guarded", async () => {
      const said = await member.output();
      return said.includes("is ready, and guarded") ? null : said;
    });
  while (member.isRunning && !(await answers(tell))) await new Promise(setImmediate);
  return { member, tell, asked, guarded };
}

async function answers(tell: (what: string) => Promise<undefined>): Promise<boolean> {
  return tell("starting").then(
    () => true,
    () => false, // it does not listen yet
  );
}

/** How many questions are certainly more than the limit apart: ten come in its time. */
const beyondLimit = 12;

describe.skipIf(guardMissing !== null)(
  `guard${guardMissing === null ? "" : ` (skipped: ${guardMissing})`}`,
  () => {
    test("a member that starts slowly is not killed", async () => {
      const { member, asked, tell } = await startGuarded({ GUARD_NOT_READY_MS: "500" });
      await asked(3 * beyondLimit);
      await tell("ready");
      expect(member.isRunning).toBe(true);
    });

    test("a member that is not ready for less than the limit is not killed", async () => {
      const { member, asked, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
      await tell("ready");
      await guarded();
      await tell("unready");
      await asked(2);
      await tell("ready");
      await asked(beyondLimit);
      expect(member.isRunning).toBe(true);
    });

    test.for(["unready", "silent"])("a member that is %s for the limit is killed", async (mode) => {
      const { member, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
      await tell("ready");
      await guarded();
      await tell(mode);
      expect(await member.ended).toEqual({ code: 3, signal: null });
      expect(isRunning(member.pid)).toBe(false);
      const [, notReadyMs] =
        /^member-guard: killed member process \d+: not ready, or standing still, for (\d+) ms$/m.exec(
          await member.output(),
        ) ?? [];
      expect(Number(notReadyMs)).toBeGreaterThanOrEqual(3000);
    });

    test("the only member is not killed, and is again when there are others", async () => {
      const { member, asked, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
      await tell("alone");
      await guarded();
      await tell("unready");
      await asked(2 * beyondLimit);
      expect(member.isRunning).toBe(true);
      expect((await member.output()).match(/not ready, but the only member/g)).toHaveLength(1);
      await tell("ready");
      await asked(beyondLimit); // it has heard that there are others
      await tell("unready");
      expect(await member.ended).toEqual({ code: 3, signal: null });
    });

    test("a member that is frozen alone is killed while it is frozen", async () => {
      const { member, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
      await tell("ready");
      await guarded();
      member.freeze();
      // Nobody wakes it.
      expect(await member.ended).toEqual({ code: 3, signal: null });
      expect(isRunning(member.pid)).toBe(false);
    });

    test("a member that is frozen with its guard is killed when both wake", async () => {
      const { member, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
      await tell("ready");
      await guarded();
      member.freeze("member and guard");
      await runProgram("sleep", ["4"]); // what is tested is that time passes
      expect(isRunning(member.pid)).toBe(true);
      member.resume();
      expect(await member.ended).toEqual({ code: 3, signal: null });
      expect(isRunning(member.pid)).toBe(false);
      expect(await member.output()).toMatch(/standing still, for \d{4,} ms/);
    });

    test.for(["SIGTERM", "SIGINT"] as const)(
      "%s: a member may be unready while it stops",
      async (name) => {
        const { member, tell, guarded } = await startGuarded({ GUARD_NOT_READY_MS: "3000" });
        await tell("slow");
        await tell("ready");
        await guarded();
        process.kill(member.guardPid ?? 0, name);
        expect(await member.ended).toEqual({ code: 0, signal: null });
        expect(await member.output()).toMatch(
          new RegExp(`${name}: stopping[^]*asked to stop[^]*stopped$`, "m"),
        );
      },
    );

    test("SIGTERM: a member that has not answered yet stops as well", async () => {
      const { member } = await startGuarded({});
      expect(await member.stop()).toEqual({ code: 0, signal: null });
    });

    test("SIGTERM: a member that does not stop is killed", async () => {
      const { member, tell } = await startGuarded({ GUARD_STOP_MS: "300" });
      await tell("stubborn");
      expect(await member.stop()).toEqual({ code: 4, signal: null });
      expect(isRunning(member.pid)).toBe(false);
      expect(await member.output()).toMatch(/killed .*: asked to stop, it did not for 300 ms$/m);
    });

    test("a member that ends by itself ends its guard", async () => {
      const { member, tell } = await startGuarded({});
      await tell("ends-7");
      expect(await member.ended).toEqual({ code: 1, signal: null });
      expect(await member.output()).toMatch(/ended by itself, with exit code 7$/m);
    });

    test("kill -9 of the guard takes its member with it", async () => {
      const { member, asked, tell } = await startGuarded({});
      await tell("ready");
      await asked(1);
      process.kill(member.guardPid ?? 0, "SIGKILL");
      await member.ended;
      while (isRunning(member.pid)) await new Promise(setImmediate);
    });

    test("settings that cannot be used: one line, exit code 2, nothing is started", async () => {
      const other = path.join(folder, "other.yaml");
      await writeFile(
        other,
        "hazelcast:\n  properties:\n    hazelcast.max.no.heartbeat.seconds: 4\n",
      );
      const refusals: [Record<string, string>, RegExp][] = [
        [
          { GUARD_NOT_READY_MS: "5001" },
          /GUARD_NOT_READY_MS is 5001, more than half of .*10000 ms/,
        ],
        [{ MEMBER_CONFIG: other }, /GUARD_NOT_READY_MS is 5000, more than half of .*4000 ms/],
        [{ MEMBER_CONFIG: fakeJava }, /does not say hazelcast\.max\.no\.heartbeat\.seconds/],
        [{ MEMBER_CONFIG: `${folder}/none` }, /cannot read MEMBER_CONFIG/],
        [{ GUARD_NOT_READY_MS: "5s" }, /GUARD_NOT_READY_MS is 5s: give whole milliseconds/],
        [{ GUARD_STOP_MS: "0" }, /GUARD_STOP_MS is 0: give whole milliseconds/],
        [{ MEMBER_PORT: "web" }, /MEMBER_PORT is not a number: web/],
        [{ MEMBER_JAVA: `${folder}/none` }, /there is no .*none: install Java/],
      ];
      for (const [environment, message] of refusals) {
        const { code, stdout, stderr } = await runGuard([], {
          MEMBER_JAVA: fakeJava,
          ...environment,
        });
        expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
        expect(stderr).toMatch(/^member-guard: .*\n$/);
        expect(stderr).toMatch(message);
      }
      expect((await runGuard(["--help-me"], {})).stderr).toMatch(/unknown option --help-me/);
    });

    test("--help names every variable that the guard reads, and every exit code", async () => {
      const { code, stdout } = await runGuard(["--help"], {});
      expect(code).toBe(0);
      const script = await readFile(memberGuard, "utf8");
      const read = [...script.matchAll(/\$\{((?:MEMBER|GUARD)_[A-Z_]+)/g)].map(([, name]) => name);
      for (const name of new Set(read)) expect(stdout).toContain(`\n  ${name ?? ""} `);
      for (const exit of ["0", "1", "2", "3", "4"]) expect(stdout).toContain(`\n  ${exit}  `);
    });
  },
);

async function runGuard(args: readonly string[], environment: Readonly<Record<string, string>>) {
  const env = { ...process.env, ...environment };
  return promisify(execFile)(memberGuard, args, { env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  );
}
