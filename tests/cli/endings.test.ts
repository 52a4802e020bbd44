// Goal: however a command ends, it says so in one line, stops what it started, and leaves no
// process behind.
// Method: real commands, ended at their worst moments; what lives is read from the system.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openFolder } from "../support/embedded-database.ts";
import { startOrrery, type TestProcess } from "../support/processes.ts";

const timeout = 600_000;
const light = ["--store", "memory:", "--database", "none:", "--port", "0", "--lanes", "1"];

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await openFolder("orrery-endings-");
  folders.push(folder);
  return folder;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** None of these lives any more; a server that was told to end does so in its own time. */
async function gone(pids: readonly number[]): Promise<void> {
  await until(() =>
    pids.every((pid) => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    }),
  );
}

/** A unit with a database of its own, seen as soon as that has a process. */
async function startWithDatabase(): Promise<{ unit: TestProcess; data: string }> {
  const data = join(await newFolder(), "data");
  const unit = startOrrery(["unit", "--data", data, "--port", "0", "--lanes", "1"]);
  await until(() => unit.descendants().length > 0 || unit.hasEnded);
  return { unit, data };
}

test(
  "a signal while a unit starts is a clean stop of all that was started",
  { timeout },
  async () => {
    const { unit } = await startWithDatabase();
    unit.signal("SIGINT");
    expect(await unit.ended).toEqual({ code: 0, signal: null });
    expect(unit.stdout).toMatch(/^stopped; all is written$/m);
    expect(unit.descendants()).toEqual([]);
  },
);

test("a unit that is told twice ends at once, and its database with it", { timeout }, async () => {
  const { unit, data } = await startWithDatabase();
  await unit.line(/^serving /);
  const database = unit.descendants();
  const file = join(data, "postgres", "cluster", "postmaster.pid");
  const server = Number(readFileSync(file, "utf8").split("\n", 1)[0]);
  expect(database).toContain(server);
  process.kill(server, "SIGSTOP"); // so that a clean stop has something to wait for
  unit.signal("SIGTERM");
  const asking = setInterval(() => unit.signal("SIGTERM"), 200);
  expect(await unit.ended).toEqual({ code: 130, signal: null });
  clearInterval(asking);
  process.kill(server, "SIGCONT");
  await gone(database);
});

test("a unit serves on when nobody reads what it prints", { timeout }, async () => {
  const unit = startOrrery(["unit", ...light, "--data", await newFolder()]);
  const [, url = ""] = await unit.line(/^serving (\S+)/);
  unit.closeOutput();
  unit.signal("SIGUSR2"); // a lane's end and the new one's start are logged
  const isHeard = () =>
    fetch(`${url}/livez`).then(
      ({ ok }) => ok,
      () => unit.hasEnded,
    );
  while (!(await isHeard()));
  expect(unit.hasEnded).toBe(false);
  unit.signal("SIGTERM");
  expect(await unit.ended).toEqual({ code: 0, signal: null });
});

test("bad input: a folder that cannot be made is told in one line, before anything starts", async () => {
  const folder = await newFolder();
  const file = join(folder, "file");
  writeFileSync(file, "");
  for (const flags of [
    ["--data", join(file, "data")],
    ["--data", folder, "--json", join(file, "summary.json")],
  ]) {
    const demo = startOrrery(["demo", ...light, ...flags]);
    expect(await demo.ended).toEqual({ code: 1, signal: null });
    expect(demo.stderr).toMatch(/^orrery: (?:ENOTDIR|EEXIST): .*\n$/);
  }
});

test("an exchange whose demo was killed closes its books and ends", { timeout }, async () => {
  const data = await newFolder();
  const demo = startOrrery(["demo", ...light, "--data", data, "--rate", "20"]);
  await until(() => demo.descendants().length > 0 || demo.hasEnded);
  await demo.line(/^ {2}stop /);
  demo.signal("SIGKILL");
  await demo.ended; // nobody of its family can print any more
  expect(demo.stderr).not.toMatch(/ERR_IPC/);
  // Who has closed what it prints to may take a moment to be gone.
  await until(() => demo.descendants().length === 0);
});
