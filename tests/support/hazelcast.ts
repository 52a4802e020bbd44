// Hazelcast members for tests: whether this machine can run them, a cluster that ends with its
// test (or with the file, where it was started in beforeAll), what it said where the test failed.
// Owns: skipping with the reason in the name, temporary folders. Does not own: the members.
// Use: describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("three members"), () => {
//        test("L1: …", async () => {
//          const cluster = await startMembers({ guarded: true });
//          …; await cluster.member(2).kill();
// A file of such tests is named *.hazelcast.test.ts: it runs alone (vitest.config.ts).
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, onTestFailed, onTestFinished, TestRunner } from "vitest";
import { hazelcastProgram } from "../../src/faults/hazelcast-program.ts";
import {
  HazelcastMembers,
  missingForHazelcast,
  type MembersOptions,
} from "../../src/faults/hazelcast-members.ts";

/** Why there can be no members here; null: there can. */
export const hazelcastMissing: string | null = await findMissing();

/** The title of tests, with the reason where they are skipped for more than the members. */
export function hazelcastTitle(title: string, missing = hazelcastMissing): string {
  return missing === null ? title : `${title} (skipped: ${missing})`;
}

async function findMissing(): Promise<string | null> {
  const missing = missingForHazelcast();
  if (missing !== null) return missing;
  try {
    await hazelcastProgram(); // here, where no test's time is spent
    return null;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? error.name) : String(error);
  }
}

const ends: (() => Promise<void>)[] = [];

/** Starts members, by default three without guards; nothing of them outlives the test. */
export async function startMembers(
  options: Omit<MembersOptions, "folder"> = {},
): Promise<HazelcastMembers> {
  const folder = await mkdtemp(path.join(tmpdir(), "orrery-members-"));
  const end: { cluster: HazelcastMembers | null } = { cluster: null };
  const stop = async () => {
    await end.cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  if (TestRunner.getCurrentTest() === undefined) {
    ends.push(stop);
  } else {
    onTestFinished(stop);
    onTestFailed(async () => {
      const reports = await Promise.all(end.cluster?.members.map((one) => one.report()) ?? []);
      console.error(reports.join("\n"));
    });
  }
  end.cluster = await HazelcastMembers.start({ ...options, folder });
  return end.cluster;
}

// The file that imports this.
afterAll(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
});
