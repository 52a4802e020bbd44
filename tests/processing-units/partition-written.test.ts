// Goal: who asked for "written" is answered when the command's own changes are in the database,
// and is told in time where they are not. Method: partitions on a memory store, virtual time where
// a deadline passes; the word of the database is given by hand.
import { expect, test } from "vitest";
import { failure, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { Partition } from "../../src/processing-units/partition.ts";
import type { PartitionRequest } from "../../src/processing-units/partition-request.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { code, newPartitionGrid, openPartition, run } from "../support/partition-kit.ts";

/** Commands of sender "s", and their answers as they come. */
class Asker {
  readonly answers: string[] = [];
  readonly computed: (Value | undefined)[] = [];

  ask(partition: Partition, number: number, options: Partial<PartitionRequest> = {}): void {
    const respond = (outcome: Outcome<Value>, computed?: Value) => {
      this.answers.push(`${String(number)}: ${code(outcome)}`);
      this.computed.push(computed);
    };
    partition.execute({
      command: "add",
      input: { key: "a", by: 1 },
      ack: "written",
      read: "local",
      origin: { sender: "s", number, confirmed: 0, attempt: 0 },
      keepsReply: true,
      idempotencyKey: null,
      deadlineAtMs: Number.POSITIVE_INFINITY,
      ...options,
      respond,
    });
  }
}

async function servingPartition(options: Parameters<typeof openPartition>[2] = {}) {
  const grid = await newPartitionGrid();
  const opened = openPartition(grid, {}, options);
  await opened.served;
  return { grid, ...opened };
}

/** All that was given to the partition so far is journaled; the position of the last record. */
async function journaled(partition: Partition): Promise<number> {
  await run(partition, "read", { key: "a" }, { read: "linearizable" });
  return partition.journaled;
}

test("P13: the answer comes with the word that its record is written, not with an earlier one", async () => {
  const { partition } = await servingPartition();
  const asker = new Asker();
  asker.ask(partition, 1);
  const first = await journaled(partition);
  asker.ask(partition, 2);
  const second = await journaled(partition);
  expect(asker.answers).toEqual([]);
  partition.written(0);
  expect(asker.answers).toEqual([]);
  partition.written(first);
  expect(asker.answers).toEqual(["1: value 1"]);
  partition.written(0); // restored
  partition.written(second);
  expect(asker.answers).toEqual(["1: value 1", "2: value 2"]);
});

test("P13: a repeat waits as well: for its own record, or for all that may hold the earlier try", async () => {
  const { grid, partition } = await servingPartition();
  const asker = new Asker();
  asker.ask(partition, 1, { ack: "journal", idempotencyKey: "k" });
  asker.ask(partition, 1); // on its way into the log
  const own = await journaled(partition);
  asker.ask(partition, 1);
  asker.ask(partition, 2, { idempotencyKey: "k" });
  partition.written(own - 1);
  expect(asker.answers).toEqual(["1: value 1"]);
  partition.written(own);
  expect(asker.answers).toEqual(["1: value 1", "1: value 1", "1: value 1", "2: value 1"]);
  const next = openPartition(grid);
  await next.served;
  const later = new Asker();
  later.ask(next.partition, 1);
  next.partition.written(own);
  expect(later.answers).toEqual([]); // which record it was, this owner does not know
  next.partition.written(next.partition.journaled);
  expect(later.answers).toEqual(["1: value 1"]);
});

test("P13: what changes nothing waits for no database, and nobody else waits for one either", async () => {
  const { partition } = await servingPartition();
  const asker = new Asker();
  asker.ask(partition, 1);
  expect(code(await run(partition, "read", { key: "a" }, { ack: "written" }))).toBe("value 1");
  expect(code(await run(partition, "add", { key: "a", by: 1 }))).toBe("value 2");
  expect(asker.answers).toEqual([]);
});

test("P13: without a database it is refused, before anything is changed", async () => {
  const { partition } = await servingPartition({ hasDatabase: false });
  expect(code(await run(partition, "add", { key: "a", by: 1 }, { ack: "written" }))).toBe(
    "INPUT_INVALID",
  );
  expect(code(await run(partition, "read", { key: "a" }))).toBe("value 0");
});

test("E1, P13: shortly before its deadline it is told that it is journaled, and no more", async () => {
  const time = new VirtualTime();
  const { clock, timers } = time;
  const { partition } = openPartition(await newPartitionGrid(clock), {}, { clock, timers });
  const pass = (ms: number) => time.run({ untilMs: time.nowMs + ms, eventsMax: 10_000 });
  await pass(100);
  const asker = new Asker();
  const deadlineAtMs = clock.monotonicMs() + 500;
  asker.ask(partition, 1, { deadlineAtMs });
  await pass(499 - limits.writtenAnswerMs);
  expect(asker.answers).toEqual([]);
  await pass(1);
  expect(asker.answers).toEqual(["1: DEADLINE_EXCEEDED"]);
  asker.ask(partition, 2, { deadlineAtMs: clock.monotonicMs() + 5 });
  await pass(1);
  expect(asker.answers).toEqual(["1: DEADLINE_EXCEEDED", "2: DEADLINE_EXCEEDED"]);
  partition.written(partition.journaled); // too late for both
  expect(asker.answers).toHaveLength(2);
});

test("P13: of one record only the command whose change is a dead letter is told so", async () => {
  const { partition } = await servingPartition();
  const asker = new Asker();
  for (const number of [1, 2, 3]) asker.ask(partition, number);
  const position = await journaled(partition);
  partition.deadLettered({ position, change: 1, reason: "value too long" });
  expect(asker.answers).toEqual(["2: DEAD_LETTERED"]);
  partition.written(position);
  expect(asker.answers).toEqual(["2: DEAD_LETTERED", "1: value 1", "3: value 3"]);
});

test("P13: an earlier try may be among the dead letters that there are", async () => {
  let letters = 0;
  const { partition } = await servingPartition({ hasDeadLetters: () => letters > 0 });
  const asker = new Asker();
  asker.ask(partition, 1, { ack: "journal" });
  const position = await journaled(partition);
  asker.ask(partition, 1);
  letters = 1;
  partition.written(position);
  asker.ask(partition, 1);
  asker.ask(partition, 2);
  partition.written(await journaled(partition));
  expect(asker.answers).toEqual([
    "1: value 1",
    "1: DEAD_LETTERED",
    "1: DEAD_LETTERED",
    "2: value 2",
  ]);
});

test.each(["hands over", "stops"] as const)(
  "P4, P13: an owner that %s does not know; what was answered goes with it, for the next owner's word",
  async (how) => {
    const { grid, partition, released } = await servingPartition();
    const asker = new Asker();
    asker.ask(partition, 1, { keepsReply: false });
    await journaled(partition);
    if (how === "stops") partition.close(failure("PARTITION_STOPPED", "planted"));
    else partition.leave();
    if (how === "hands over") await released;
    expect([asker.answers, asker.computed]).toEqual([["1: OUTCOME_UNKNOWN"], [1]]);
    const next = openPartition(grid);
    await next.served;
    asker.ask(next.partition, 1, { keepsReply: false });
    expect(asker.answers).toHaveLength(1);
    next.partition.written(next.partition.journaled);
    expect(asker.answers.at(-1)).toBe("1: COMMAND_KNOWN");
  },
);

test("E2: too many that wait for the database are refused, and those that do not are not", async () => {
  const { partition } = await servingPartition();
  const asker = new Asker();
  for (let number = 1; number <= limits.partitionCommandsWaitingMax; number++) {
    asker.ask(partition, number);
    if (number % 1000 === 0) await journaled(partition);
  }
  const position = await journaled(partition);
  asker.ask(partition, limits.partitionCommandsWaitingMax + 1);
  expect(asker.answers.map((answer) => answer.replace(/.*: /, ""))).toEqual(["OVERLOADED"]);
  const input = { key: "b", by: 1 };
  expect(code(await run(partition, "add", input))).toBe("value 1");
  partition.written(position);
  expect(asker.answers).toHaveLength(limits.partitionCommandsWaitingMax + 1);
});
