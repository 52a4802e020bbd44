// Database case: one database run for all tests of a file; folders that PostgreSQL's user reaches.
// Owns: its start before the tests and its end behind them, the verdict after each fault.
// Does not own: the run (bench/database-run.ts), the faults.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFailed } from "vitest";
import { DatabaseRun, type DatabaseRunOptions } from "../../../bench/database-run.ts";
import { metricsOf } from "../../../bench/unit-counts.ts";
import { must } from "../../../src/base/assert.ts";
import { failed, ok, type FailureCode, type Outcome } from "../../../src/base/failure.ts";
import { partitionOf } from "../../../src/base/murmur3.ts";
import { until } from "../../end-to-end/support/until.ts";

const startMsMax = 600_000;

/**
 * Starts a run before the tests of the file that calls; what is returned gives it. On LMDB without
 * sync, which survives kill -9 and costs a disk less, or on the store that is there by then.
 */
export function databaseRun(
  options: Partial<DatabaseRunOptions>,
  store?: () => string,
): () => DatabaseRun {
  let run: DatabaseRun | null = null;
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "orrery-written-"));
    await chmod(folder, 0o755);
    run = await DatabaseRun.start({
      folder,
      units: 2,
      lanes: 1,
      partitions: 4,
      textBytes: [],
      chains: 1,
      pauseMs: 1,
      gridBytesMax: 2 ** 30,
      store: store?.() ?? `lmdb:${join(folder, "grid")}?sync=off`,
      ...options,
    });
  }, startMsMax);
  afterAll(async () => {
    await run?.close();
    await rm(folder, { recursive: true, force: true });
  }, startMsMax);
  return () => {
    const started = must(run, "the run has started");
    onTestFailed(() => console.error(started.report()));
    return started;
  };
}

/** The database comes to hold all that was acknowledged, and is a fold of the ledger then. */
export async function expectWritten(run: DatabaseRun): Promise<void> {
  await run.caughtUp();
  expect(await run.problems()).toEqual([]);
}

/** Resolves when a unit serves so many partitions or more, as it says itself. */
export async function owns(run: DatabaseRun, unit: number, partitions: number): Promise<void> {
  await until(`unit ${String(unit)} owns ${String(partitions)} or more`, async () => {
    const metrics = await metricsOf(run.unit(unit).url);
    const serving = metrics.get("orrery_partitions_serving") ?? 0;
    return serving >= partitions ? null : String(serving);
  });
}

/** Unit 1 leaves, and dies of kill -9 when it has released a partition and told nobody. */
export async function dieAtRelease(run: DatabaseRun): Promise<void> {
  await run.unit(1).kill();
  await run.startUnit(1, { name: "partition.released", does: "kill", time: 1 });
  await owns(run, 1, 1);
  await run.unit(1).stop();
  expect(await run.unit(1).ended).toEqual([null, "SIGKILL"]);
  await run.load.serves([0]);
}

/** A command of its own, sent to unit 0 when the load is over. */
export async function send(
  run: DatabaseRun,
  name: "enter" | "last",
  partition: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<Outcome<unknown>> {
  const { ledger, options } = run;
  let route = 0;
  while (partitionOf(String(route), options.partitions) !== partition) route++;
  const id = `${String(partition)}-${String(ledger.sent)}`;
  if (name === "enter") ledger.note({ id, partition, outcome: null });
  const answer = await fetch(`${run.unit(0).url}/commands/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-deadline-ms": "60000", ...headers },
    body: JSON.stringify({ route: String(route), ...(name === "enter" && { id }) }),
  });
  const outcome = outcomeOf(answer.status, await answer.json());
  if (name === "enter") ledger.note({ id, partition, outcome });
  return outcome;
}

function outcomeOf(status: number, body: unknown): Outcome<unknown> {
  if (status === 200) return ok(body);
  const { error } = body as { error: { code: FailureCode; message: string } };
  return failed(error.code, error.message);
}
