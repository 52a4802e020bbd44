// Goal: the benchmark of the bid path still runs, and what it writes can be relied on. Method: its
// smoke size as a user starts it, with real servers; the JSON is read back. No figure is judged.
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { BidPathFigures } from "../../bench/bid-path-report.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

interface Result {
  readonly scenario: string;
  readonly environment: Readonly<Record<string, string | number>>;
  readonly figures: BidPathFigures;
  readonly hash: string;
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

// Six servers, one after the other, on whatever else the machine is doing.
const patience = { timeout: 180_000 };

test("bid-path at its smoke size: answers are right, the result complete", patience, async () => {
  const cwd = newFolder();
  const json = join(cwd, "result.json");
  const bench = startProcess(main, ["bid-path", "--smoke", "--json", json], { cwd });
  await bench.ended;
  const { hash, ...result } = JSON.parse(readFileSync(json, "utf8")) as Result;
  const digest = createHash("sha256").update(JSON.stringify(result)).digest("hex");
  expect(digest.slice(0, 16)).toBe(hash);
  expect(result).toMatchObject({ scenario: "bid-path", smoke: true, rounds: 1 });
  expect(result.environment).toMatchObject({ node: process.version });
  const { windows, singleBidBytes } = result.figures;
  expect(windows.map(({ candidate }) => candidate)).toEqual([
    "bare fastify, 204",
    "no bid",
    "bare fastify, 200 of 1 kB",
    "bid, memory:",
    "bid, lmdb: synced",
  ]);
  for (const { wrong, answers, perSecond, log, candidate } of windows) {
    expect(wrong).toEqual([]);
    expect(answers).toBeGreaterThan(0);
    expect(perSecond).toBeGreaterThan(0);
    if (candidate.startsWith("bid,")) expect(log?.bidsPerRecord).toBeGreaterThanOrEqual(1);
    else expect(log).toBeNull();
  }
  // A count of bytes, not of time: it holds on every machine.
  expect(singleBidBytes).toBeGreaterThan(0);
  expect(singleBidBytes).toBeLessThanOrEqual(600);
});

test("bench alone lists what there is; a scenario that is not there is a wrong use", async () => {
  const list = startProcess(main, [], { cwd: newFolder() });
  await list.line(/^bid-path {2}.+\(about \d+ minutes\)$/);
  expect(await list.ended).toMatchObject({ code: 0 });
  const wrong = startProcess(main, ["no-such-thing"], { cwd: newFolder() });
  await wrong.line(/^there is no scenario no-such-thing$/, "stderr");
  expect(await wrong.ended).toMatchObject({ code: 2 });
});
