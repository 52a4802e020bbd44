// Goal: lanes in two threads call one another, and a thread that ends, however, answers nobody
// but leaves nobody waiting. Method: a real thread (echo-worker.ts) that exits, hangs or is
// terminated in the middle of calls; events are waited for, never time.
import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { ok, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { PortLink } from "../../src/messaging-grid/port-link.ts";
import { EchoLane, roundTrips } from "./echo-lane.ts";

const lanes: EchoLane[] = [];

function echoLane(): EchoLane {
  const lane = new EchoLane();
  lanes.push(lane);
  return lane;
}

afterEach(async () => {
  await Promise.all(lanes.splice(0).map((lane) => lane.stop()));
});

function codesOf(outcomes: readonly Outcome<Value>[]): (string | null)[] {
  return outcomes.map((outcome) => (outcome.ok ? null : outcome.failure.code));
}

test("M1: calls between two threads are answered, in order, whatever their size", async () => {
  const lane = echoLane();
  const inputs = Array.from({ length: 500 }, (_, call) => ({ call, text: "x".repeat(call * 40) }));
  const outcomes: Outcome<Value>[] = [];
  await Promise.all(inputs.map(async (input) => outcomes.push(await lane.call("echo", input))));
  expect(outcomes).toEqual(inputs.map((input) => ok(input)));
  expect(await lane.call("dance")).toMatchObject({ failure: { code: "COMMAND_UNKNOWN" } });
});

test("round trips: the benchmark runs", async () => {
  const lane = echoLane();
  await roundTrips(lane, { calls: 100, inFlight: 1, input: null });
  await roundTrips(lane, { calls: 2000, inFlight: 64, input: { user: "u", floor: 3 } });
  expect(lane.link.bufferedBytes).toBe(0);
});

test("M3: a thread that exits in the middle of calls loses exactly those it did not answer", async () => {
  const lane = echoLane();
  expect(await lane.call("echo", 1)).toEqual(ok(1));
  const waiting = [lane.call("silence"), lane.call("exit"), lane.call("echo", 2)];
  expect(codesOf(await Promise.all(waiting))).toEqual(["LANE_LOST", "LANE_LOST", "LANE_LOST"]);
  expect(codesOf([await lane.call("echo", 3)])).toEqual(["PEER_UNREACHABLE"]);
});

test("M3: a thread that is terminated loses its calls", async () => {
  const lane = echoLane();
  const said = (async () => [await lane.said(), await lane.said()])();
  const waiting = lane.call("silence");
  expect(await said).toEqual(["ready", "silent"]);
  await lane.worker.terminate();
  expect(codesOf([await waiting])).toEqual(["LANE_LOST"]);
  expect(lane.messenger.reaches(1)).toBe(false);
});

test("M3: what a messenger sent before it closed arrives before the link's end", async () => {
  const lane = echoLane();
  const closing = lane.call("close");
  const behind = lane.call("silence");
  expect(await closing).toEqual(ok("last words"));
  expect(codesOf([await behind])).toEqual(["LANE_LOST"]);
});

test("M4: bytes that a busy thread has not taken count, and calls beyond are OVERLOADED", async () => {
  const lane = echoLane();
  expect(await lane.call("echo", null)).toEqual(ok(null));
  const hanging = lane.call("hang");
  const input = "x".repeat(limits.valueBytesMax);
  const outcomes: Outcome<Value>[] = [];
  const answers: Promise<unknown>[] = [];
  // Ten at a time, so that batches leave for the thread in between.
  while (outcomes.length === 0) {
    for (let call = 0; call < 10; call++) {
      answers.push(lane.call("echo", input).then((outcome) => outcomes.push(outcome)));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(new Set(codesOf(outcomes))).toEqual(new Set(["OVERLOADED"]));
  expect(lane.link.bufferedBytes).toBeGreaterThan(limits.peerQueueBytesMax / 2);
  expect(lane.link.bufferedBytes).toBeLessThanOrEqual(limits.peerQueueBytesMax);
  lane.release();
  expect(await hanging).toEqual(ok(null));
  await Promise.all(answers);
  expect(new Set(codesOf(outcomes))).toEqual(new Set(["OVERLOADED", null]));
  expect(lane.link.bufferedBytes).toBe(0);
  expect(await lane.call("echo", input)).toEqual(ok(input));
});

test("M5: what is no batch closes the link, on both sides", async () => {
  const { port1, port2 } = new MessageChannel();
  const link = new PortLink(port1);
  const closed = new Promise<void>((resolve) => {
    link.start({ onBatch: () => expect.unreachable(), onClose: () => resolve() });
  });
  const otherClosed = once(port2, "close");
  port2.start();
  port2.postMessage({ not: "a batch" });
  await Promise.all([closed, otherClosed]);
  link.send(new Uint8Array(1)); // taken, and nothing happens
});

test("start: a link keeps what came before, the other end's close included", async () => {
  const { port1, port2 } = new MessageChannel();
  const early = new PortLink(port1);
  const late = new PortLink(port2);
  early.start({ onBatch: () => expect.unreachable(), onClose: () => undefined });
  early.send(Uint8Array.of(1));
  early.send(Uint8Array.of(2, 3));
  early.close();
  const got: number[][] = [];
  await new Promise<void>((resolve) => {
    late.start({ onBatch: (batch) => got.push([...batch]), onClose: () => resolve() });
  });
  expect(got).toEqual([[1], [2, 3]]);
});

test("start: a link whose other end was gone before says so", async () => {
  const { port1, port2 } = new MessageChannel();
  const link = new PortLink(port1);
  port2.close();
  await once(port1, "close");
  await new Promise<void>((resolve) => {
    link.start({ onBatch: () => expect.unreachable(), onClose: () => resolve() });
  });
});
