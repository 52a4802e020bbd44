// Goal: a command is answered once, wherever it enters; limits and deadlines have their answers.
// Method: two real lanes on one memory store, linked by a message channel, in one thread.
import { MessageChannel } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { Store } from "../../src/grid/store.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { staticOwners } from "../../src/messaging-grid/owner-table.ts";
import { PortLink } from "../../src/messaging-grid/port-link.ts";
import type { SubmitOptions } from "../../src/processing-units/edge-context.ts";
import { Lane } from "../../src/processing-units/lane.ts";
import { counterApplication, counts } from "../support/counter-application.ts";
import { HeldMap } from "../support/held-map.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";

const partitions = 4;
const messengers: Messenger[] = [];

afterEach(() => {
  for (const messenger of messengers.splice(0)) messenger.close();
});

async function twoLanes() {
  const grid = await newMemoryGrid(partitions);
  const held = new HeldMap(grid.store.map("grid.1"));
  const store: Store = { map: () => held, close: () => Promise.resolve() };
  const lanes = [0, 1].map((number) => {
    const messenger = new Messenger({
      clock: systemClock,
      timers: systemTimers,
      onRequest: (_peer, request, respond) => {
        lane.receive(request, respond);
      },
    });
    messengers.push(messenger);
    const serving = Promise.withResolvers<void>();
    let toServe = partitions / 2;
    const lane: Lane = new Lane({
      lane: number,
      address: `lane-${String(number)}`,
      incarnation: `i${String(number)}`,
      identity: grid.identity,
      store,
      application: counterApplication,
      owners: staticOwners(partitions, 2),
      messenger,
      pump: null,
      clock: systemClock,
      timers: systemTimers,
      random: seededRandom(number),
      listener: {
        serving: () => {
          if (--toServe === 0) serving.resolve();
        },
        stopped: () => undefined,
      },
    });
    return { lane, messenger, serving: serving.promise };
  });
  const [one, two] = lanes as [(typeof lanes)[0], (typeof lanes)[0]];
  const { port1, port2 } = new MessageChannel();
  one.messenger.connect(1, new PortLink(port1));
  two.messenger.connect(0, new PortLink(port2));
  one.lane.open();
  two.lane.open();
  await Promise.all([one.serving, two.serving]);
  return { one, two, held };
}

function submit(
  lane: Lane,
  name: string,
  input: Value,
  options: SubmitOptions = {},
): Promise<Outcome<Value>> {
  return new Promise((respond) => {
    lane.submit(name, input, options, respond);
  });
}

function code(outcome: Outcome<Value>): string {
  return outcome.ok ? `value ${JSON.stringify(outcome.value)}` : outcome.failure.code;
}

/** A key whose partition belongs to lane 0, and one whose belongs to lane 1. */
const [keyOfOne, keyOfTwo] = [0, 1].map((lane) => {
  for (let key = 0; ; key++) {
    if (partitionOf(String(key), partitions) % 2 === lane) return String(key);
  }
}) as [string, string];

test("E1: a command runs where its partition is owned, wherever it enters", async () => {
  const { one, two } = await twoLanes();
  expect(code(await submit(one.lane, "add", { key: keyOfTwo, by: 2 }))).toBe("value 2");
  expect(code(await submit(two.lane, "add", { key: keyOfTwo, by: 3 }))).toBe("value 5");
  expect([...one.lane.entries(counts)]).toEqual([]);
  expect([...two.lane.entries(counts)]).toEqual([[keyOfTwo, { count: 5 }]]);
});

test("E1: failures come back as they are; unknown commands and bad keys are refused", async () => {
  const { one } = await twoLanes();
  for (const key of [keyOfOne, keyOfTwo]) {
    expect(code(await submit(one.lane, "add", { key, by: 13 }))).toBe("HANDLER_FAILED");
  }
  expect(code(await submit(one.lane, "nothing", {}))).toBe("COMMAND_UNKNOWN");
  expect(code(await submit(one.lane, "add", { key: "k".repeat(2000), by: 1 }))).toBe(
    "INPUT_INVALID",
  );
});

test("E1: at its deadline a command is answered as unknown, once, and forgotten", async () => {
  const { one, held } = await twoLanes();
  held.hold("putIfAbsent");
  for (const key of [keyOfOne, keyOfTwo]) {
    const outcome = await submit(one.lane, "add", { key, by: 1 }, { deadlineMs: 5 });
    expect(code(outcome)).toBe("DEADLINE_EXCEEDED");
    expect(outcome.ok ? "" : outcome.failure.kind).toBe("unknown");
  }
  expect(one.lane.inFlight).toBe(0);
  held.release("putIfAbsent");
  expect(code(await submit(one.lane, "read", { key: keyOfTwo }))).toBe("value 1");
});

test("E2: too many commands in flight are refused at once", async () => {
  const { one, held } = await twoLanes();
  held.hold("putIfAbsent");
  const answers: string[] = [];
  const key = keyOfTwo;
  for (let count = 0; count < limits.laneCommandsInFlightMax; count++) {
    const name = count % 2 === 0 ? keyOfOne : keyOfTwo;
    one.lane.submit("add", { key: name, by: 1 }, {}, (outcome) => answers.push(code(outcome)));
  }
  one.lane.submit("add", { key, by: 1 }, {}, (outcome) => answers.push(code(outcome)));
  expect(answers).toEqual(["OVERLOADED"]);
  held.release("putIfAbsent");
  await one.lane.drain();
  expect(answers.length).toBe(limits.laneCommandsInFlightMax + 1);
});

test("M3: when the owner's lane is gone, the answer is unknown, not silence", async () => {
  const { one, two, held } = await twoLanes();
  held.hold("putIfAbsent");
  const waiting = submit(one.lane, "add", { key: keyOfTwo, by: 1 });
  await held.waiting("putIfAbsent");
  two.messenger.close();
  expect(code(await waiting)).toBe("LANE_LOST");
  // What is not sent at all has definitely not happened.
  expect(code(await submit(one.lane, "add", { key: keyOfTwo, by: 1 }))).toBe("PARTITION_STARTING");
  held.release("putIfAbsent");
});

test("U2: what was answered before it was journaled is journaled before a lane ends", async () => {
  const { one, held } = await twoLanes();
  held.hold("putIfAbsent");
  const early = await submit(one.lane, "add", { key: keyOfOne, by: 1 }, { ack: "memory" });
  expect(code(early)).toBe("value 1");
  await one.lane.drain();
  const closed = one.lane.close();
  await held.waiting("putIfAbsent");
  held.release("putIfAbsent");
  await closed;
  const number = partitionOf(keyOfOne, partitions);
  const status = one.lane.partitionStatus().find(({ partition }) => partition === number);
  expect(status).toMatchObject({ journaled: 2 }); // 0 is genesis, 1 the claim
});

test("U2: a draining lane refuses new commands and answers those in flight", async () => {
  const { one, held } = await twoLanes();
  held.hold("putIfAbsent");
  const inFlight = submit(one.lane, "add", { key: keyOfOne, by: 1 });
  await held.waiting("putIfAbsent");
  const drained = one.lane.drain();
  expect(code(await submit(one.lane, "add", { key: keyOfOne, by: 1 }))).toBe("SHUTTING_DOWN");
  held.release("putIfAbsent");
  await drained;
  expect(code(await inFlight)).toBe("value 1");
  expect(await one.lane.close()).toBe(true);
});
