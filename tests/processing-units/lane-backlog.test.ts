// Goal: what waits for the database is bounded. Method: a real lane and its pump with the real
// limits, a database in memory that is away until large values have filled what may wait, and back.
import { afterEach, expect, test } from "vitest";
import { Type } from "typebox";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import { lanesWithDatabase, keysIn, submit } from "../support/lanes-with-database.ts";
import type { LaneNetwork } from "../support/lane-network.ts";
import { code } from "../support/partition-kit.ts";

const networks: LaneNetwork[] = [];

afterEach(async () => {
  for (const network of networks.splice(0)) await network.cut();
});

const texts = space<{ readonly number: number; readonly text: string }>({
  name: "texts",
  table: { name: "texts", key: "name", columns: { number: "bigint", text: "text" } },
});
const text = "x".repeat(limits.valueBytesMax - 1024);
const byKey = Type.Object({ key: Type.String() });

/** `write` puts a large value and answers how many there were; `count` changes nothing. */
const application: Application = {
  name: "texts",
  spaces: [texts],
  commands: {
    write: command({
      input: byKey,
      routeBy: ({ key }) => key,
      handle(tx, { key }) {
        const number = (tx.get(texts, key)?.number ?? 0) + 1;
        tx.put(texts, key, { number, text });
        return number;
      },
    }),
    count: command({
      input: byKey,
      routeBy: ({ key }) => key,
      handle: (tx, { key }) => tx.get(texts, key)?.number ?? 0,
    }),
  },
};

test("P14: at the limit changes are refused, and nothing else; nothing is lost, and then it goes on", async () => {
  const partitions = 2;
  const { server, network, database, add } = await lanesWithDatabase(partitions, application);
  networks.push(network);
  const lane = add("one");
  await network.join();
  const [full, other] = keysIn(lane, partitions) as [string, string];
  const ask = (name: string, key: string, more = {}) =>
    submit(lane, name, { key }, { deadlineMs: 30_000, ...more });
  expect(code(await ask("write", full))).toBe("value 1");
  database.isAway = true;
  let written = 1;
  let outcome: Outcome<Value>;
  do {
    outcome = await ask("write", full);
    if (outcome.ok) written++;
  } while (outcome.ok);
  expect(outcome.failure).toMatchObject({ code: "BACKLOG_FULL", kind: "retryable" });
  // About what may wait, by bytes: each value takes a record.
  const most = limits.backlogBytesMax / text.length;
  expect(written).toBeGreaterThan(most * 0.9);
  expect(written).toBeLessThan(most * 1.1 + 2);
  for (const more of [{ ack: "memory" }, { ack: "written" }, { idempotencyKey: "k" }]) {
    expect(code(await ask("write", full, more))).toBe("BACKLOG_FULL");
  }
  expect(code(await ask("count", full))).toBe(`value ${String(written)}`);
  expect(code(await ask("count", full, { read: "linearizable" }))).toBe(`value ${String(written)}`);
  expect(code(await ask("write", other))).toBe("value 1"); // it has room of its own
  const caughtUp = new Promise<void>((resolve) => {
    server.onWritten = () => {
      const row = server.table("texts").get(full) as { number: number } | undefined;
      if (row?.number === written) resolve();
    };
  });
  database.isAway = false;
  await caughtUp;
  const next = await ask("write", full, { ack: "written" });
  expect(code(next)).toBe(`value ${String(written + 1)}`);
  expect(server.table("texts").get(full)).toEqual({ number: written + 1, text });
});
