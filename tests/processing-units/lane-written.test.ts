// Goal: an answer "written" is right and comes once, wherever its command entered and whatever
// becomes of owners while it waits. Method: real lanes in one thread, a database in memory that is
// away until the partitions have moved.
import { afterEach, expect, test } from "vitest";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { lanesWithDatabase, keysIn, submit } from "../support/lanes-with-database.ts";
import type { LaneNetwork } from "../support/lane-network.ts";
import { code } from "../support/partition-kit.ts";

const partitions = 4;
const networks: LaneNetwork[] = [];
const patient = { ack: "written", deadlineMs: 30_000 } as const;

afterEach(async () => {
  for (const network of networks.splice(0)) await network.cut();
});

async function newLanes() {
  const lanes = await lanesWithDatabase(partitions);
  networks.push(lanes.network);
  return lanes;
}

/** Collects answers as they come. */
function gather(answers: Promise<Outcome<Value>>[]): string[] {
  const came: string[] = [];
  for (const answer of answers) void answer.then((outcome) => came.push(code(outcome)));
  return came;
}

test("P13: the rows are there when the answer is, one hop away as well", async () => {
  const { server, network, add } = await newLanes();
  const [one] = [add("one"), add("two")];
  await network.join();
  for (let key = 0; key < 8; key++) {
    const name = String(key);
    expect(code(await submit(one, "add", { key: name, by: 3 }, patient))).toBe("value 3");
    expect(server.table("counts").get(name)).toEqual({ count: 3 });
  }
});

test("P13: where partitions move while it waits, the next owner answers, once and right", async () => {
  const { server, network, database, add } = await newLanes();
  const one = add("one");
  await network.join();
  const keys = keysIn(one, partitions);
  database.isAway = true;
  const asked = keys.map((key) => submit(one, "add", { key, by: 1 }, patient));
  const came = gather(asked);
  await Promise.all(keys.map((key) => submit(one, "add", { key, by: 1 })));
  const two = add("two");
  await two.join();
  await network.settled(); // two has half of them: what entered in one is a hop away now
  const moved = keysIn(two, partitions);
  const hops = moved.map((key) => submit(one, "add", { key, by: 1 }, patient));
  const cameLater = gather(hops);
  await Promise.all(moved.map((key) => submit(one, "add", { key, by: 1 })));
  await two.close(); // and back again
  await Promise.all(moved.map((key) => submit(one, "add", { key, by: 1 }, { deadlineMs: 30_000 })));
  expect([...came, ...cameLater]).toEqual([]);
  expect(server.table("counts").size).toBe(0);
  database.isAway = false;
  expect((await Promise.all(asked)).map(code)).toEqual(keys.map(() => "value 1"));
  expect((await Promise.all(hops)).map(code)).toEqual(hops.map(() => "value 3"));
  for (const key of keys) {
    const count = moved.includes(key) ? 5 : 2;
    expect(server.table("counts").get(key)).toEqual({ count });
  }
});

test("U2: what moved unwritten long before a lane leaves does not count when it says that all is written", async () => {
  const { network, database, add } = await newLanes();
  const one = add("one");
  await network.join();
  const keys = keysIn(one, partitions);
  database.isAway = true;
  await Promise.all(keys.map((key) => submit(one, "add", { key, by: 1 })));
  await add("two").join();
  await network.settled();
  database.isAway = false;
  const asked = keys.map((key) => submit(one, "add", { key, by: 1 }, patient));
  expect((await Promise.all(asked)).map(code)).toEqual(keys.map(() => "value 2"));
  expect(await one.close()).toBe(true);
});

test("E1, P13: at its deadline it is told that it is journaled; who does not wait goes on", async () => {
  const { network, database, add } = await newLanes();
  const one = add("one");
  await network.join();
  database.isAway = true;
  const input = { key: "a", by: 1 };
  const outcome = await submit(one, "add", input, { ack: "written", deadlineMs: 1000 });
  expect(outcome).toMatchObject({ failure: { code: "DEADLINE_EXCEEDED", kind: "unknown" } });
  expect(outcome.ok ? "" : outcome.failure.message).toMatch(/^journaled, and not known/);
  expect(code(await submit(one, "add", input))).toBe("value 2");
});

test("E2: those that wait for the database leave room for others", async () => {
  const { network, database, add } = await newLanes();
  const one = add("one");
  await network.join();
  database.isAway = true;
  const asked: Promise<Outcome<Value>>[] = [];
  for (let count = 0; count < limits.laneWrittenInFlightMax; count++) {
    asked.push(submit(one, "add", { key: String(count), by: 1 }, patient));
  }
  const input = { key: "a", by: 1 };
  expect(code(await submit(one, "add", input, patient))).toBe("OVERLOADED");
  expect(code(await submit(one, "add", input))).toBe("value 1");
  database.isAway = false;
  const answers = new Set((await Promise.all(asked)).map(code));
  expect([...answers]).toEqual(["value 1"]);
});
