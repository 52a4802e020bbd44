// Goal: a database that is too slow for large transactions is written in smaller ones.
// Method: a database in memory where a transaction of more rows than fit runs into its time limit,
// and its outcome is unknown; virtual time.
import { expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import { countRows } from "../../src/data-pump/rows.ts";
import { item, PumpWorld } from "../support/pump-world.ts";

test("D11: what fails at its time limit is tried with fewer rows, until it fits", async () => {
  const rowMs = 100;
  const world = new PumpWorld();
  const log = must(world.logs[0], "partition 0");
  const durations: number[] = [];
  const lane = world.lane({
    delayMs: () => durations.shift() ?? 1,
    fault: (_call, transaction) => {
      const takesMs = rowMs * countRows(transaction?.rows ?? []);
      durations.push(Math.min(takesMs, limits.databaseTransactionMs));
      return takesMs > limits.databaseTransactionMs ? "lost" : "none";
    },
  });
  const first = log.claim();
  for (let record = 0; record < 1000; record++) {
    log.change(
      first,
      Array.from({ length: 20 }, (_, part) => item(`${String(record)}.${String(part)}`, part)),
    );
  }
  lane.pump.attach(log.source(log.claim()));
  expect(await world.drain(lane, 4 * 3_600_000)).toBe(true);
  expect(world.differences()).toEqual([]);
});
