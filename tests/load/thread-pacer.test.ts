// Goal: a time that is kept is kept once and not early; one that was given up is not kept at all.
// Method: the real thread, one sleep after the other; how late it may be depends on the machine and
// is not judged.
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { machineClock } from "../../src/base/clock.ts";
import { PacerSlot } from "../../src/load/pacer-slot.ts";
import { ThreadPacer } from "../../src/load/thread-pacer.ts";

async function startedPacer(): Promise<ThreadPacer> {
  const pacer = await ThreadPacer.start();
  onTestFinished(() => pacer.close());
  return pacer;
}

test("each time is kept once, and not before it has come", async () => {
  const pacer = await startedPacer();
  for (const delayMs of [0, 0.2, 1.5, 20, 0.05]) {
    const askedMs = machineClock.monotonicMs();
    await new Promise<void>((resolve) => pacer.after(delayMs, resolve));
    expect(machineClock.monotonicMs() - askedMs).toBeGreaterThanOrEqual(delayMs - 0.001);
  }
});

test("a time that was given up is not kept, and the next one is", async () => {
  const pacer = await startedPacer();
  const kept: string[] = [];
  pacer.after(60_000, () => kept.push("a minute")).cancel();
  pacer.after(0, () => kept.push("nothing at all")).cancel();
  await new Promise<void>((resolve) => {
    const again = () => {
      // An earlier one's end may still have been on its way: it may come early, but only once.
      kept.push("the last");
      resolve();
    };
    pacer.after(1, again);
  });
  expect(kept).toEqual(["the last"]);
});

test("only one time is kept at once", async () => {
  const pacer = await startedPacer();
  pacer.after(60_000, () => undefined);
  expect(() => pacer.after(1, () => undefined)).toThrow(/one time is kept at a time/);
});

test("a wake-up that comes late, when its question has been seen, ends no sleep", async () => {
  const slot = new PacerSlot();
  const url = new URL("../../src/load/pacer-worker.ts", import.meta.url);
  const worker = new Worker(url, { workerData: slot.shared });
  onTestFinished(async () => {
    await worker.terminate();
  });
  const slept = once(worker, "message");
  slot.ask(100);
  // The second half of asking once more: what a thread does that stood still behind the first.
  while (Atomics.notify(new Int32Array(slot.shared), 0) === 0) await setImmediate();
  await slept;
});
