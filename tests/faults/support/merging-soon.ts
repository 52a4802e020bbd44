// Merging soon: members that come together again a few seconds after a split. The settings are
// those that are shipped, except that one, which would let a test wait for half a minute.
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";

/** Environment for startMembers; what it names ends with the test. */
export async function mergingSoon(): Promise<Record<string, string>> {
  const folder = await mkdtemp(path.join(tmpdir(), "orrery-merging-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const own = fileURLToPath(new URL("../../../deploy/hazelcast/", import.meta.url));
  const text = await readFile(path.join(own, "hazelcast.yaml"), "utf8");
  const soon = text.replaceAll(/(hazelcast\.merge\.\w+\.run\.delay\.seconds): \d+/g, "$1: 5");
  expect(soon).not.toBe(text);
  await writeFile(path.join(folder, "hazelcast.yaml"), soon);
  await copyFile(path.join(own, "logging.properties"), path.join(folder, "logging.properties"));
  return { MEMBER_CONFIG: path.join(folder, "hazelcast.yaml") };
}
