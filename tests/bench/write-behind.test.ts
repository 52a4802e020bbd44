// Goal: the benchmark of the way to the database still runs, and its result is whole. Method: its
// smoke size as a user starts it, with a real PostgreSQL; the report is read back. No time is
// judged.
import { expect, test } from "vitest";
import { smokeReport } from "./smoke.ts";

// A database that starts, six processes, on whatever else the machine is doing.
const patience = { timeout: 600_000 };

test(
  "write-behind at its smoke size: rows are in the table, no command failed",
  patience,
  async () => {
    const { figures, samples, goals } = await smokeReport("write-behind", /not sent in time/);
    expect(figures["rounds"]).toMatchObject([
      { without: { failures: {} }, with: { failures: {} }, away: { failures: {} } },
    ]);
    expect(figures["rounds"]).toMatchObject([
      { rows: { missing: 0 }, with: { missing: 0 }, half: { missing: 0 } },
    ]);
    expect(figures["rounds"]).toMatchObject([
      { away: { rows: 0 }, besideAway: { failures: {}, rows: 0 } }, // it was stopped
    ]);
    const values = new Map(samples.map((sample) => [sample.name, sample.values]));
    expect(values.get("pump, rows")?.[0]).toBeGreaterThan(0);
    expect(values.get("CPU, database stopped")?.[0]).toBeGreaterThan(0);
    expect(goals).toHaveLength(4);
  },
);
