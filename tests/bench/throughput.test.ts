// Goal: the benchmarks of what a bid costs still run, and what they write can be relied on. Method:
// their smoke sizes as a user starts them, with real servers; the JSON is read back. No time is
// judged.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { ThroughputFigures } from "../../bench/throughput-report.ts";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

// Ten servers, one after the other, on whatever else the machine is doing.
const patience = { timeout: 600_000 };

test("throughput at its smoke size: answers are right, the result complete", patience, async () => {
  const cwd = mkdtempSync(join(tmpdir(), "orrery-bench-"));
  onTestFinished(() => {
    rmSync(cwd, { recursive: true });
  });
  const json = join(cwd, "result.json");
  const bench = startProcess(main, ["throughput", "--smoke", "--json", json], { cwd });
  await bench.ended;
  const report = unwrap(parseReport(readFileSync(json, "utf8")));
  expect(report).toMatchObject({ scenario: "throughput", smoke: true, rounds: 1 });
  const { windows, singleBidBytes } = report.figures as object as ThroughputFigures;
  expect(windows.map(({ candidate }) => candidate)).toEqual([
    "floor: 204",
    "no bid",
    "floor: 200 of 1 kB",
    "bid, lmdb: synced",
    "floor: 90 % 204, 10 % 200",
    "90 % no bid, 10 % bid",
    "bid and its notices, profiled",
  ]);
  let answered = 0;
  for (const { wrong, answers, log, candidate, stages } of windows) {
    expect(wrong, candidate).toEqual([]);
    answered += answers;
    const bids = !candidate.startsWith("floor") && candidate !== "no bid";
    expect(log === null, candidate).toBe(!bids);
    if (bids) expect(log?.bytesPerBid).toBeGreaterThan(100);
    expect(stages !== null).toBe(candidate.endsWith("profiled"));
  }
  expect(answered).toBeGreaterThan(0);
  const { stages: found, answers } = windows.at(-1) ?? { stages: null, answers: 0 };
  const stages = found ?? {};
  expect(stages["HTTP"]).toBeGreaterThan(0);
  const sampledUs = Object.values(stages).reduce((sum, us) => sum + us, 0) * answers;
  // Each is a few per cent: a lane that was given hardly any processor has no samples of them.
  const small = ["decide", "encode the record", "store message", "match"];
  for (const stage of sampledUs < 250_000 ? [] : small) {
    expect(stages[stage], stage).toBeGreaterThan(0);
  }
  // A count of bytes, not of time: it holds on every machine.
  expect(singleBidBytes).toBeGreaterThan(0);
  expect(singleBidBytes).toBeLessThanOrEqual(600);
  expect(report.goals.map(({ name }) => name)).toEqual([
    "no bid: processor time, of the floor's rate",
    "bid, lmdb: synced: processor time, of the floor's rate",
    "log of a bid with a record of its own",
    "stages, off the lane's processor time by",
  ]);
});
