// Goal: a client's key is known for exactly its window, in time and in count, wherever it was
// loaded from. Method: requests over a memory, with the time as a number; boundaries by hand.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { requestSpace } from "../../src/processing-units/internal-spaces.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { Requests } from "../../src/processing-units/requests.ts";

function newRequests() {
  const memory = new PartitionMemory([]);
  const requests = new Requests(memory);
  const remember = (key: string, nowMs: number) => {
    const changes = requests.remember(key, nowMs, "buy", key);
    memory.apply(changes);
    return changes;
  };
  const keys = () => [...memory.entries(requestSpace)].map(([key]) => key);
  return { memory, requests, remember, keys };
}

const windowMs = limits.idempotencyWindowMs;

test("P7: a key is known until its window is over, to the millisecond, and then begins anew", () => {
  const { requests, remember, keys } = newRequests();
  expect(requests.find("a", 1000)).toBeNull();
  remember("a", 1000);
  expect(requests.find("a", 1000)).toEqual({ command: "buy", reply: "a" });
  expect(requests.find("a", 1000 + windowMs - 1)).toEqual({ command: "buy", reply: "a" });
  expect(requests.find("a", 1000 + windowMs)).toBeNull();
  remember("a", 1000 + windowMs);
  expect(requests.find("a", 1000 + 2 * windowMs - 1)).not.toBeNull();
  expect(keys()).toEqual(["a"]);
});

test("P7: the newest keys are kept up to the limit, and the oldest leaves with the next", () => {
  const { memory, requests, remember, keys } = newRequests();
  for (let n = 0; n < limits.idempotencyKeysMax; n++) remember(String(n), n);
  expect(requests.find("0", 0)).not.toBeNull();
  expect(remember("new", limits.idempotencyKeysMax)).toEqual([
    { space: requestSpace, key: "new", value: [limits.idempotencyKeysMax, "buy", "new"] },
    { space: requestSpace, key: "0", value: null },
  ]);
  expect(requests.find("0", 0)).toBeNull();
  expect(requests.find("1", 0)).not.toBeNull();
  expect(keys().length).toBe(limits.idempotencyKeysMax);
  // A successor, which loads the keys in another order, lets the same ones go.
  const successor = newRequests();
  for (const [key, value] of [...memory.entries(requestSpace)].reverse()) {
    successor.memory.apply([{ space: requestSpace, key, value }]);
  }
  const left = successor.remember("newer", limits.idempotencyKeysMax);
  expect(left.map(({ key }) => key)).toEqual(["newer", "1"]);
});

test("P7: keys whose time is over leave a few at a time, none of them before its time", () => {
  const { remember, keys } = newRequests();
  for (let n = 0; n < 10; n++) remember(String(n), n);
  remember("x", windowMs + 6); // 0 to 6 are over
  expect(keys()).toEqual(["4", "5", "6", "7", "8", "9", "x"]);
  remember("y", windowMs + 6);
  expect(keys()).toEqual(["7", "8", "9", "x", "y"]);
  // A key that began anew is the newest, whenever it was first used.
  remember("7", windowMs + 7);
  expect(keys().sort()).toEqual(["7", "8", "9", "x", "y"]);
  remember("z", windowMs + 9);
  expect(keys().sort()).toEqual(["7", "x", "y", "z"]);
});
