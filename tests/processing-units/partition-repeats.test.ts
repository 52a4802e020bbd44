// Goal: a command that is sent again has no second effect, and gets the first one's answer, over
// stops, take-overs, checkpoints and any time between. Method: partitions on a memory store whose
// calls can be held; virtual time where hours pass.
import { expect, test } from "vitest";
import { failure, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { senderSpace } from "../../src/processing-units/internal-spaces.ts";
import type { Partition } from "../../src/processing-units/partition.ts";
import type { PartitionRequest } from "../../src/processing-units/partition-request.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { counts } from "../support/counter-application.ts";
import { checkpointByHand } from "../support/hand-checkpoint.ts";
import { HeldMap } from "../support/held-map.ts";
import { code, newPartitionGrid, openPartition, run } from "../support/partition-kit.ts";

const input = { key: "a", by: 1 };

/** Sends `add` under a number of sender "s"; again: the same number again. */
function add(
  partition: Partition,
  number: number,
  options: Partial<PartitionRequest> & { confirmed?: number; attempt?: number } = {},
): Promise<Outcome<Value>> {
  const { confirmed = 0, attempt = 0, ...rest } = options;
  const origin = { sender: "s", number, confirmed, attempt };
  return run(partition, "add", input, { origin, ...rest });
}

async function count(partition: Partition): Promise<string> {
  return code(await run(partition, "read", { key: "a" }));
}

async function heldPartition() {
  const grid = await newPartitionGrid();
  const held = new HeldMap(grid.map);
  const opened = openPartition({ ...grid, map: held });
  await opened.served;
  return { grid, held, ...opened };
}

test("P5: a repeat of what is on its way into the log waits for it, and is answered with it", async () => {
  const { held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  const answered: string[] = [];
  const first = add(partition, 1).then((outcome) => answered.push(`first ${code(outcome)}`));
  const again = add(partition, 1).then((outcome) => answered.push(`again ${code(outcome)}`));
  await held.waiting("putIfAbsent");
  const late = add(partition, 1).then((outcome) => answered.push(`late ${code(outcome)}`));
  const other = add(partition, 2).then((outcome) => answered.push(`other ${code(outcome)}`));
  expect(answered).toEqual([]);
  held.release("putIfAbsent");
  await Promise.all([first, again, late, other]);
  expect(answered).toEqual(["first value 1", "again value 1", "late value 1", "other value 2"]);
  expect(code(await add(partition, 1))).toBe("value 1");
  expect(await count(partition)).toBe("value 2");
});

test("P4: repeats are told what their first try is told: unknown in flight, else not applied", async () => {
  const { held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  const computed: (Value | undefined)[] = [];
  const tell = (number: number) =>
    new Promise<string>((resolve) => {
      partition.execute({
        command: "add",
        input,
        ack: "journal",
        read: "local",
        origin: { sender: "s", number, confirmed: 0, attempt: 0 },
        keepsReply: false,
        idempotencyKey: null,
        deadlineAtMs: Number.POSITIVE_INFINITY,
        respond: (outcome, value) => {
          computed.push(value);
          resolve(code(outcome));
        },
      });
    });
  const inFlight = tell(1);
  await held.waiting("putIfAbsent");
  const told = [inFlight, tell(2), tell(1), tell(2)];
  partition.close(failure("PARTITION_STOPPED", "planted"));
  expect(await Promise.all(told)).toEqual([
    "OUTCOME_UNKNOWN",
    "NOT_OWNER",
    "OUTCOME_UNKNOWN",
    "NOT_OWNER",
  ]);
  // What its handler answered comes with an unknown outcome, and with no other.
  expect(computed).toEqual([1, 1, undefined, undefined]);
});

test("P5: the next owner knows a number from the log; without its reply it says that it is known", async () => {
  const grid = await newPartitionGrid();
  const first = openPartition(grid);
  await first.served;
  await add(first.partition, 1);
  await add(first.partition, 2, { keepsReply: false });
  const second = openPartition(grid);
  await second.served;
  expect(code(await add(second.partition, 1, { attempt: 1 }))).toBe("value 1");
  expect(code(await add(second.partition, 2, { keepsReply: false }))).toBe("COMMAND_KNOWN");
  expect(code(await add(second.partition, 3, { confirmed: 2 }))).toBe("value 3");
  // The owner that was fenced says nothing that a sender could take for its answer.
  expect(code(await add(first.partition, 4))).toBe("NOT_OWNER");
  expect(code(await add(second.partition, 2))).toBe("COMMAND_STALE");
  expect(await count(second.partition)).toBe("value 3");
});

test("P5: numbers come out of order and with gaps; a lower confirmed number changes nothing", async () => {
  const { partition } = await heldPartition();
  expect(code(await add(partition, 7, { confirmed: 3 }))).toBe("value 1");
  expect(code(await add(partition, 5, { confirmed: 1 }))).toBe("value 2");
  expect(code(await add(partition, 3))).toBe("COMMAND_STALE");
  expect(code(await add(partition, 4))).toBe("value 3");
  expect(code(await add(partition, 5))).toBe("value 2");
  expect(code(await add(partition, 7))).toBe("value 1");
  expect(await count(partition)).toBe("value 3");
});

test("P5: what changed nothing is not recorded: a refusal or a read runs again, in no record", async () => {
  const { partition } = await heldPartition();
  const origin = { sender: "s", number: 1, confirmed: 0, attempt: 0 };
  expect(code(await run(partition, "add", { key: "a", by: 13 }, { origin }))).toBe(
    "HANDLER_FAILED",
  );
  expect(code(await run(partition, "read", { key: "a" }, { origin }))).toBe("value 0");
  expect(partition.journaled).toBe(1); // the claim
  expect([...partition.memory.entries(senderSpace)]).toEqual([]);
  expect(code(await add(partition, 1))).toBe("value 1");
});

test("P5: with x-ack: memory a repeat is answered at once as well, and has no second effect", async () => {
  const { grid, held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  expect(code(await add(partition, 1, { ack: "memory" }))).toBe("value 1");
  expect(code(await add(partition, 1, { ack: "memory" }))).toBe("value 1");
  const journaled = add(partition, 1); // one that asks for more waits for it
  await held.waiting("putIfAbsent");
  held.release("putIfAbsent");
  expect(code(await journaled)).toBe("value 1");
  const next = openPartition(grid);
  await next.served;
  expect(await count(next.partition)).toBe("value 1");
});

test("P11: what two owners died of is refused, unless it took effect", async () => {
  const { partition } = await heldPartition();
  const attempt = limits.poisonAttempts;
  expect(code(await add(partition, 1, { attempt: attempt - 1 }))).toBe("value 1");
  expect(code(await add(partition, 1, { attempt }))).toBe("value 1");
  expect(code(await add(partition, 2, { attempt }))).toBe("POISON");
  expect(await count(partition)).toBe("value 1");
});

test("P7: two commands of one key have one effect, in the same tick and at the next owner", async () => {
  const { grid, held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  const both = [1, 2].map((number) => add(partition, number, { idempotencyKey: "k" }));
  const read = { idempotencyKey: "k" };
  const other = run(partition, "read", { key: "a" }, read);
  await held.waiting("putIfAbsent");
  held.release("putIfAbsent");
  expect((await Promise.all(both)).map(code)).toEqual(["value 1", "value 1"]);
  expect(code(await other)).toBe("INPUT_INVALID");
  const next = openPartition(grid);
  await next.served;
  const again = { idempotencyKey: "k", attempt: limits.poisonAttempts };
  expect(code(await add(next.partition, 9, again))).toBe("value 1");
  expect(await count(next.partition)).toBe("value 1");
  const long = "k".repeat(limits.idempotencyKeyLengthMax + 1);
  for (const idempotencyKey of [long, "\ud800"]) {
    expect(code(await add(next.partition, 10, { idempotencyKey }))).toBe("INPUT_INVALID");
  }
});

test("P7: a key that was lost with its command is free; one whose fate is unknown says so", async () => {
  const { grid, held, partition } = await heldPartition();
  held.hold("putIfAbsent");
  const inFlight = run(partition, "add", input, { idempotencyKey: "k" });
  await held.waiting("putIfAbsent");
  const waiting = [1, 2].map(() => run(partition, "add", input, { idempotencyKey: "l" }));
  const again = run(partition, "add", input, { idempotencyKey: "k" });
  partition.close(failure("PARTITION_STOPPED", "planted"));
  expect((await Promise.all([inFlight, again, ...waiting])).map(code)).toEqual([
    "OUTCOME_UNKNOWN",
    "OUTCOME_UNKNOWN",
    "NOT_OWNER",
    "NOT_OWNER",
  ]);
  held.release("putIfAbsent"); // it was written after all
  const next = openPartition(grid);
  await next.served;
  expect(code(await run(next.partition, "add", input, { idempotencyKey: "k" }))).toBe("value 1");
  expect(code(await run(next.partition, "add", input, { idempotencyKey: "l" }))).toBe("value 2");
});

test("P5: senders that are gone are forgotten in the log, and their rows at the next owner, too", async () => {
  const grid = await newPartitionGrid();
  const first = openPartition(grid);
  await first.served;
  await add(first.partition, 1);
  await run(first.partition, "add", input, {
    origin: { sender: "t", number: 1, confirmed: 0, attempt: 0 },
  });
  first.partition.forgetSenders((sender) => sender === "s");
  await run(first.partition, "read", input, { read: "linearizable" });
  const next = openPartition(grid);
  await next.served;
  for (const { partition } of [first, next]) {
    expect([...partition.memory.entries(senderSpace)].map(([sender]) => sender)).toEqual(["t"]);
  }
});

test("a full grid: what would change something is refused, the rest is served", async () => {
  const grid = await newPartitionGrid();
  const first = openPartition(grid);
  await first.served;
  await add(first.partition, 1, { idempotencyKey: "k" });
  const { partition, served } = openPartition(grid, {}, { gridBytesMax: 0 });
  await served;
  const refused = await add(partition, 2);
  expect(refused).toMatchObject({ ok: false, failure: { code: "GRID_FULL", kind: "retryable" } });
  expect(await count(partition)).toBe("value 1");
  expect(code(await add(partition, 3, { idempotencyKey: "k" }))).toBe("value 1");
  const next = openPartition(grid);
  await next.served;
  expect(code(await add(next.partition, 2))).toBe("value 2");
});

test("P5, P7: after an hour, three take-overs and a checkpoint a repeat has no effect", async () => {
  const time = new VirtualTime();
  const { clock, timers } = time;
  const grid = await newPartitionGrid(clock);
  const pass = (ms: number) => time.run({ untilMs: time.nowMs + ms, eventsMax: 10_000 });
  const openNext = async () => {
    const opened = openPartition(grid, {}, { clock, timers });
    await pass(1000);
    expect(opened.partition.phase).toBe("serving");
    return opened.partition;
  };
  const sent = async (partition: Partition, key: string | null, number: number) => {
    const outcome = add(partition, number, { idempotencyKey: key });
    await pass(1000);
    return code(await outcome);
  };
  const first = await openNext();
  expect(await sent(first, null, 1)).toBe("value 1");
  expect(await sent(first, "k", 2)).toBe("value 2");
  const checkpoint = await checkpointByHand(grid, time, [counts]); // the first take-over
  await openNext();
  await pass(3_600_000);
  const last = await openNext();
  expect(last.log.state.head).toBe(checkpoint); // loading began there
  expect(await sent(last, null, 1)).toBe("value 1");
  expect(await sent(last, "k", 2)).toBe("value 2");
  expect(await sent(last, "k", 3)).toBe("value 2");
  expect(last.entries("counts")).toContainEqual(["a", { count: 2 }]);
});

test("P7: what changed nothing under a client's key is known, too: an earlier try changes nothing", async () => {
  const grid = await newPartitionGrid();
  const { partition, served } = openPartition(grid);
  await served;
  const read = () => run(partition, "read", { key: "a" }, { idempotencyKey: "k" });
  expect(code(await read())).toBe("value 0");
  await add(partition, 1);
  expect(code(await read())).toBe("value 0");
  expect(await count(partition)).toBe("value 1");
});
