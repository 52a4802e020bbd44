// Goal: what is written is read again, old bytes included; whatever else is read is refused.
// Method: fixed bytes of both versions of format 1; properties over messages, random bytes and
// damaged batches.
import { Packr, unpack } from "msgpackr";
import fc from "fast-check";
import { expect, test } from "vitest";
import { failed, failureKinds, ok, type FailureCode } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { Value } from "../../src/grid/log-record.ts";
import {
  BatchWriter,
  decodeBatch,
  type CommandRequest,
  type Message,
  type Notice,
} from "../../src/messaging-grid/frames.ts";
import { commandRequest } from "./command-request.ts";

/** As the first version knew it. */
const request: CommandRequest = commandRequest({
  command: "buy",
  input: { sku: "a", quantity: 3 },
  partition: 7,
  deadlineMs: 100.5,
  correlationId: "r1",
});

const numbered: CommandRequest = {
  ...request,
  read: "linearizable",
  idempotencyKey: "order-1",
  origin: { sender: "lane-a", number: 70000, confirmed: 300, attempt: 1 },
};

const values: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }).map((value) => value + 0), // -0 is written as 0
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.string({ unit: "grapheme" }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      fc.string().filter((name) => name !== "__proto__"),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

const requests: fc.Arbitrary<CommandRequest> = fc.record({
  command: fc.string(),
  input: values,
  partition: fc.nat({ max: 4095 }),
  deadlineMs: fc.nat({ max: 60_000_000 }).map((us) => us / 1000),
  ack: fc.constantFrom("memory", "journal", "written"),
  read: fc.constantFrom("local", "linearizable"),
  origin: fc.option(
    fc.record({
      sender: fc.string(),
      number: fc.maxSafeNat(),
      confirmed: fc.maxSafeNat(),
      attempt: fc.nat(),
    }),
  ),
  idempotencyKey: fc.option(fc.string()),
  correlationId: fc.option(fc.string()),
});

const notices: fc.Arbitrary<Notice> = fc.record({
  kind: fc.constantFrom("serving", "released", "overtaken"),
  partition: fc.nat({ max: 4095 }),
  epoch: fc.integer({ min: 1, max: 2 ** 38 - 1 }),
});

const codes = Object.keys(failureKinds) as FailureCode[];
const outcomes = fc.oneof(
  values.map((value) => ok(value)),
  fc.tuple(fc.constantFrom(...codes), fc.string()).map(([code, message]) => failed(code, message)),
);

const messages = fc.oneof(
  requests.map((each) => ({ kind: "request" as const, request: each })),
  outcomes.map((outcome) => ({ kind: "answer" as const, outcome })),
  notices.map((notice) => ({ kind: "notice" as const, notice })),
);

function only<T>(list: readonly T[]): T {
  expect(list).toHaveLength(1);
  return list[0] as T;
}

function batchOf(...inputs: CommandRequest[]): Buffer<ArrayBuffer> {
  const writer = new BatchWriter();
  for (const [index, each] of inputs.entries()) {
    expect(writer.addRequest(index + 1, each.deadlineMs, each, Infinity)).toBe("added");
  }
  return only(writer.take(0));
}

// 1; waited 1500 µs; [0,1,7,100500,1,"r1","buy",{sku:"a",quantity:3}]; [1,5,true];
// [2,6,"OVERLOADED","full"]
const fixture = Buffer.from(
  "01ce000005dc9800010" +
    "7ce0001889401a27231a362757982a3736b75a161a87175616e7469747903" +
    "930105c3" +
    "940206aa4f5645524c4f41444544a466756c6c",
  "hex",
);

test("format 1: bytes of the first version are read as they were meant", () => {
  expect(decodeBatch(fixture)).toEqual([
    { kind: "request", number: 1, request: { ...request, deadlineMs: 99 } },
    { kind: "answer", number: 5, outcome: ok(true) },
    { kind: "answer", number: 6, outcome: failed("OVERLOADED", "full") },
  ]);
});

// 1; waited 1500 µs; [0,1,7,100500,1,"r1","buy",{sku:"a",quantity:3},1,"order-1","lane-a",70000,
// 300,1]; the same command as [0,2,7,100500,1,"r1","buy",{sku:"a",quantity:3},0,null];
// [3,0,7,5000000000]; [3,1,8,12]; [1,5,true]
const secondFixture = Buffer.from(
  "01ce000005dc" +
    "9e000107ce0001889401a27231a362757982a3736b75a161a87175616e746974790301" +
    "a76f726465722d31a66c616e652d61ce00011170cd012c01" +
    "9a000207ce0001889401a27231a362757982a3736b75a161a87175616e746974790300c0" +
    "94030007cb41f2a05f20000000" +
    "940301080c" +
    "930105c3",
  "hex",
);

const secondMessages: Message[] = [
  { kind: "request", number: 1, request: { ...numbered, deadlineMs: 99 } },
  { kind: "request", number: 2, request: { ...request, deadlineMs: 99 } },
  { kind: "notice", notice: { kind: "serving", partition: 7, epoch: 5_000_000_000 } },
  { kind: "notice", notice: { kind: "released", partition: 8, epoch: 12 } },
  { kind: "answer", number: 5, outcome: ok(true) },
];

test("format 1: bytes of the second version are read as they were meant", () => {
  expect(decodeBatch(secondFixture)).toEqual(secondMessages);
});

test("format 1: this version writes the same bytes, plain msgpack after the format byte", () => {
  const writer = new BatchWriter();
  writer.addRequest(1, numbered.deadlineMs, numbered, Infinity);
  writer.addRequest(2, request.deadlineMs, request, Infinity);
  writer.addNotice({ kind: "serving", partition: 7, epoch: 5_000_000_000 });
  writer.addNotice({ kind: "released", partition: 8, epoch: 12 });
  writer.addAnswer(5, ok(true));
  const batch = only(writer.take(1.5));
  expect(batch.toString("hex")).toBe(secondFixture.toString("hex"));
  expect(batch.buffer.byteLength).toBe(batch.length);
  expect(unpack(batch.subarray(1, 6))).toBe(1500);
});

// 1; waited 0 µs; [0,1,7,100500,2,null,"buy",null,0,null]
const thirdFixture = Buffer.from("01ce000000009a000107ce0001889402c0a3627579c000c0", "hex");

test("format 1: the acknowledgement that came with the third version", () => {
  const written = { ...request, input: null, correlationId: null, ack: "written" as const };
  expect(decodeBatch(thirdFixture)).toEqual([{ kind: "request", number: 1, request: written }]);
  expect(batchOf(written).toString("hex")).toBe(thirdFixture.toString("hex"));
});

// 1; waited 0 µs; [3,2,8,12]
const fourthFixture = Buffer.from("01ce00000000940302080c", "hex");

test("format 1: the notice that came with the fourth version", () => {
  const notice = { kind: "overtaken", partition: 8, epoch: 12 } as const;
  expect(decodeBatch(fourthFixture)).toEqual([{ kind: "notice", notice }]);
  const writer = new BatchWriter();
  writer.addNotice(notice);
  expect(only(writer.take(0)).toString("hex")).toBe(fourthFixture.toString("hex"));
});

test("format 1: messages of any content are read as they were written, in order", () => {
  fc.assert(
    fc.property(fc.array(messages, { minLength: 1, maxLength: 20 }), (list) => {
      const writer = new BatchWriter();
      const expected = list.map((message, index) => {
        const number = index + 1;
        if (message.kind === "notice") {
          writer.addNotice(message.notice);
          return message;
        }
        if (message.kind === "answer") writer.addAnswer(number, message.outcome);
        else writer.addRequest(number, message.request.deadlineMs, message.request, Infinity);
        return { ...message, number };
      });
      expect(decodeBatch(only(writer.take(0)))).toEqual(expected);
    }),
  );
});

test("format 1: an answer's code that only a newer version knows is a careful unknown", () => {
  const packr = new Packr({ useRecords: false });
  const batch = Buffer.concat([fixture.subarray(0, 6), packr.pack([2, 1, "BRAND_NEW", "why"])]);
  expect(decodeBatch(batch)).toEqual([
    { kind: "answer", number: 1, outcome: failed("OUTCOME_UNKNOWN", "BRAND_NEW: why") },
  ]);
});

test("deadline: what the batch waited is taken off, down to nothing", () => {
  const writer = new BatchWriter();
  for (const deadlineMs of [10, 2, 3.001]) writer.addRequest(1, deadlineMs, request, Infinity);
  const read = decodeBatch(only(writer.take(3))) ?? [];
  const left = read.map((message) => message.kind === "request" && message.request.deadlineMs);
  expect(left).toEqual([7, 0, 0.001]);
});

test("M4: batches are as large as a frame may be at most, and hold everything in order", () => {
  const writer = new BatchWriter();
  const input = "x".repeat(300_000);
  const count = 40;
  for (let number = 1; number <= count; number++) {
    writer.addRequest(number, 10, { ...request, input }, Infinity);
  }
  const waiting = writer.waitingBytes;
  const batches = writer.take(0);
  expect(batches.length).toBeGreaterThan(2);
  for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(limits.frameBytesMax);
  expect(waiting).toBe(batches.reduce((sum, batch) => sum + batch.length, 0));
  const numbers = batches.flatMap((batch) =>
    decodeBatch(batch)?.map((each) => each.kind === "request" && each.number),
  );
  expect(numbers).toEqual([...Array(count).keys()].map((index) => index + 1));
  expect(writer.waitingBytes).toBe(0);
});

test("M4: what is too large, or no plain data, or without room, is not added", () => {
  const writer = new BatchWriter();
  writer.addRequest(1, 10, request, Infinity);
  const before = writer.waitingBytes;
  const tooLarge = { ...request, input: "x".repeat(limits.frameBytesMax) };
  const circular: Record<string, Value> = {};
  circular["self"] = circular;
  expect(writer.addRequest(2, 10, tooLarge, Infinity)).toBe("tooLarge");
  expect(writer.addRequest(2, 10, { ...request, input: 2n ** 64n }, Infinity)).toBe("unencodable");
  expect(writer.addRequest(2, 10, { ...request, input: circular }, Infinity)).toBe("unencodable");
  expect(writer.addRequest(2, 10, { ...request, input: "x".repeat(100) }, 100)).toBe("full");
  expect(writer.addRequest(2, 10, request, 0)).toBe("full");
  expect(writer.waitingBytes).toBe(before);
  expect(decodeBatch(only(writer.take(0)))).toHaveLength(1);
});

test("M4: an answer that cannot be carried says that the command has run", () => {
  const writer = new BatchWriter();
  writer.addAnswer(1, ok("x".repeat(limits.frameBytesMax)));
  writer.addAnswer(2, ok(-(2n ** 70n)));
  writer.addAnswer(3, failed("HANDLER_FAILED", "y".repeat(limits.frameBytesMax)));
  const read = decodeBatch(only(writer.take(0))) ?? [];
  expect(read).toMatchObject([
    { number: 1, outcome: { failure: { code: "OUTCOME_UNKNOWN", kind: "unknown" } } },
    { number: 2, outcome: { failure: { code: "OUTCOME_UNKNOWN", kind: "unknown" } } },
    { number: 3, outcome: { failure: { code: "HANDLER_FAILED" } } },
  ]);
});

test("M5: any cut of a batch before its end is refused as a whole, or ends between messages", () => {
  const batch = batchOf(request, { ...numbered, correlationId: null }, numbered);
  const whole = decodeBatch(batch) ?? [];
  for (let length = 0; length < batch.length; length++) {
    const read = decodeBatch(batch.subarray(0, length));
    if (read !== null) expect(read).toEqual(whole.slice(0, read.length));
  }
});

test("M5: bytes that no lane wrote are refused, never an exception", () => {
  const damaged = fc
    .tuple(fc.array(requests, { minLength: 1, maxLength: 4 }), fc.nat(), fc.nat({ max: 255 }))
    .map(([list, at, byte]) => {
      const batch = batchOf(...list);
      batch[at % batch.length] = byte;
      return batch;
    });
  const anyBytes = fc.uint8Array({ maxLength: 200 });
  const body = anyBytes.map((bytes) => Buffer.concat([fixture.subarray(0, 6), bytes]));
  fc.assert(
    fc.property(fc.oneof(anyBytes, body, damaged), (bytes) => {
      const read = decodeBatch(bytes);
      expect(read === null || read.length > 0).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test("M5: another format, no message, wrong shapes and endless nesting are refused", () => {
  const packr = new Packr({ useRecords: false });
  const header = fixture.subarray(0, 6);
  const batches = [
    Buffer.alloc(0),
    header,
    Buffer.concat([Buffer.of(2), fixture.subarray(1)]),
    Buffer.concat([header, Buffer.alloc(1_000_000, 0x91)]), // nested arrays, a stack's worth
    Buffer.concat([header, Buffer.from("ddffffffff", "hex")]), // an array of 2^32 - 1
  ];
  const shapes: unknown[] = [
    7,
    "text",
    { 0: 1 },
    [],
    [4, 1, 2],
    [3, 0, 7],
    [3, 3, 7, 1],
    [3, 0, -1, 1],
    [3, 0, 7, 0],
    [3, 0, 7, "1"],
    [1, "1", 2],
    [1, 1],
    [1, 1, 2, 3],
    [2, 1, "OVERLOADED"],
    [2, 1, 5, "why"],
    [0, 1, 7, 100, 1, null, "buy"],
    [0, 1, -7, 100, 1, null, "buy", null],
    [0, 1, 1.5, 100, 1, null, "buy", null],
    [0, 1, 7, -1, 1, null, "buy", null],
    [0, 1, 7, Number.NaN, 1, null, "buy", null],
    [0, 1, 7, 100, 3, null, "buy", null],
    [0, 1, 7, 100, 0.5, null, "buy", null],
    [0, 1, 7, 100, 1, 5, "buy", null],
    [0, 1, 7, 100, 1, null, 5, null],
    [0, 1, 7, 100, 1, null, "buy", null, 0],
    [0, 1, 7, 100, 1, null, "buy", null, 2, null],
    [0, 1, 7, 100, 1, null, "buy", null, 0, 5],
    [0, 1, 7, 100, 1, null, "buy", null, 0, null, "lane", 1, 0],
    [0, 1, 7, 100, 1, null, "buy", null, 0, null, 5, 1, 0, 0],
    [0, 1, 7, 100, 1, null, "buy", null, 0, null, "lane", -1, 0, 0],
    [0, 1, 7, 100, 1, null, "buy", null, 0, null, "lane", 1, 0.5, 0],
    [0, 1, 7, 100, 1, null, "buy", null, 0, null, "lane", 1, 0, null],
  ];
  for (const shape of shapes) batches.push(Buffer.concat([header, packr.pack(shape)]));
  for (const batch of batches) expect(decodeBatch(batch)).toBeNull();
});
