// Goal: every call is answered exactly once, in order, in batches, whatever becomes of the link.
// Method: two or more messengers on one thread, links and time moved by hand; a property over
// random schedules of calls, answers, deliveries, ends of ticks and lost links.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { BatchWriter, type CommandRequest, type Notice } from "../../src/messaging-grid/frames.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import type { Respond } from "../../src/messaging-grid/peer-channel.ts";
import { ManualTime } from "../load/manual-time.ts";
import { commandRequest } from "./command-request.ts";
import { HeldLink } from "./held-link.ts";

function request(input: Value, deadlineMs = 1000): CommandRequest {
  return commandRequest({ input, deadlineMs });
}

interface Arrived {
  readonly peer: number;
  readonly request: CommandRequest;
  readonly respond: Respond;
}

class Lane {
  /** Received and not answered yet. */
  readonly arrived: Arrived[] = [];
  /** All inputs received, in the order of their arrival. */
  readonly inputs: Value[] = [];
  readonly outcomes: Outcome<Value>[] = [];
  /** What arrived, inputs and notices, in order. */
  readonly heard: unknown[] = [];
  /** Peers whose link ended, and whether another reached them then. */
  readonly lost: [peer: number, reached: boolean][] = [];
  readonly messenger: Messenger;

  constructor(time: ManualTime, clock: Clock = time) {
    this.messenger = new Messenger({
      clock,
      timers: time,
      onRequest: (peer, received, respond) => {
        this.inputs.push(received.input);
        this.heard.push(received.input);
        this.arrived.push({ peer, request: received, respond });
      },
      onNotice: (peer, notice) => {
        this.heard.push({ peer, ...notice });
      },
      onLost: (peer) => {
        this.lost.push([peer, this.messenger.reaches(peer)]);
      },
    });
  }

  call(peer: number, input: Value, deadlineMs?: number): void {
    this.messenger.send(peer, request(input, deadlineMs), (outcome) => this.outcomes.push(outcome));
  }
}

/** Lanes 0 and 1 with a link between them. */
function twoLanes(time = new ManualTime(), clock: Clock = time) {
  const [first, second] = [new Lane(time, clock), new Lane(time, clock)];
  const [toSecond, toFirst] = HeldLink.pair();
  first.messenger.connect(1, toSecond);
  second.messenger.connect(0, toFirst);
  return { time, first, second, toSecond, toFirst };
}

function codesOf(outcomes: readonly Outcome<Value>[]): (string | null)[] {
  return outcomes.map((outcome) => (outcome.ok ? null : outcome.failure.code));
}

test("M1: a call is answered with what its peer answered, value or failure", () => {
  const { time, first, second, toSecond, toFirst } = twoLanes();
  first.call(1, "a");
  first.call(1, "b");
  time.advance(0);
  toSecond.deliver();
  expect(second.arrived.map((each) => [each.peer, each.request.input])).toEqual([
    [0, "a"],
    [0, "b"],
  ]);
  second.arrived[1]?.respond(failed("OVERLOADED", "not now"));
  second.arrived[0]?.respond(ok({ echo: "a" }));
  time.advance(0);
  toFirst.deliver();
  expect(first.outcomes).toEqual([failed("OVERLOADED", "not now"), ok({ echo: "a" })]);
});

test("batching: what one tick brings together for a peer leaves as one frame", () => {
  const { time, first, second, toSecond, toFirst } = twoLanes();
  for (let round = 1; round <= 3; round++) {
    for (let call = 0; call < 100; call++) first.call(1, call);
    expect(toSecond.sent).toBe(round - 1);
    time.advance(0);
    expect(toSecond.sent).toBe(round);
    toSecond.deliver();
    for (const { respond } of second.arrived.splice(0)) respond(ok(null));
    time.advance(0);
    expect(toFirst.sent).toBe(round);
    toFirst.deliver();
  }
  expect(first.outcomes).toHaveLength(300);
  time.advance(1000);
  expect([toSecond.sent, toFirst.sent]).toEqual([3, 3]);
});

test("deadline: what is handed on is what remains when the frame leaves", () => {
  // Callbacks of one tick that take 5 and 3 ms, so that its end comes late.
  let nowMs = 0;
  const clock: Clock = { wallMs: () => 0, monotonicMs: () => nowMs };
  const { time, first, second, toSecond } = twoLanes(new ManualTime(), clock);
  first.call(1, "early", 100);
  nowMs += 5;
  first.call(1, "late", 100);
  nowMs += 3;
  first.call(1, "over", 0);
  time.advance(0);
  toSecond.deliver();
  expect(second.arrived.map((each) => each.request.deadlineMs)).toEqual([92, 97, 0]);
});

test("M3: calls to a peer without a link are PEER_UNREACHABLE at once: nothing happened", () => {
  const lane = new Lane(new ManualTime());
  lane.call(5, "x");
  expect(lane.outcomes).toMatchObject([
    { failure: { code: "PEER_UNREACHABLE", kind: "retryable" } },
  ]);
  expect(lane.messenger.reaches(5)).toBe(false);
});

test("M3: a link's end answers all calls that wait, on their way or not yet sent", () => {
  const { time, first, second, toSecond } = twoLanes();
  first.call(1, "answered too late");
  time.advance(0);
  toSecond.deliver();
  first.call(1, "on the way");
  time.advance(0);
  first.call(1, "not yet sent");
  expect(first.outcomes).toEqual([]);
  toSecond.close();
  expect(codesOf(first.outcomes)).toEqual(["LANE_LOST", "LANE_LOST", "PEER_UNREACHABLE"]);
  expect(first.lost).toEqual([[1, false]]);
  second.arrived[0]?.respond(ok(null)); // to nobody
  first.call(1, "later");
  expect(codesOf(first.outcomes).slice(3)).toEqual(["PEER_UNREACHABLE"]);
  time.advance(1000);
  expect(first.outcomes).toHaveLength(4);
  expect(first.messenger.reaches(1)).toBe(false);
});

test("M3: another link to the same peer takes the place of the first, whose calls are lost", () => {
  const { time, first, second, toSecond } = twoLanes();
  first.call(1, "old");
  const [newToSecond, newToFirst] = HeldLink.pair();
  first.messenger.connect(1, newToSecond);
  expect(codesOf(first.outcomes)).toEqual(["LANE_LOST"]);
  expect(first.lost).toEqual([[1, true]]);
  expect(toSecond.closed).toBe(true);
  second.messenger.connect(0, newToFirst);
  first.call(1, "new");
  time.advance(0);
  newToSecond.deliver();
  expect(second.arrived.map((each) => each.request.input)).toEqual(["new"]);
  second.arrived[0]?.respond(ok("fine"));
  time.advance(0);
  newToFirst.deliver();
  expect(first.outcomes.slice(1)).toEqual([ok("fine")]);
});

const serving = (partition: number): Notice => ({ kind: "serving", partition, epoch: 9 });

test("M2: notices arrive where they were sent among the calls, over each link", () => {
  const { time, first, second, toSecond } = twoLanes();
  const third = new Lane(time);
  const [toThird, fromThird] = HeldLink.pair();
  first.messenger.connect(2, toThird);
  third.messenger.connect(0, fromThird);
  first.call(1, "before");
  first.messenger.announce(serving(4));
  first.messenger.tell(1, { kind: "released", partition: 5, epoch: 3 });
  first.call(1, "after");
  first.messenger.tell(7, serving(6)); // to nobody
  time.advance(0);
  expect([toSecond.sent, toThird.sent]).toEqual([1, 1]);
  toSecond.deliver();
  toThird.deliver();
  const served = { peer: 0, ...serving(4) };
  const released = { peer: 0, kind: "released", partition: 5, epoch: 3 };
  expect(second.heard).toEqual(["before", served, released, "after"]);
  expect(third.heard).toEqual([served]);
  toSecond.close();
  first.messenger.tell(1, serving(8));
  expect(time.timersLeft).toBe(0);
});

test("M3: whose call is lost to another link may send it over that one at once", () => {
  const { time, first, second } = twoLanes();
  const outcomes: (string | null)[] = [];
  first.messenger.send(1, request("again"), (outcome) => {
    outcomes.push(...codesOf([outcome]));
    first.call(1, "again");
  });
  const [newToSecond, newToFirst] = HeldLink.pair();
  first.messenger.connect(1, newToSecond);
  second.messenger.connect(0, newToFirst);
  expect([outcomes, first.outcomes]).toEqual([["LANE_LOST"], []]);
  time.advance(0);
  newToSecond.deliver();
  expect(second.inputs).toEqual(["again"]);
});

test("M3: a closed messenger lets what waits leave, loses its calls and takes no link", () => {
  const { time, first, second, toFirst } = twoLanes();
  let left: Uint8Array[] = [];
  const [end, other] = HeldLink.pair();
  end.send = (batch) => (left = [...left, batch]);
  second.messenger.connect(0, end);
  second.call(0, "question");
  second.messenger.close();
  expect(left).toHaveLength(1);
  expect(codesOf(second.outcomes)).toEqual(["LANE_LOST"]);
  expect([other.closed, toFirst.closed]).toEqual([true, true]);
  const [late] = HeldLink.pair();
  second.messenger.connect(0, late);
  expect(late.closed).toBe(true);
  time.advance(0);
  expect(first.outcomes).toEqual([]);
});

test("M4: bytes that wait for a peer have a limit; beyond it calls are OVERLOADED at once", () => {
  const { time, first, second, toSecond, toFirst } = twoLanes();
  const input = "x".repeat(limits.valueBytesMax);
  const fits = Math.floor(limits.peerQueueBytesMax / (limits.valueBytesMax + 100));
  for (let call = 0; call < fits; call++) first.call(1, input);
  expect(first.outcomes).toEqual([]);
  time.advance(0); // now they lie in the link
  for (let call = 0; call < 3; call++) first.call(1, input);
  expect(first.outcomes).toMatchObject(
    Array(3).fill({ failure: { code: "OVERLOADED", kind: "retryable" } }),
  );
  expect(toSecond.bufferedBytes).toBeLessThanOrEqual(limits.peerQueueBytesMax);
  while (toSecond.deliver());
  time.advance(0);
  first.call(1, input); // the way is free again
  time.advance(0);
  while (toSecond.deliver());
  for (const { respond } of second.arrived) respond(ok(null));
  time.advance(0);
  while (toFirst.deliver());
  expect(codesOf(first.outcomes.slice(3))).toEqual(Array(fits + 1).fill(null));
});

test("M4: calls without an answer have a limit; beyond it calls are OVERLOADED at once", () => {
  const { time, first, second, toSecond, toFirst } = twoLanes();
  for (let call = 0; call <= limits.peerCallsPendingMax; call++) first.call(1, null);
  expect(codesOf(first.outcomes)).toEqual(["OVERLOADED"]);
  time.advance(0);
  while (toSecond.deliver());
  second.arrived[0]?.respond(ok(null));
  time.advance(0);
  toFirst.deliver();
  first.call(1, null);
  expect(codesOf(first.outcomes)).toEqual(["OVERLOADED", null]);
});

test("M4: an input that is too large, or no plain data, harms no other call", () => {
  const { time, first, second, toSecond } = twoLanes();
  first.call(1, "before");
  first.call(1, "x".repeat(limits.frameBytesMax));
  first.call(1, 2n ** 64n);
  first.call(1, "after");
  expect(first.outcomes).toMatchObject([
    { failure: { code: "VALUE_TOO_LARGE", kind: "terminal" } },
    { failure: { code: "INPUT_INVALID", kind: "terminal" } },
  ]);
  time.advance(0);
  toSecond.deliver();
  expect(second.arrived.map((each) => each.request.input)).toEqual(["before", "after"]);
});

function batch(...add: ((writer: BatchWriter) => void)[]): Uint8Array {
  const writer = new BatchWriter();
  for (const each of add) each(writer);
  return writer.take(0)[0] ?? Buffer.alloc(0);
}

const broken: [string, () => Uint8Array][] = [
  ["no batch", () => Buffer.from("not a batch of messages")],
  [
    "a call with a gap before it",
    () =>
      batch(
        (writer) => writer.addRequest(1, 10, request("never run"), Infinity),
        (writer) => writer.addRequest(3, 10, request("never run"), Infinity),
      ),
  ],
  [
    "a notice without its parts",
    () =>
      batch(
        (writer) => writer.addRequest(1, 10, request("never run"), Infinity),
        (writer) => writer.addNotice({ ...serving(1), epoch: -1 }),
      ),
  ],
  [
    "an answer that nobody waits for",
    () =>
      batch(
        (writer) => writer.addRequest(1, 10, request("never run"), Infinity),
        (writer) => writer.addAnswer(99, ok(null)),
      ),
  ],
];

for (const [name, bytes] of broken) {
  test(`M5: ${name} ends the link, nothing of it takes effect, other peers stay`, () => {
    const { time, first, second, toFirst } = twoLanes();
    const [toThird] = HeldLink.pair();
    first.messenger.connect(2, toThird);
    first.call(1, "lost");
    first.call(2, "kept");
    time.advance(0);
    toFirst.send(bytes());
    toFirst.deliver();
    expect(codesOf(first.outcomes)).toEqual(["LANE_LOST"]);
    expect(first.heard).toEqual([]);
    expect(second.messenger.reaches(0)).toBe(false);
    expect(first.messenger.reaches(2)).toBe(true);
  });
}

test("M5: a second answer to one call ends the link", () => {
  const { time, first, toFirst } = twoLanes();
  first.call(1, "once");
  time.advance(0);
  const answer = (writer: BatchWriter) => writer.addAnswer(1, ok("yes"));
  toFirst.send(batch(answer, answer));
  toFirst.deliver();
  expect(first.outcomes).toEqual([ok("yes")]);
  expect(first.messenger.reaches(1)).toBe(false);
});

test("M1: a command that is answered twice here is a bug, and said to be one", () => {
  const { time, first, second, toSecond } = twoLanes();
  first.call(1, "x");
  time.advance(0);
  toSecond.deliver();
  const respond = second.arrived[0]?.respond;
  respond?.(ok(1));
  expect(() => respond?.(ok(2))).toThrow("a command is answered once");
});

type Step =
  | { readonly kind: "call" | "answer" | "lose"; readonly lane: 0 | 1; readonly which: number }
  | { readonly kind: "deliver"; readonly lane: 0 | 1 }
  | { readonly kind: "tick" | "reconnect" };

const lanes = fc.constantFrom<0 | 1>(0, 1);
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: step("call") },
  { weight: 8, arbitrary: step("answer") },
  { weight: 1, arbitrary: step("lose") },
  { weight: 6, arbitrary: lanes.map((lane) => ({ kind: "deliver" as const, lane })) },
  { weight: 4, arbitrary: fc.constant({ kind: "tick" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "reconnect" as const }) },
);

function step(kind: "call" | "answer" | "lose"): fc.Arbitrary<Step> {
  return fc.record({ kind: fc.constant(kind), lane: lanes, which: fc.nat() });
}

/** Runs a schedule, then lets everything that can still arrive do so. */
class Schedule {
  readonly time = new ManualTime();
  readonly lanes = [new Lane(this.time), new Lane(this.time)] as const;
  /** Per lane and call, the outcomes it got. */
  readonly calls: [Outcome<Value>[][], Outcome<Value>[][]] = [[], []];
  ends: readonly [HeldLink, HeldLink] = HeldLink.pair();

  constructor() {
    this.connect();
  }

  connect(): void {
    this.ends = HeldLink.pair();
    this.lanes[0].messenger.connect(1, this.ends[0]);
    this.lanes[1].messenger.connect(0, this.ends[1]);
  }

  run(each: Step): void {
    switch (each.kind) {
      case "tick":
        this.time.advance(0);
        return;
      case "reconnect":
        this.connect();
        return;
      case "deliver":
        this.ends[each.lane].deliver();
        return;
      case "lose":
        this.ends[each.lane].close();
        return;
      case "call":
        this.call(each.lane);
        return;
      case "answer":
        this.answer(each.lane, each.which);
        return;
    }
  }

  call(lane: 0 | 1): void {
    const got: Outcome<Value>[] = [];
    const number = this.calls[lane].push(got);
    const peer = lane === 0 ? 1 : 0;
    this.lanes[lane].messenger.send(peer, request(number), (outcome) => got.push(outcome));
  }

  answer(lane: 0 | 1, which: number): void {
    const { arrived } = this.lanes[lane];
    if (arrived.length === 0) return;
    const [next] = arrived.splice(which % arrived.length, 1);
    next?.respond(ok(next.request.input));
  }

  finish(): void {
    for (let round = 0; round < 3; round++) {
      this.time.advance(0);
      for (const lane of [0, 1] as const) {
        while (this.ends[lane].deliver());
        while (this.lanes[lane].arrived.length > 0) this.answer(lane, 0);
      }
    }
  }
}

test("M1: under every schedule each call is answered exactly once, by its own answer or lost", () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 120 }), (list) => {
      const schedule = new Schedule();
      for (const each of list) schedule.run(each);
      schedule.finish();
      for (const lane of schedule.calls) {
        for (const [index, outcomes] of lane.entries()) {
          expect(outcomes).toHaveLength(1);
          const [outcome] = outcomes;
          if (outcome?.ok === true) expect(outcome.value).toBe(index + 1);
          else expect(["LANE_LOST", "PEER_UNREACHABLE"]).toContain(outcome?.failure.code);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("M2: under every schedule calls arrive in order, and without a lost link all of them", () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 120 }), (list) => {
      const schedule = new Schedule();
      for (const each of list) schedule.run(each);
      schedule.finish();
      const links = list.filter((each) => each.kind === "lose" || each.kind === "reconnect");
      for (const lane of [0, 1] as const) {
        const order = schedule.lanes[lane].inputs.map(Number);
        expect(order).toEqual([...order].sort((a, b) => a - b));
        expect(new Set(order).size).toBe(order.length);
        if (links.length === 0) expect(order).toHaveLength(schedule.calls[1 - lane]?.length ?? 0);
      }
    }),
    { numRuns: 500 },
  );
});
