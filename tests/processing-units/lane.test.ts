// Goal: a command is answered once, wherever it enters; limits and deadlines have their answers.
// Method: real lanes on one memory store, linked by message channels, in one thread.
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { unwrap, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { RosterSlot } from "../../src/grid/roster.ts";
import type { Store } from "../../src/grid/store.ts";
import type { SubmitOptions } from "../../src/processing-units/edge-context.ts";
import type { Lane } from "../../src/processing-units/lane.ts";
import { laneCard } from "../grid/roster-cards.ts";
import { counterApplication, counts } from "../support/counter-application.ts";
import { HeldMap } from "../support/held-map.ts";
import { LaneNetwork } from "../support/lane-network.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import { openPartition } from "../support/partition-kit.ts";

const partitions = 4;
const networks: LaneNetwork[] = [];

afterEach(async () => {
  for (const network of networks.splice(0)) await network.cut();
});

/** Two lanes with two partitions each, and a key for each of them. */
async function twoLanes() {
  const grid = await newMemoryGrid(partitions);
  const held = new HeldMap(grid.store.map("grid.1"));
  const store: Store = { map: () => held, close: () => Promise.resolve() };
  const network = new LaneNetwork(grid.identity, counterApplication);
  networks.push(network);
  const [one, two] = ["one", "two"].map((name) => network.add({ name, store })) as [Lane, Lane];
  await network.join();
  const { identity } = grid;
  return { one, two, held, identity, network, keyOfOne: keyIn(one), keyOfTwo: keyIn(two) };
}

/** A key whose partition this lane serves. */
function keyIn(lane: Lane): string {
  const served = new Set(lane.partitionStatus().map(({ partition }) => partition));
  for (let key = 0; ; key++) {
    if (served.has(partitionOf(String(key), partitions))) return String(key);
  }
}

function submit(
  lane: Lane,
  name: string,
  input: Value,
  options: SubmitOptions = { deadlineMs: 30_000 },
): Promise<Outcome<Value>> {
  return new Promise((respond) => {
    lane.submit(name, input, options, respond);
  });
}

function code(outcome: Outcome<Value>): string {
  return outcome.ok ? `value ${JSON.stringify(outcome.value)}` : outcome.failure.code;
}

test("E1: a command runs where its partition is owned, wherever it enters", async () => {
  const { one, two, keyOfTwo } = await twoLanes();
  expect(code(await submit(one, "add", { key: keyOfTwo, by: 2 }))).toBe("value 2");
  expect(code(await submit(two, "add", { key: keyOfTwo, by: 3 }))).toBe("value 5");
  expect([...one.entries(counts)]).toEqual([]);
  expect([...two.entries(counts)]).toEqual([[keyOfTwo, { count: 5 }]]);
});

test("E1: failures come back as they are; unknown commands and bad keys are refused", async () => {
  const { one, keyOfOne, keyOfTwo } = await twoLanes();
  for (const key of [keyOfOne, keyOfTwo]) {
    expect(code(await submit(one, "add", { key, by: 13 }))).toBe("HANDLER_FAILED");
  }
  expect(code(await submit(one, "nothing", {}))).toBe("COMMAND_UNKNOWN");
  expect(code(await submit(one, "add", { key: "k".repeat(2000), by: 1 }))).toBe("INPUT_INVALID");
});

test("E1: at its deadline a command is answered as unknown, once, and forgotten", async () => {
  const { one, held, keyOfOne, keyOfTwo } = await twoLanes();
  held.hold("putIfAbsent");
  for (const key of [keyOfOne, keyOfTwo]) {
    const outcome = await submit(one, "add", { key, by: 1 }, { deadlineMs: 5 });
    expect(code(outcome)).toBe("DEADLINE_EXCEEDED");
    expect(outcome.ok ? "" : outcome.failure.kind).toBe("unknown");
  }
  expect(one.inFlight).toBe(0);
  held.release("putIfAbsent");
  expect(code(await submit(one, "read", { key: keyOfTwo }))).toBe("value 1");
});

test("E2: too many commands in flight are refused at once", async () => {
  const { one, held, keyOfOne, keyOfTwo } = await twoLanes();
  held.hold("putIfAbsent");
  const answers: string[] = [];
  const key = keyOfTwo;
  for (let count = 0; count < limits.laneCommandsInFlightMax; count++) {
    const name = count % 2 === 0 ? keyOfOne : keyOfTwo;
    one.submit("add", { key: name, by: 1 }, {}, (outcome) => answers.push(code(outcome)));
  }
  one.submit("add", { key, by: 1 }, {}, (outcome) => answers.push(code(outcome)));
  expect(answers).toEqual(["OVERLOADED"]);
  held.release("putIfAbsent");
  await one.drain();
  expect(answers.length).toBe(limits.laneCommandsInFlightMax + 1);
});

test("M3: a link that ends loses no command: it is asked for again, and runs once", async () => {
  const { one, two, held, network, keyOfTwo } = await twoLanes();
  held.hold("putIfAbsent");
  const waiting = submit(one, "add", { key: keyOfTwo, by: 1 }, { deadlineMs: 30_000 });
  await held.waiting("putIfAbsent");
  await network.cut(); // nothing connects them any more
  const other = submit(one, "add", { key: keyOfTwo, by: 1 }, { deadlineMs: 50 });
  // What was not sent at all has definitely not happened.
  expect(code(await other)).toBe("PEER_UNREACHABLE");
  network.mend();
  held.release("putIfAbsent");
  expect(code(await waiting)).toBe("value 1");
  expect([...two.entries(counts)]).toEqual([[keyOfTwo, { count: 1 }]]);
});

test("U2: what was answered before it was journaled is journaled before a lane ends", async () => {
  const { one, two, held, keyOfOne } = await twoLanes();
  held.hold("putIfAbsent");
  const early = await submit(
    one,
    "add",
    { key: keyOfOne, by: 1 },
    { ack: "memory", deadlineMs: 30_000 },
  );
  expect(code(early)).toBe("value 1");
  await one.drain();
  const closed = one.close();
  await held.waiting("putIfAbsent");
  held.release("putIfAbsent");
  await closed;
  expect(code(await submit(two, "read", { key: keyOfOne }))).toBe("value 1");
});

test("U2: a draining lane refuses new commands and answers those in flight", async () => {
  const { one, held, keyOfOne } = await twoLanes();
  held.hold("putIfAbsent");
  const inFlight = submit(one, "add", { key: keyOfOne, by: 1 });
  await held.waiting("putIfAbsent");
  const drained = one.drain();
  expect(code(await submit(one, "add", { key: keyOfOne, by: 1 }))).toBe("SHUTTING_DOWN");
  held.release("putIfAbsent");
  await drained;
  expect(code(await inFlight)).toBe("value 1");
  expect(await one.close()).toBe(true);
});

test("P9: a lane that leaves hands over what it has; commands wait, and none is lost", async () => {
  const { one, two, keyOfOne, keyOfTwo } = await twoLanes();
  const answers = [keyOfOne, keyOfTwo].map((key) => submit(two, "add", { key, by: 1 }));
  await Promise.all(answers);
  const closed = one.close();
  const during = [keyOfOne, keyOfTwo].map((key) => submit(two, "add", { key, by: 1 }));
  expect((await Promise.all(during)).map(code)).toEqual(["value 2", "value 2"]);
  await closed;
  expect(two.partitionStatus()).toHaveLength(partitions);
  expect(new Map(two.entries(counts)).get(keyOfOne)).toEqual({ count: 2 });
});

test.for([
  ["a later claim", "owned"],
  ["a later claim that was released", "witnessed"],
] as const)(
  "M6: an owner that hears of %s gives way, though it writes nothing",
  async ([, list]) => {
    const { one, two, held, identity, keyOfOne } = await twoLanes();
    const partition = partitionOf(keyOfOne, partitions);
    // Somebody claims it, says so in the roster, and is never heard of again.
    const other = openPartition({ identity, map: held }, {}, { partition });
    await other.served;
    const { epoch } = other.partition;
    const slot = new RosterSlot({ map: held, timers: systemTimers, clock: systemClock });
    const card = laneCard({ incarnation: "other", wallMs: systemClock.wallMs() });
    const joins = { mayTake: () => false, predecessor: null };
    unwrap(
      await slot.join({ ...card, [list]: [{ partition, epoch, acknowledged: epoch }] }, joins),
    );
    await new Promise<void>((resolve) => {
      const look = systemTimers.every(10, () => {
        const has = [one, two].flatMap((lane) => lane.partitionStatus());
        if (!has.some((each) => each.partition === partition && each.epoch > epoch)) return;
        look.cancel();
        resolve();
      });
    });
    expect(code(await submit(two, "add", { key: keyOfOne, by: 1 }))).toBe("value 1");
  },
);

test("O1: a lane that joins gets its share, from lanes that go on", async () => {
  const { one, two, network, keyOfOne, keyOfTwo, held } = await twoLanes();
  const store: Store = { map: () => held, close: () => Promise.resolve() };
  const three = network.add({ name: "three", store });
  unwrap(await three.join());
  let sent = 0;
  const failures: string[] = [];
  const load = systemTimers.every(10, () => {
    for (const key of [keyOfOne, keyOfTwo]) {
      sent++;
      two.submit("add", { key, by: 1 }, { deadlineMs: 20_000 }, (outcome) => {
        if (!outcome.ok) failures.push(outcome.failure.code);
      });
    }
  });
  await network.settled();
  load.cancel();
  await two.drain();
  expect(failures).toEqual([]);
  expect(three.partitionStatus().length).toBeGreaterThan(0);
  const all = new Map([one, two, three].flatMap((lane) => [...lane.entries(counts)]));
  expect([keyOfOne, keyOfTwo].map((key) => all.get(key))).toEqual([
    { count: sent / 2 },
    { count: sent / 2 },
  ]);
});
