// Goal: the database is away for so long that no more may wait for it: from then on changes of that
// partition are refused, as a typed error that may be tried again, and nothing else is; nothing is
// lost, nothing that was refused happens, and when it is back everything goes on by itself.
// Method: the real limit, reached by large entries over HTTP; the server stopped until then; the
// tables against the ledger: what was refused must not be there.
import { expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { until } from "../end-to-end/support/until.ts";
import { databaseRun, expectWritten, send } from "./support/database-case.ts";

vi.setConfig({ testTimeout: 600_000 });

const [full, other] = [0, 1];
const textBytes = [limits.valueBytesMax - 4096, 16];
const run = databaseRun({ units: 1, partitions: 2, textBytes });

test("P14: at the limit of the backlog changes are refused, reads and others go on, nothing is lost", async () => {
  const { server, load } = run();
  await load.stop();
  await run().caughtUp();
  await server.stop();
  await until("the backlog is full", async () => {
    const outcome = await send(run(), "enter", full);
    if (outcome.ok) return `${String(outcome.value)} entries`;
    // A disk that stands still for a second is the machine's.
    if (outcome.failure.code === "GRID_UNAVAILABLE") return outcome.failure.message;
    expect(outcome.failure).toMatchObject({ code: "BACKLOG_FULL", kind: "retryable" });
    return null;
  });
  expect(await run().metric("orrery_backlog_records")).toBeGreaterThan(0);
  for (const read of ["local", "linearizable"]) {
    const last = await send(run(), "last", full, { "x-read": read });
    expect(last).toEqual({ ok: true, value: run().ledger.highest().get(full) });
  }
  expect(await send(run(), "enter", other)).toMatchObject({ ok: true });
  expect(await send(run(), "enter", full)).toMatchObject({ failure: { code: "BACKLOG_FULL" } });
  await server.start();
  await until("changes are taken again", async () => {
    const outcome = await send(run(), "enter", full);
    return outcome.ok ? null : outcome.failure.code;
  });
  await expectWritten(run());
});
