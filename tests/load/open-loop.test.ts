// Goal: what is due is sent whatever the server does, and times count from the plan.
// Method: a manual clock; the server is a queue with one place that a test can stall.
import { expect, test } from "vitest";
import { fixedPlan } from "../../src/load/arrival-plan.ts";
import type { Finish } from "../../src/load/open-loop.ts";
import { OpenLoop } from "../../src/load/open-loop.ts";
import { ManualTime } from "./manual-time.ts";

/** Serves one request after the other, each in `serviceMs`, from when it is not stalled. */
function serialServer(time: ManualTime, serviceMs: number, stall: { fromMs: number; ms: number }) {
  let freeAtMs = 0;
  return (_number: number, finish: Finish) => {
    let startMs = Math.max(time.monotonicMs(), freeAtMs);
    if (startMs >= stall.fromMs && startMs < stall.fromMs + stall.ms) {
      startMs = stall.fromMs + stall.ms;
    }
    freeAtMs = startMs + serviceMs;
    time.after(freeAtMs - time.monotonicMs(), () => finish(true));
  };
}

test("a stall shows in the response times of all requests that were due during it", async () => {
  const time = new ManualTime();
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: 5000, ratePerSecond: 100 }]),
    inFlightMax: 1000,
    clock: time,
    timers: time,
    send: serialServer(time, 1, { fromMs: 2000, ms: 500 }),
  });
  const done = loop.run();
  time.advance(10_000);
  await done;
  const { response, sent, notSent } = loop.total();
  expect({ sent, notSent }).toEqual({ sent: 500, notSent: 0 });
  // 50 of 500 requests were due in the stall and waited 500, 490, … 10 ms, and then in turn.
  expect(response.percentileMs(50)).toBeLessThan(2);
  expect(response.percentileMs(90)).toBeGreaterThanOrEqual(1);
  expect(response.percentileMs(95)).toBeGreaterThan(200);
  expect(response.percentileMs(99)).toBeGreaterThan(400);
  expect(response.summaryMs().max).toBeGreaterThanOrEqual(500);
  // A closed loop would have sampled the stall once: 1 of 500 is below its 99th percentile.
});

test("time that the generator itself lost counts in the response time, and as lateness", async () => {
  const time = new ManualTime();
  let blocked = true;
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: 100, ratePerSecond: 100 }]),
    inFlightMax: 1000,
    clock: time,
    timers: {
      // The pacer's timer does not come through before the generator is free again.
      after: (delayMs, callback) => {
        const retry = () => {
          if (blocked) time.after(1, retry);
          else callback();
        };
        return time.after(delayMs, retry);
      },
    },
    send: (_number, finish) => finish(true),
  });
  const done = loop.run();
  time.advance(50);
  blocked = false;
  time.advance(100);
  await done;
  const { response, service, lateness } = loop.total();
  // The first was sent at once; those of 10, 20, … 50 ms at 51 ms, or 41 … 1 ms late.
  expect(lateness.summaryMs().max).toBeCloseTo(41, 1);
  expect(response.summaryMs().max).toBeCloseTo(41, 1);
  expect(service.summaryMs().max).toBeLessThan(0.01);
});

test("a wait for a connection is response time, and no service time", async () => {
  const time = new ManualTime();
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: 10, ratePerSecond: 1000 }]),
    inFlightMax: 100,
    clock: time,
    timers: time,
    send: (number, finish, sent) => {
      if (number % 2 === 0) {
        time.after(5, () => finish(true));
      } else {
        time.after(20, () => {
          sent();
          time.after(5, () => finish(true));
        });
      }
    },
  });
  const done = loop.run();
  time.advance(100);
  await done;
  const { response, service } = loop.total();
  expect(service.count).toBe(10);
  expect(service.summaryMs().max).toBeCloseTo(5, 1);
  expect(response.percentileMs(50)).toBeCloseTo(5, 1);
  expect(response.percentileMs(60)).toBeCloseTo(25, 1);
});

test("above the cap of requests in flight, what is due is counted as not sent", async () => {
  const time = new ManualTime();
  const held: Finish[] = [];
  const numbers: number[] = [];
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: 10, ratePerSecond: 1000 }]),
    inFlightMax: 3,
    clock: time,
    timers: time,
    send: (number, finish) => {
      numbers.push(number);
      held.push(finish);
    },
  });
  const done = loop.run();
  time.advance(5);
  for (const finish of held.splice(0)) finish(true);
  time.advance(100);
  expect(loop.counts).toEqual({ planned: 10, sent: 6, notSent: 4, inFlight: 3 });
  // A number belongs to a moment of the plan, so the same moment gets the same request again.
  expect(numbers).toEqual([0, 1, 2, 6, 7, 8]);
  for (const finish of held) finish(true);
  await done;
  expect(time.timersLeft).toBe(0);
});

test("windows add up to the total", async () => {
  const time = new ManualTime();
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: 3000, ratePerSecond: 100 }]),
    inFlightMax: 10,
    clock: time,
    timers: time,
    send: (number, finish) => time.after(5, () => finish(number % 10 !== 0)),
  });
  const done = loop.run();
  const windows = [1000, 1000, 2000].map((ms) => {
    time.advance(ms);
    return loop.takeWindow();
  });
  await done;
  expect(windows.map(({ sent }) => sent)).toEqual([101, 100, 99]);
  const total = loop.total();
  expect(total.sent).toBe(300);
  expect(total.finished).toBe(300);
  expect(total.response.count).toBe(270);
  expect(windows.reduce((sum, { response }) => sum + response.count, 0)).toBe(270);
});

test("a stopped loop ends when what is in flight has finished", async () => {
  const time = new ManualTime();
  const held: Finish[] = [];
  const loop = new OpenLoop({
    plan: fixedPlan([{ durationMs: Infinity, ratePerSecond: 1000 }]),
    inFlightMax: 10,
    clock: time,
    timers: time,
    send: (_number, finish) => held.push(finish),
  });
  let ended = false;
  const done = loop.run().then(() => {
    ended = true;
  });
  time.advance(1);
  loop.stop();
  time.advance(1000);
  await Promise.resolve();
  expect({ held: held.length, ended }).toEqual({ held: 2, ended: false });
  for (const finish of held) finish(true);
  await done;
});
