// Goal: virtual time orders everything by (time, sequence), lets each event come to rest, and a
// process in it pauses and dies as a real one. Method: small plans, and a property on the order.
import fc from "fast-check";
import { expect, test } from "vitest";
import { delay } from "../../src/base/timers.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";

const whole = { untilMs: Infinity, eventsMax: 10_000 };

test("events come by their time, those of one moment in the order they were asked for", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(20), fc.boolean())), async (plan) => {
      const time = new VirtualTime();
      const seen: number[] = [];
      const timers = plan.map(([atMs], index) => time.after(atMs, () => seen.push(index)));
      for (const [index, [, cancelled]] of plan.entries()) if (cancelled) timers[index]?.cancel();
      await time.run(whole);
      const expected = plan
        .map(([atMs, cancelled], index) => ({ atMs, cancelled, index }))
        .filter(({ cancelled }) => !cancelled)
        .sort((a, b) => a.atMs - b.atMs || a.index - b.index);
      expect(seen).toEqual(expected.map(({ index }) => index));
    }),
  );
});

test("an event is over when all that it set going rests: microtasks of any depth", async () => {
  const time = new VirtualTime();
  const seen: string[] = [];
  time.after(1, () => {
    void (async () => {
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      seen.push(`chain at ${time.nowMs}`);
    })();
  });
  time.after(1, () => seen.push(`next at ${time.nowMs}`));
  await time.run(whole);
  expect(seen).toEqual(["chain at 1", "next at 1"]);
});

test("the clock stands at the event, then at the end that was asked for", async () => {
  const time = new VirtualTime();
  const wall = time.clock.wallMs();
  const seen: number[] = [];
  const every = time.timers.every(10, () => seen.push(time.clock.monotonicMs()));
  await time.run({ ...whole, untilMs: 35 });
  every.cancel();
  await time.run({ ...whole, untilMs: 100 });
  expect(seen).toEqual([10, 20, 30]);
  expect(time.nowMs).toBe(100);
  expect(time.clock.wallMs() - wall).toBe(100);
});

test("what an event throws ends the run, and so does what never rests", async () => {
  const time = new VirtualTime();
  time.after(0, () => {
    throw new Error("broken event");
  });
  await expect(time.run(whole)).rejects.toThrow("broken event");
  time.timers.every(1, () => undefined);
  await expect(time.run(whole)).rejects.toThrow("no rest after");
});

test("a paused process gets what was for it when it goes on, in order; a dead one nothing", async () => {
  const time = new VirtualTime();
  const process = new VirtualProcess(time);
  const seen: string[] = [];
  const note = (what: string): void => void seen.push(`${what} at ${time.nowMs}`);
  process.timers.after(5, () => note("timer"));
  const cancelled = process.timers.after(6, () => note("cancelled while held"));
  void delay(process.timers, 7).then(() => note("promise"));
  process.pause();
  time.after(8, () => cancelled.cancel());
  time.after(9, () => process.resume());
  process.timers.after(20, () => note("dead"));
  time.after(15, () => process.kill());
  await time.run(whole);
  expect(seen).toEqual(["timer at 9", "promise at 9"]);
});
