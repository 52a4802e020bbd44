// Goal: the benchmark of reservations still runs, and its result can be relied on. Method: its
// smoke size as a user starts it, on real members; the JSON is read back. No figure is judged.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ReservationFigures } from "../../bench/reservations-report.ts";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import { startProcess } from "../support/processes.ts";

const main = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

interface Result {
  readonly valid: boolean;
  readonly problems: readonly string[];
  readonly figures: ReservationFigures;
}

const title = hazelcastTitle("reservations on members, and beside them");
describe.skipIf(hazelcastMissing !== null)(title, () => {
  // Five processes, one after the other, on whatever else the machine is doing.
  const patience = { timeout: 180_000 };

  test("smoke size: each answered bid is kept once, whoever made it", patience, async () => {
    const cwd = mkdtempSync(join(tmpdir(), "orrery-bench-"));
    onTestFinished(() => {
      rmSync(cwd, { recursive: true });
    });
    const bench = startProcess(main, ["reservations", "--smoke", "--json", "result.json"], { cwd });
    await bench.ended;
    const result = JSON.parse(readFileSync(join(cwd, "result.json"), "utf8")) as Result;
    const { windows, candidates, loads } = result.figures;
    expect(loads).toHaveLength(1);
    expect(windows.map(({ candidate }) => candidate)).toEqual(candidates.map(({ name }) => name));
    for (const window of windows) {
      const { candidate, outstanding, bids, others, answered, found, racesLost, records } = window;
      expect(others, candidate).toEqual({});
      expect(bids, candidate).toBeGreaterThan(0);
      expect(answered.reservations, candidate).toBeGreaterThanOrEqual(bids + outstanding);
      expect(found.heldMicros, candidate).toBe(answered.heldMicros);
      if (candidate !== "direct, purse only") {
        expect(found, candidate).toMatchObject({
          reservations: answered.reservations,
          pending: answered.reservations,
        });
      }
      // Bids for a purse that wait for one another lose no race for it.
      if (candidate === "direct, purse only") expect(racesLost).toBe(0);
      if (candidate.startsWith("orrery")) expect(records, candidate).toBeGreaterThan(0);
    }
  });
});
