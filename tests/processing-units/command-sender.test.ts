// Goal: E1, E3. A command that entered a lane is answered once, whatever becomes of owners; it is
// sent again only under its own number, and what is said at its deadline is what is known of it.
// Method: owners are played by the test, in virtual time; a property draws what they do.
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { failed, ok, type FailureCode, type Outcome } from "../../src/base/failure.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { CommandOrigin } from "../../src/messaging-grid/frames.ts";
import { OwnerTable } from "../../src/messaging-grid/owner-table.ts";
import { CommandSender, type Settle } from "../../src/processing-units/command-sender.ts";
import { SentNumbers } from "../../src/processing-units/sent-numbers.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";

interface Delivery {
  readonly slot: number;
  readonly origin: CommandOrigin;
  readonly settle: Settle;
}

let time: VirtualTime;
let owners: OwnerTable;
let deliveries: Delivery[];
let answers: Outcome<Value>[];
let sender: CommandSender;

beforeEach(() => {
  time = new VirtualTime();
  owners = new OwnerTable(2);
  deliveries = [];
  answers = [];
  sender = new CommandSender({
    incarnation: "me",
    owners,
    clock: time.clock,
    timers: time.timers,
    deliver: (slot, _command, origin, settle) => deliveries.push({ slot, origin, settle }),
    unreachable: () => null,
  });
  owners.onChange = (partition) => {
    sender.ownerChanged(partition);
  };
});

function send(deadlineMs = 1000, partition = 0): void {
  const command = {
    name: "put",
    input: null,
    partition,
    ack: "journal",
    read: "local",
    idempotencyKey: null,
    correlationId: null,
    deadlineAtMs: time.nowMs + deadlineMs,
  } as const;
  sender.send(command, (outcome) => answers.push(outcome));
}

async function pass(durationMs: number): Promise<void> {
  await time.run({ untilMs: time.nowMs + durationMs, eventsMax: 100_000 });
}

function newest(): Delivery {
  const delivery = deliveries.at(-1);
  if (delivery === undefined) throw new Error("nothing was delivered");
  return delivery;
}

test("E1: what meets no owner waits for one, and is then answered by it", async () => {
  send();
  await pass(100);
  expect(deliveries).toEqual([]);
  owners.learn(0, 7, 3);
  expect(newest()).toMatchObject({ slot: 7, origin: { sender: "me", number: 1, attempt: 0 } });
  newest().settle(ok("done"));
  expect(answers).toEqual([ok("done")]);
  expect(sender.inFlight).toBe(0);
});

test("E1: never taken by its deadline: nothing happened; perhaps taken: unknown", async () => {
  send(50);
  await pass(60);
  owners.learn(0, 7, 3);
  send(50);
  newest().settle(failed("NOT_OWNER", "moved"));
  deliveries.length = 0;
  owners.released(0, 3);
  await pass(60);
  owners.learn(0, 8, 5);
  send(50); // the owner has it, and says nothing
  await pass(60);
  send(50);
  newest().settle(failed("NOT_OWNER", "moved"));
  await pass(30); // it is asked again, and says nothing
  await pass(30);
  const codes = answers.map((answer) => (answer.ok ? "ok" : answer.failure.code));
  expect(codes).toEqual([
    "PARTITION_STARTING",
    "NOT_OWNER",
    "DEADLINE_EXCEEDED",
    "DEADLINE_EXCEEDED",
  ]);
});

test("E3: an owner that dies with it leads to the next, under the same number, one attempt more", () => {
  owners.learn(0, 7, 3);
  send();
  newest().settle(failed("LANE_LOST", "it died"));
  owners.learn(0, 8, 5);
  expect(newest()).toMatchObject({ slot: 8, origin: { number: 1, confirmed: 0, attempt: 1 } });
  newest().settle(failed("NOT_OWNER", "it did not take it"));
  owners.learn(0, 9, 8); // that one did not die of it
  expect(newest()).toMatchObject({ slot: 9, origin: { number: 1, attempt: 1 } });
  newest().settle(ok(1));
  send();
  expect(newest().origin).toMatchObject({ number: 2, confirmed: 1, attempt: 0 });
});

test("E3: what this lane ran itself, its outcome unknown, is answered as its handler did", () => {
  owners.learn(0, 7, 3);
  send();
  newest().settle(failed("OUTCOME_UNKNOWN", "taken over"), { spent: 5 });
  owners.learn(0, 8, 5);
  newest().settle(failed("COMMAND_KNOWN", "this number took effect"));
  expect(answers).toEqual([ok({ spent: 5 })]);
});

test("E3: where it had no effect it runs anew, and that is the answer", () => {
  owners.learn(0, 7, 3);
  send();
  newest().settle(failed("OUTCOME_UNKNOWN", "taken over"), { spent: 5 });
  owners.learn(0, 8, 5);
  newest().settle(ok(null));
  expect(answers).toEqual([ok(null)]);
});

test("E1: a partition that halted does not say that an earlier try did nothing", () => {
  owners.learn(0, 7, 3);
  for (const isLost of [false, true]) {
    send();
    if (isLost) {
      newest().settle(failed("LANE_LOST", "it died"));
      owners.learn(0, 8, 5);
    }
    newest().settle(failed("PARTITION_HALTED", "the grid lost data"));
  }
  const codes = answers.map((answer) => (answer.ok ? "ok" : answer.failure.code));
  expect(codes).toEqual(["PARTITION_HALTED", "OUTCOME_UNKNOWN"]);
});

test("E1: after a try that may have had an effect, a refusal is no answer", async () => {
  owners.learn(0, 7, 3);
  send(500);
  newest().settle(failed("LANE_LOST", "it died"));
  owners.learn(0, 8, 5);
  newest().settle(failed("OVERLOADED", "too much"));
  await pass(30);
  expect(deliveries).toHaveLength(3);
  newest().settle(failed("OVERLOADED", "too much"));
  await pass(600);
  expect(answers).toMatchObject([{ ok: false, failure: { code: "DEADLINE_EXCEEDED" } }]);
});

test("E3: confirmed is the highest number below which all are answered, in any order", () => {
  const order = fc.shuffledSubarray(
    Array.from({ length: 30 }, (_, index) => index + 1),
    { minLength: 0 },
  );
  fc.assert(
    fc.property(order, (done) => {
      const numbers = new SentNumbers();
      for (let sent = 0; sent < 30; sent++) numbers.next(0);
      const answered = new Set<number>();
      for (const number of done) {
        numbers.done(0, number);
        answered.add(number);
        let lowest = 1;
        while (answered.has(lowest)) lowest++;
        expect(numbers.confirmed(0)).toBe(lowest - 1);
      }
    }),
  );
});

const codes: readonly FailureCode[] = [
  "NOT_OWNER",
  "LANE_LOST",
  "OUTCOME_UNKNOWN",
  "PEER_UNREACHABLE",
  "HANDLER_FAILED",
];
const act = fc.record({
  what: fc.constantFrom("send", "settle", "move", "release", "pass"),
  which: fc.nat(20),
  code: fc.constantFrom(null, ...codes),
});

test("E1: whatever owners do and say, each command is answered once, by its deadline", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      const world = new World();
      for (const { what, which, code } of acts) await world.act(what, which, code);
      await world.time.run({ untilMs: world.time.nowMs + 1000, eventsMax: 100_000 });
      expect(world.answered).toEqual(Array.from({ length: world.sent }, () => 1));
      expect(world.sender.inFlight).toBe(0);
      expect(world.sentAfterAnswer).toBe(0);
    }),
  );
});

/** One sender, and owners that do as they are told. */
class World {
  readonly time = new VirtualTime();
  readonly answered: number[] = [];
  sent = 0;
  sentAfterAnswer = 0;
  readonly sender: CommandSender;
  readonly #owners = new OwnerTable(1);
  readonly #open: Delivery[] = [];
  #epoch = 0;

  constructor() {
    this.sender = new CommandSender({
      incarnation: "me",
      owners: this.#owners,
      clock: this.time.clock,
      timers: this.time.timers,
      deliver: (slot, _command, origin, settle) => {
        if (this.answered[origin.number - 1] !== 0) this.sentAfterAnswer++;
        this.#open.push({ slot, origin, settle });
      },
      unreachable: () => null,
    });
    this.#owners.onChange = (partition) => {
      this.sender.ownerChanged(partition);
    };
  }

  async act(what: string, which: number, code: FailureCode | null): Promise<void> {
    if (what === "send") this.#send();
    else if (what === "move") this.#owners.learn(0, which, ++this.#epoch);
    else if (what === "release") this.#owners.released(0, this.#epoch);
    else if (what === "settle") {
      const [one] = this.#open.splice(which % Math.max(1, this.#open.length), 1);
      one?.settle(code === null ? ok(null) : failed(code, "as told"));
    } else await this.time.run({ untilMs: this.time.nowMs + which * 5, eventsMax: 100_000 });
  }

  #send(): void {
    const index = this.sent++;
    this.answered.push(0);
    const command = {
      name: "put",
      input: null,
      partition: 0,
      ack: "journal",
      read: "local",
      idempotencyKey: null,
      correlationId: null,
      deadlineAtMs: this.time.nowMs + 200,
    } as const;
    this.sender.send(command, () => {
      this.answered[index] = (this.answered[index] ?? 0) + 1;
    });
  }
}
