// Test folder: a temporary folder that is gone after the file that made it.
// It is below what the embedded PostgreSQL's user can reach, also where the tests run as root.
import { rm } from "node:fs/promises";
import { afterAll } from "vitest";
import { openFolder } from "../../support/embedded-database.ts";

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

export async function testFolder(): Promise<string> {
  const folder = await openFolder("orrery-end-to-end-");
  folders.push(folder);
  return folder;
}
