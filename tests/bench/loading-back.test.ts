// Goal: what loading-back measures is a grid with every row once. Method: its smoke size as a user
// starts it, with a real PostgreSQL and LMDB; the report is read back. No time is judged.
import { expect, test } from "vitest";
import { smokeReport } from "./smoke.ts";

const patience = { timeout: 600_000 };

test("loading-back at its smoke size: every row comes back once", patience, async () => {
  const { figures, samples, goals } = await smokeReport("loading-back");
  const [whole, counted] = [{ rows: 20_000, sum: 199_990_000 }, { rows: 20_000 }];
  expect(figures["rounds"]).toMatchObject([
    { select: whole, pages: counted, memory: whole, lmdb: whole },
  ]);
  expect(figures["large"]).toMatchObject({ rows: 50_000, sum: 1_249_975_000 });
  expect(samples).toHaveLength(4);
  expect(goals).toHaveLength(2);
});
