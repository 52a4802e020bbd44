// Hazelcast's program on this machine: the jar, through Maven, and an archive of its classes that
// makes a member start in half the time. Both are kept in the user's cache folder.
// Owns: finding out what is missing, fetching the jar, making the archive.
// Does not own: how a member is started (deploy/hazelcast/member-guard), members that stay.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { delay, systemTimers } from "../base/timers.ts";
import { Reaper } from "./reaper.ts";
import { runProgram } from "./run-program.ts";

const version = "5.7.0";
const archiveMsMax = 60_000;
const pollMs = 50;

/** The program that starts a member, guarded or not. */
export const memberGuard = fileURLToPath(
  new URL("../../deploy/hazelcast/member-guard", import.meta.url),
);

/** For tests: a member is up soon and small, and slower once it is up. */
const quickOptions = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

export interface HazelcastProgram {
  readonly jar: string;
  /** Options of Java for members of a test. */
  readonly quickOptions: readonly string[];
}

const cacheFolder = path.join(
  process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache"),
  "orrery",
  `hazelcast-${version}`,
);
const jarFile = path.join(cacheFolder, `hazelcast-${version}.jar`);

/** What this machine lacks for running members, in a few words; null: nothing. */
export function missingForHazelcast(): string | null {
  if (process.platform === "win32") return "members are started by a shell script";
  for (const program of ["bash", "java"]) {
    if (!isProgram(program)) return `there is no ${program}`;
  }
  if (existsSync(jarFile) || isProgram("mvn")) return null;
  return "there is no Maven (mvn) to fetch Hazelcast's jar with";
}

/** What it lacks for guards, whatever they guard. */
export function missingForGuard(): string | null {
  if (process.platform !== "linux") return "the guard runs on Linux only";
  for (const program of ["bash", "curl", "setpriv"]) {
    if (!isProgram(program)) return `there is no ${program}`;
  }
  return null;
}

let program: Promise<HazelcastProgram> | undefined;

/**
 * Fetches and makes what is not in the cache yet (once for all processes of this user; a few
 * seconds). Throws an Error with Maven's or Java's reason.
 */
export function hazelcastProgram(): Promise<HazelcastProgram> {
  program ??= prepare();
  return program;
}

async function prepare(): Promise<HazelcastProgram> {
  const missing = missingForHazelcast();
  if (missing !== null) throw new Error(`cannot start Hazelcast members: ${missing}`);
  await mkdir(cacheFolder, { recursive: true });
  if (!existsSync(jarFile)) await made(jarFile, fetchJar);
  // An archive fits one Java only.
  const { java = "unknown" } = /"(?<java>[^"]+)"/.exec(await javaVersion())?.groups ?? {};
  const archive = path.join(cacheFolder, `classes-java-${java.replaceAll(/[^\w.]/g, "-")}.jsa`);
  if (!existsSync(archive)) await made(archive, makeArchive);
  // Where the archive does not fit after all, Java goes without it.
  const archiveOptions = [`-XX:SharedArchiveFile=${archive}`, "-Xshare:auto"];
  return { jar: jarFile, quickOptions: [...quickOptions, ...archiveOptions] };
}

/** Makes a file in a folder of its own, then puts it in place: it is there whole, or not at all. */
async function made(file: string, make: (draft: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(cacheFolder, "new-"));
  try {
    const draft = path.join(folder, path.basename(file));
    await make(draft);
    await rename(draft, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetchJar(draft: string): Promise<void> {
  await runProgram("mvn", [
    ...["--batch-mode", "--quiet", "dependency:copy"],
    `-Dartifact=com.hazelcast:hazelcast:${version}`,
    `-DoutputDirectory=${path.dirname(draft)}`,
  ]);
}

/** Runs one member until it is up: Java writes down the classes it has loaded when it ends. */
async function makeArchive(draft: string): Promise<void> {
  const output = `${draft}.log`;
  const log = await open(output, "a");
  const reaper = new Reaper();
  const member = spawn(memberGuard, ["--unguarded"], {
    env: {
      ...process.env,
      MEMBER_CLUSTER: "archive",
      MEMBER_PORT: "0",
      MEMBER_CLASSPATH: jarFile,
      MEMBER_JAVA_OPTS: [...quickOptions, `-XX:ArchiveClassesAtExit=${draft}`].join(" "),
    },
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
  });
  const ended = once(member, "exit");
  try {
    if (member.pid !== undefined) reaper.add(member.pid);
    const isUp = async () => (await readFile(output, "utf8")).includes("is STARTED");
    for (let waitedMs = 0; !(await isUp()); waitedMs += pollMs) {
      if (waitedMs > archiveMsMax || member.exitCode !== null) {
        throw new Error(`a member does not start: ${await readFile(output, "utf8")}`);
      }
      await delay(systemTimers, pollMs);
    }
    member.kill("SIGTERM");
    await ended;
    if (!existsSync(draft))
      throw new Error(`Java made no archive: ${await readFile(output, "utf8")}`);
  } finally {
    await reaper.close();
    await log.close();
  }
}

/** `java -version`, which it prints as an error. */
async function javaVersion(): Promise<string> {
  return runProgram("sh", ["-c", "java -version 2>&1"]);
}

function isProgram(name: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  return folders.some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false; // not there, or not for us: look on
    }
  });
}
