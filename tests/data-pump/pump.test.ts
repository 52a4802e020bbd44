// Goal: the pump writes every durable record exactly once and in order, finds out what became of
// a transaction by looking, and halts with the right code where log and database do not fit.
// Method: a database in memory that fails as told, logs in memory, virtual time.
import { expect, test } from "vitest";
import { failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Fault } from "../support/memory-database.ts";
import { item, MemoryLog, PumpWorld, type WorldLane } from "../support/pump-world.ts";

interface OwnedPartition {
  readonly world: PumpWorld;
  readonly lane: WorldLane;
  readonly log: MemoryLog;
  readonly epoch: number;
}

/** One partition with three records before its owner's claim. */
function owned(fault: (write: number) => Fault = () => "none"): OwnedPartition {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  const first = log.claim();
  log.change(first, [item("a", 1), item("b", 1)]);
  log.change(first, [item("a", 2), item("b", null)]);
  let writes = 0;
  const lane = world.lane({ fault: (call) => (call === "write" ? fault(writes++) : "none") });
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  return { world, lane, log, epoch };
}

function codes(lane: WorldLane): string[] {
  return [...lane.halted.values()].map(({ code }) => code);
}

test("D1: what lies before the claim and after it is written, every record counted", async () => {
  const { world, lane, log, epoch } = owned();
  world.put(lane, log, epoch, [item("c", 1)]);
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.row(0)).toMatchObject({ seq: 5, epoch: 4, generation: 1 });
  expect(world.differences()).toEqual([]);
  expect(lane.written.get(0)).toBe(5);
  expect(lane.pump.written(0)).toBe(5);
  expect(lane.pump.backlogRecords).toBe(0);
});

test("D1: writes to one key coalesce, changes of spaces without a table stay in the grid", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const before = world.server.transactions;
  let upserts = 0;
  world.server.onWritten = ({ rows }) => (upserts += rows[0]?.upserts.length ?? 0);
  for (let count = 0; count < 50; count++) {
    const inGridOnly = { space: "memory", key: "k", value: { count } };
    world.put(lane, log, epoch, [item("hot", count), inGridOnly]);
  }
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.transactions).toBe(before + 1);
  expect(upserts).toBe(1);
  expect(world.server.table("items").get("hot")).toEqual({ count: 49 });
});

const badFaults: readonly Fault[] = ["lost", "applied", "late", "away"];

test.each(badFaults)(
  "D4: after a transaction whose outcome is `%s` the row decides, and nothing is done twice",
  async (fault) => {
    const { world, lane, log, epoch } = owned((write) => (write % 2 === 0 ? fault : "none"));
    for (let count = 0; count < 20; count++) {
      world.put(lane, log, epoch, [item(`k${String(count % 3)}`, count)]);
      await world.pass(7);
      expect(world.differences()).toEqual([]);
    }
    expect(await world.drain(lane)).toBe(true);
    expect(world.differences()).toEqual([]);
    expect(world.server.row(0)?.seq).toBe(log.tail);
    expect(codes(lane)).toEqual([]);
  },
);

test("D2: the epoch is claimed before anything is written", async () => {
  const { world, lane } = owned();
  await world.drain(lane);
  expect(lane.database.calls[0]).toBe("claim");
});

test("D5: an owner that was overtaken by a claim in the log halts as fenced", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const old = log.tail;
  world.server.claim(1, [{ partition: 0, epoch: log.claim() }]);
  lane.pump.detach(0);
  lane.pump.attach(log.source(epoch, () => old));
  await world.pass(100);
  expect(codes(lane)).toEqual(["DATABASE_FENCED"]);
  expect(await world.drain(lane)).toBe(false);
});

test("D5: an epoch that is no claim in the log means that the grid lost data", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const row = world.server.row(0);
  if (row !== undefined) world.server.setRow({ ...row, epoch: 9, seq: 100 });
  world.put(lane, log, epoch, [item("c", 1)]);
  await world.pass(100);
  expect(codes(lane)).toEqual(["GRID_LOST"]);
});

test.each([
  ["DATABASE_NEWER", { generation: 2, epoch: 99, seq: 99 }],
  ["DATABASE_LOST", { generation: 0 }],
  ["GRID_LOST", { seq: 50 }],
  ["GRID_LOST", { seq: 2, chain: Buffer.alloc(16, 7) }],
  ["GRID_LOST", { seq: 4, epoch: 4, chain: Buffer.alloc(16, 7) }],
])("D7: %s where the row says %o", async (code, row) => {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  log.change(log.claim(), [item("a", 1)]);
  log.change(1, [item("a", 2)]);
  const lane = world.lane();
  const fresh = { generation: 1, seq: 0, epoch: 0, chain: null, complete: false, letters: 0 };
  world.server.setRow({ partition: 0, ...fresh, ...row });
  lane.pump.attach(log.source(log.claim()));
  await world.pass(100);
  expect(codes(lane)).toEqual([code]);
  expect(world.server.transactions).toBe(0);
});

test("D7: DATABASE_MISFIT where the partition has no row", async () => {
  const world = new PumpWorld();
  world.server.removeRow(0);
  const log = world.logs[0] ?? new MemoryLog(0);
  const lane = world.lane();
  lane.pump.attach(log.source(log.claim()));
  await world.pass(100);
  expect(codes(lane)).toEqual(["DATABASE_MISFIT"]);
});

test("D7: DATABASE_LOST, naming the range, where the log no longer holds what is missing", async () => {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  log.change(log.claim(), [item("a", 1)]);
  log.gone.add(1);
  const lane = world.lane();
  lane.pump.attach(log.source(log.claim()));
  await world.pass(100);
  expect(codes(lane)).toEqual(["DATABASE_LOST"]);
  expect(lane.halted.get(0)?.message).toContain("records 1 to 3 of partition 0");
});

test("D7: what a later owner wrote and trimmed is not lost: the owner before is fenced", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const [first, last] = [log.change(epoch, [item("a", 7)]), log.change(epoch, [item("a", 8)])];
  const next = log.claim();
  world.server.claim(1, [{ partition: 0, epoch: next }]);
  const { position: seq } = last.record;
  const { checksum: chain } = last;
  const clean = { complete: false, letters: 0 };
  world.server.setRow({ partition: 0, generation: 1, epoch: next, seq, chain, ...clean });
  for (const { record } of [first, last]) log.gone.add(record.position);
  await world.pass(10_000);
  expect(codes(lane)).toEqual(["DATABASE_FENCED"]);
});

test("D3: a record that does not continue the chain halts the partition", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const strange = log.change(epoch, [item("x", 1)]);
  const previous = Buffer.alloc(16, 9);
  lane.pump.durable(0, { ...strange, record: { ...strange.record, previous } }, 100);
  await world.pass(100);
  expect(codes(lane)).toEqual(["GRID_LOST"]);
  expect(world.server.table("items").has("x")).toBe(false);
});

test("a restored database is noticed by an owner that has nothing to write, and filled", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const restore = world.server.backup();
  for (let count = 0; count < 10; count++) world.put(lane, log, epoch, [item("c", count)]);
  await world.drain(lane);
  restore();
  expect(world.server.table("items").has("c")).toBe(false);
  await world.pass(2 * limits.pumpIdleCheckMs);
  expect(world.server.table("items").get("c")).toEqual({ count: 9 });
  expect(world.differences()).toEqual([]);
  expect(codes(lane)).toEqual([]);
});

test("a database restored to before the claim is claimed again by its serving owner", async () => {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  const restore = world.server.backup();
  const lane = world.lane();
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  for (let count = 0; count < 10; count++) world.put(lane, log, epoch, [item("c", count)]);
  await world.drain(lane);
  restore();
  world.put(lane, log, epoch, [item("d", 1)]);
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.row(0)).toMatchObject({ epoch, seq: log.tail });
  expect(world.differences()).toEqual([]);
});

test("while the database is away it is tried ever less often, and never given up", async () => {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  const lane = world.lane({ fault: () => "away" });
  lane.pump.attach(log.source(log.claim()));
  await world.pass(1000);
  const early = lane.database.calls.length;
  await world.pass(60_000);
  const tries = lane.database.calls.length - early;
  expect(early).toBeGreaterThan(3);
  // Each of them failed, and one may be under way.
  const { retries, databaseReads } = lane.pump.status();
  expect(lane.database.calls.length - retries).toBe(lane.database.underWay);
  expect(databaseReads).toBe(lane.database.calls.length);
  expect(tries).toBeGreaterThanOrEqual(60_000 / limits.pumpBackoffMsMax);
  expect(tries).toBeLessThanOrEqual((2 * 60_000) / limits.pumpBackoffMsMax + 1);
});

test("a log that cannot be read for a while is read again", async () => {
  const { world, lane, log } = owned();
  log.readFailures.push(
    failure("STORE_TIMEOUT", "no answer"),
    failure("STORE_UNAVAILABLE", "no members"),
  );
  expect(await world.drain(lane)).toBe(true);
  expect(world.differences()).toEqual([]);
});

/** A constraint that somebody made: no item may count 13. */
function refuseThirteen(world: PumpWorld): void {
  world.server.refuses = (_table, _key, value) => {
    return JSON.stringify(value) === '{"count":13}';
  };
}

test("D13: what is refused by itself becomes a letter, what follows it too, nothing else", async () => {
  const world = new PumpWorld(3);
  refuseThirteen(world);
  const lane = world.lane();
  for (const log of world.logs) {
    const epoch = log.claim();
    lane.pump.attach(log.source(epoch));
    for (let count = 0; count < 40; count++) {
      const bad = log.partition === 1 && count === 17 ? [item("bad", 13), item("fine", 2)] : [];
      world.put(lane, log, epoch, [item(`p${log.partition}.${count}`, 1), ...bad]);
    }
  }
  expect(await world.drain(lane)).toBe(true);
  const [, log] = world.logs as [MemoryLog, MemoryLog];
  world.put(lane, log, 1, [item("bad", 14), item("bad", null)]);
  expect(await world.drain(lane)).toBe(true);
  expect(world.differences()).toEqual([]);
  expect(world.server.letters(1)).toMatchObject([
    {
      position: 19,
      change: 1,
      key: "bad",
      value: { count: 13 },
      reason: "row items/bad is refused",
    },
    { position: 42, change: 0, key: "bad", value: { count: 14 }, reason: null },
    { position: 42, change: 1, key: "bad", value: null, reason: null },
  ]);
  expect(world.server.table("items").get("fine")).toEqual({ count: 2 });
  expect(lane.lettered).toEqual(["1:19", "1:42", "1:42"]);
  expect(lane.pump.hasDeadLetters(1)).toBe(true);
  expect(lane.pump.status()).toMatchObject({ deadLetters: 3, problem: null, backlogRecords: 0 });
  expect(codes(lane)).toEqual([]);
});

test("D13: a record of many changes is searched by halves, and a repeat that helps is enough", async () => {
  const { world, lane, log, epoch } = owned();
  refuseThirteen(world);
  const many = Array.from({ length: 500 }, (_, index) => item(`m${index}`, index % 250));
  world.put(lane, log, epoch, many);
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.letters(0).map(({ key }) => key)).toEqual(["m13", "m263"]);
  expect(lane.database.calls.filter((call) => call === "rehearse").length).toBeLessThan(50);
  expect(world.differences()).toEqual([]);
  let refusals = 1;
  world.server.refuses = () => refusals-- > 0;
  world.put(lane, log, epoch, [item("once", 1)]);
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.letters(0).length).toBe(2);
});

test("D12: a new owner, and one whose row was changed by an operator, know what is parked", async () => {
  const { world, lane, log, epoch } = owned();
  refuseThirteen(world);
  world.put(lane, log, epoch, [item("bad", 13)]);
  await world.drain(lane);
  lane.pump.detach(0);
  const next = world.lane();
  const claim = log.claim();
  next.pump.attach(log.source(claim));
  world.put(next, log, claim, [item("bad", 14)]);
  expect(await world.drain(next)).toBe(true);
  expect(world.server.letters(0).length).toBe(2);
  expect(world.differences()).toEqual([]);
  world.server.refuses = () => false;
  world.server.retryLetters(0, "items", "bad", world.tables);
  world.put(next, log, claim, [item("bad", 15)]);
  expect(await world.drain(next)).toBe(true);
  expect(world.server.letters(0)).toEqual([]);
  expect(world.server.table("items").get("bad")).toEqual({ count: 15 });
});

test("D13: with all the letters that it may have a partition stops, and goes on when some go", async () => {
  const world = new PumpWorld(2);
  world.server.refuses = (_table, key) => key.startsWith("bad");
  const lane = world.lane();
  const [log, other] = world.logs as [MemoryLog, MemoryLog];
  const [epoch, otherEpoch] = [log.claim(), other.claim()];
  lane.pump.attach(log.source(epoch));
  lane.pump.attach(other.source(otherEpoch));
  const bad = Array.from({ length: 50 }, () => item("bad", 1));
  for (let count = 0; count < limits.deadLettersMax / 50; count++) {
    world.put(lane, log, epoch, bad);
  }
  expect(await world.drain(lane)).toBe(true);
  world.put(lane, log, epoch, [item("bad", 2)]);
  world.put(lane, other, otherEpoch, [item("other", 2)]);
  expect(await world.drain(lane, 5000)).toBe(false);
  expect(lane.pump.problem?.code).toBe("DEAD_LETTERS_FULL");
  expect(world.server.row(1)?.seq).toBe(other.tail);
  expect(world.server.row(0)?.seq).toBe(log.tail - 1);
  world.server.refuses = () => false;
  world.server.retryLetters(0, "items", "bad", world.tables);
  await world.pass(2 * limits.pumpIdleCheckMs);
  expect(world.server.row(0)?.seq).toBe(log.tail);
  expect(lane.pump.problem).toBeNull();
});

test("D13: a table that refuses every row holds up nobody who has rows for another one", async () => {
  const world = new PumpWorld(4);
  world.server.refuses = (table) => table === "events";
  const lane = world.lane({ delayMs: () => 1 });
  const refused = 40; // records, of 20 changes each
  const logs = world.logs.map((log) => ({ log, epoch: log.claim() }));
  for (const { log, epoch } of logs) lane.pump.attach(log.source(epoch));
  for (const { log, epoch } of logs.slice(1)) {
    for (let count = 0; count < refused; count++) {
      const changes = Array.from({ length: 20 }, (_, n) => {
        return { space: "events", key: `p${log.partition}.${count}.${n}`, value: { count } };
      });
      world.put(lane, log, epoch, changes);
    }
  }
  // Counted, not timed: how often the database is asked until the next record of partition 0 is
  // written, while all records of the others are looked into.
  const [{ log, epoch }] = logs as [(typeof logs)[0]];
  const asked: number[] = [];
  const letters = () => [1, 2, 3].flatMap((partition) => world.server.letters(partition)).length;
  while (letters() < 3 * refused * 20) {
    const before = lane.database.calls.length;
    world.put(lane, log, epoch, [item("fine", asked.length)]);
    while (world.server.row(0)?.seq !== log.tail) await world.pass(1);
    asked.push(lane.database.calls.length - before);
  }
  expect(asked.length).toBeGreaterThan(refused);
  const [first = 0, ...others] = asked;
  expect(first).toBeLessThan(15); // the claim, and all that is first refused together
  expect(Math.max(...others)).toBeLessThan(12); // not the 40 rehearsals of a record in a row
  expect(world.differences()).toEqual([]);
});

test("an append-only table gets a row for each change, in order, none twice", async () => {
  const { world, lane, log, epoch } = owned((write) => (write % 3 === 0 ? "applied" : "none"));
  for (let count = 0; count < 30; count++) {
    const append = { space: "events", key: `e${String(count % 2)}`, value: { count } };
    world.put(lane, log, epoch, [append, { ...append, value: { count: count + 0.5 } }]);
    await world.pass(3);
  }
  expect(await world.drain(lane)).toBe(true);
  const found = world.server.appended("events").map(([, value]) => value);
  expect(found).toEqual(Array.from({ length: 60 }, (_, index) => ({ count: index / 2 })));
});

test("D14: what is large goes behind what is under way, at most two at once, in order", async () => {
  const world = new PumpWorld();
  const [log] = world.logs as [MemoryLog];
  const lane = world.lane({ delayMs: () => 60 });
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  for (let count = 0; count < 20_000; count++) world.put(lane, log, epoch, [item("k", count)]);
  expect(await world.drain(lane)).toBe(true);
  expect(lane.database.mostUnderWay).toBe(limits.pumpTransactionsInFlight);
  expect(world.differences()).toEqual([]);
  const { transactions, syncTime } = lane.pump.status();
  expect(transactions).toBeLessThan(60);
  expect(syncTime.count).toBe(20_001);
});

test("a transaction carries what the database takes within its time", async () => {
  const sizes: number[] = [];
  for (const perRowMs of [0.01, 10]) {
    const world = new PumpWorld();
    const [log] = world.logs as [MemoryLog];
    let rows = 0;
    const lane = world.lane({
      fault: (_call, transaction) => {
        rows = transaction?.rows[0]?.upserts.length ?? 0;
        return "none";
      },
      delayMs: () => 1 + rows * perRowMs,
    });
    const epoch = log.claim();
    lane.pump.attach(log.source(epoch));
    for (let count = 0; count < 10_000; count++) {
      world.put(lane, log, epoch, [item(`k${String(count)}`, count)]);
    }
    expect(await world.drain(lane, 600_000)).toBe(true);
    sizes.push(10_000 / lane.pump.status().transactions);
  }
  const [fast = 0, slow = 0] = sizes;
  expect(fast).toBeGreaterThan(500);
  expect(slow).toBeLessThan(100);
});

test("a drain gives up at its deadline, and says so", async () => {
  const world = new PumpWorld();
  const log = world.logs[0] ?? new MemoryLog(0);
  const lane = world.lane({ fault: () => "away" });
  lane.pump.attach(log.source(log.claim()));
  const startMs = world.time.nowMs;
  expect(await world.drain(lane, 500)).toBe(false);
  expect(world.time.nowMs - startMs).toBe(500);
});

test("without partitions the pump holds no timer, and works again when it gets some", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  lane.pump.detach(0);
  await world.pass(100);
  const rested = world.time.events;
  await world.pass(100_000);
  expect(world.time.events).toBe(rested);
  lane.pump.attach(log.source(epoch));
  world.put(lane, log, epoch, [item("z", 1)]);
  expect(await world.drain(lane)).toBe(true);
  expect(world.server.table("items").get("z")).toEqual({ count: 1 });
});

test("D4: before a trim the row is read again: what it says counts, not what is remembered", async () => {
  const { world, lane, log, epoch } = owned();
  await world.drain(lane);
  const restore = world.server.backup();
  world.put(lane, log, epoch, [item("c", 1)]);
  await world.drain(lane);
  const confirmed: (number | null)[] = [];
  const confirm = async (): Promise<void> => {
    void lane.pump.confirmWritten(0).then((seq) => confirmed.push(seq));
    await world.pass(10);
  };
  await confirm();
  restore();
  await confirm();
  expect(confirmed).toEqual([5, 4]);
  const last = lane.pump.confirmWritten(0);
  lane.pump.detach(0);
  expect(await last).toBeNull();
  expect(await lane.pump.confirmWritten(0)).toBeNull();
});
