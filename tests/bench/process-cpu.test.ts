// Goal: threads and processes that end while their processor time is read do no harm. Method: the
// real /proc, in which a listed thread is not there any more.
import * as fs from "node:fs";
import { expect, test, vi } from "vitest";
import { processCpu } from "../../bench/process-cpu.ts";

/** Beyond the largest number that Linux gives. */
const nobody = 2 ** 22 + 1;

vi.mock("node:fs", async (importOriginal) => {
  const original = await importOriginal<typeof fs>();
  return { ...original, readdirSync: vi.fn(original.readdirSync) };
});

test.skipIf(process.platform !== "linux")("a thread that ended is passed over", () => {
  vi.mocked(fs.readdirSync).mockImplementationOnce(((folder: string) => [
    ...fs.readdirSync(folder),
    String(nobody),
  ]) as typeof fs.readdirSync);
  expect(processCpu(process.pid)?.total).toBeGreaterThan(0);
  expect(fs.readdirSync).toHaveBeenCalled();
});

test("a process that ended has no processor time", () => {
  expect(processCpu(nobody)).toBeNull();
});
