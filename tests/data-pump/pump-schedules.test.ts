// Goal (D1): under any schedule, the database equals the fold of records 1 to seq of every
// partition after each transaction, dead letters aside, and of all records once everything is well
// again. Method: seeds of tests/support/pump-schedule.ts; the comparison runs after each
// transaction. ORRERY_PUMP_RUNS sets how many.
import fc from "fast-check";
import { expect, test } from "vitest";
import { PumpSchedule } from "../support/pump-schedule.ts";

const runs = Number(process.env["ORRERY_PUMP_RUNS"] ?? 120);

test(
  "D1: the database is always the fold of what it has, and in the end of everything",
  { timeout: 30_000 + runs * 1000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 10, max: 150 }), async (seed, steps) => {
        const schedule = new PumpSchedule(seed);
        await schedule.run(steps);
        expect(schedule.problems).toEqual([]);
      }),
      { numRuns: runs },
    );
  },
);
