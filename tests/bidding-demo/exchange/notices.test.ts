// Goal: a notice is repeated until it is acknowledged or its minute is over, and never after.
// Method: manual time, a transport that the test answers.
import { expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { NoticeSender } from "../../../src/bidding-demo/exchange/notices.ts";
import { ManualTime } from "../../load/manual-time.ts";

function sender(answer: (url: string, tryNumber: number) => boolean | "later") {
  const time = new ManualTime();
  const log: string[] = [];
  const later: ((acknowledged: boolean) => void)[] = [];
  const tries = new Map<string, number>();
  const notices = new NoticeSender<string>({
    clock: time,
    timers: time,
    transport: (url, respond) => {
      const tryNumber = (tries.get(url) ?? 0) + 1;
      tries.set(url, tryNumber);
      log.push(`${time.monotonicMs()} ${url}`);
      const acknowledged = answer(url, tryNumber);
      if (acknowledged === "later") later.push(respond);
      else respond(acknowledged);
    },
    onAcknowledged: (notice) => log.push(`${time.monotonicMs()} ${notice} acknowledged`),
    onGivenUp: (notice) => log.push(`${time.monotonicMs()} ${notice} given up`),
  });
  return { time, log, later, notices };
}

test("a notice goes at once, or after its delay, and is over when acknowledged", () => {
  const { time, log, notices } = sender(() => true);
  notices.send("A", "/a", 0);
  notices.send("B", "/b", 250);
  expect(log).toEqual(["0 /a", "0 A acknowledged"]);
  expect(notices.pending).toBe(1);
  time.advance(100_000);
  expect(log.slice(2)).toEqual(["250 /b", "250 B acknowledged"]);
  expect(notices).toMatchObject({ pending: 0, repeats: 0 });
  expect(time.timersLeft).toBe(0);
});

test("a notice that is not acknowledged is repeated a second later, until it is", () => {
  const { time, log, notices } = sender((_url, tryNumber) => tryNumber === 3);
  notices.send("A", "/a", 0);
  time.advance(100_000);
  expect(log).toEqual(["0 /a", "1000 /a", "2000 /a", "2000 A acknowledged"]);
  expect(notices.repeats).toBe(2);
});

test("after a minute a notice is given up, once", () => {
  const { time, log, notices } = sender(() => false);
  notices.send("A", "/a", 500);
  time.advance(1_000_000);
  expect(log.filter((line) => line.endsWith("/a"))).toHaveLength(61);
  expect(log.at(-1)).toBe("60500 A given up");
  expect(notices.pending).toBe(0);
  expect(time.timersLeft).toBe(0);
});

test("the second between tries begins when the last one is known to have failed", () => {
  const { time, log, later, notices } = sender((_url, tryNumber) =>
    tryNumber === 1 ? "later" : true,
  );
  notices.send("A", "/a", 0);
  time.advance(6000);
  later[0]?.(false);
  time.advance(999);
  expect(log).toEqual(["0 /a"]);
  time.advance(1);
  expect(log).toEqual(["0 /a", "7000 /a", "7000 A acknowledged"]);
});

test("draining waits for what has its delay, its answer or its repeat to come", async () => {
  const { time, notices } = sender((url, tryNumber) => url === "/a" || tryNumber === 2);
  await notices.drain();
  notices.send("A", "/a", 300);
  notices.send("B", "/b", 0);
  let drained = false;
  const done = notices.drain().then(() => {
    drained = true;
  });
  time.advance(999);
  await Promise.resolve();
  expect(drained).toBe(false);
  time.advance(1);
  await done;
});

test("above the limit of pending notices the next one is given up at once", () => {
  const { log, notices } = sender(() => "later");
  for (let number = 0; number < limits.noticesPendingMax; number++) notices.send("A", "/a", 0);
  notices.send("Z", "/z", 0);
  expect(log.at(-1)).toBe("0 Z given up");
  expect(notices.pending).toBe(limits.noticesPendingMax);
});
