// Goal: a bounded queue is a queue, and at its limit it says so. Method: any sequence of calls
// against an array (property).
import fc from "fast-check";
import { expect, test } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { BoundedQueue } from "../../src/base/bounded-queue.ts";

test("any calls give what a plain array of limited length gives", () => {
  const calls = fc.array(fc.constantFrom("push", "push", "shift", "peek"), {
    maxLength: 300,
    size: "max",
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), calls, (capacity, list) => {
      const queue = new BoundedQueue<number>(capacity);
      const model: number[] = [];
      for (const [number, call] of list.entries()) {
        if (call === "push") {
          const room = model.length < capacity;
          expect(queue.push(number)).toBe(room);
          if (room) model.push(number);
        } else if (call === "shift") {
          expect(queue.shift()).toBe(model.shift());
        } else {
          expect(queue.peek()).toBe(model[0]);
        }
        expect(queue.length).toBe(model.length);
      }
      expect(queue.capacity).toBe(capacity);
    }),
  );
});

test("a full queue takes nothing, and takes again once there is room", () => {
  const queue = new BoundedQueue<number>(1000);
  for (let number = 0; number < 1000; number++) expect(queue.push(number)).toBe(true);
  expect(queue.push(1000)).toBe(false);
  expect(queue.shift()).toBe(0);
  expect(queue.push(1001)).toBe(true);
  expect(queue.push(1002)).toBe(false);
  const rest = Array.from({ length: 1000 }, () => queue.shift());
  expect(rest).toEqual([...Array.from({ length: 999 }, (_, index) => index + 1), 1001]);
});

test("a queue without a capacity is a bug", () => {
  for (const capacity of [0, -1, 1.5, Number.NaN]) {
    expect(() => new BoundedQueue(capacity)).toThrow(AssertionError);
  }
});
