// Goal: what waits is called back, in order, and a deadline always has an answer.
// Method: deadlines on timers that the test fires; the system's timers by their events.
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { utilizationMeter } from "../../src/base/event-loop.ts";
import { afterMicrotasks } from "../../src/base/microtasks.ts";
import { delay, systemTimers, withDeadline, type Timers } from "../../src/base/timers.ts";
import { ManualTimers } from "../grid/manual-timers.ts";

describe("withDeadline", () => {
  test("gives what the promise gives, and forgets the deadline", async () => {
    const timers = new ManualTimers();
    const promise = Promise.resolve("value");
    expect(await withDeadline(timers, 10, promise, () => "late")).toBe("value");
    expect(timers.waiting).toBe(0);
  });

  test("rejects with what the promise rejects with, before the deadline", async () => {
    const timers = new ManualTimers();
    const broken = Promise.reject<string>(new Error("broken"));
    await expect(withDeadline(timers, 10, broken, () => "late")).rejects.toThrow("broken");
    expect(timers.waiting).toBe(0);
  });

  test.each(["resolves", "rejects"])("gives the fallback, whatever %s later", async (later) => {
    const timers = new ManualTimers();
    const slow = Promise.withResolvers<string>();
    const outcome = withDeadline(timers, 10, slow.promise, () => "late");
    timers.fireAll();
    expect(await outcome).toBe("late");
    if (later === "resolves") slow.resolve("value");
    else slow.reject(new Error("nobody waits for this"));
    expect(await outcome).toBe("late");
  });

  test("asks for the fallback only when it is needed", async () => {
    const timers = new ManualTimers();
    let asked = 0;
    const outcome = withDeadline(timers, 10, Promise.resolve(1), () => ++asked);
    expect(await outcome).toBe(1);
    timers.fireAll();
    expect(asked).toBe(0);
  });
});

describe("the system's timers", () => {
  const timers: Timers = systemTimers;

  test("after and delay call back, not before their time", async () => {
    const started = systemClock.monotonicMs();
    await delay(timers, 2);
    await new Promise<void>((resolve) => {
      timers.after(2, resolve);
    });
    // Node counts from the start of the tick that asks, so each may be short by what it took.
    expect(systemClock.monotonicMs() - started).toBeGreaterThan(1);
  });

  test("every calls back again and again, and what was cancelled not any more", async () => {
    let calls = 0;
    const cancelled = timers.after(1, () => (calls += 100));
    cancelled.cancel();
    cancelled.cancel();
    await new Promise<void>((resolve) => {
      const first = timers.every(1, () => {
        if (++calls === 3) first.cancel();
      });
      let others = 0;
      const second = timers.every(1, () => {
        if (++others < 6) return;
        second.cancel();
        resolve();
      });
    });
    expect(calls).toBe(3);
  });

  test("the end of the tick comes after all promises that are ready, in order", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      systemTimers.endOfTick(() => order.push("first end"));
      systemTimers.endOfTick(() => {
        order.push("second end");
        resolve();
      });
      afterMicrotasks(() => order.push("after microtasks"));
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => order.push("promise"));
      order.push("code");
    });
    expect(order).toEqual(["code", "promise", "after microtasks", "first end", "second end"]);
  });
});

test("the clock: wall time is whole milliseconds of today, monotonic time never goes back", () => {
  expect(Number.isInteger(systemClock.wallMs())).toBe(true);
  expect(systemClock.wallMs()).toBeGreaterThan(Date.UTC(2025, 0));
  let last = systemClock.monotonicMs();
  for (let reading = 0; reading < 1000; reading++) {
    const now = systemClock.monotonicMs();
    expect(now).toBeGreaterThanOrEqual(last);
    last = now;
  }
});

test("the event loop's utilization is a share", () => {
  const read = utilizationMeter();
  for (const share of [read(), read()]) {
    expect(share).toBeGreaterThanOrEqual(0);
    expect(share).toBeLessThanOrEqual(1);
  }
});
