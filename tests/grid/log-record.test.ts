// Goal: the stored form of a record keeps everything, and never changes under people.
// Method: any record survives (property); a second reader understands the bytes; bytes written by
// earlier versions (tests/fixtures) are read, and written, as they were.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checksum,
  decodeHead,
  decodeRecord,
  decodeSegment,
  encodeHead,
  encodeRecord,
  encodeSegment,
  SegmentEncoder,
  formatByte,
  recordTypes,
  type Change,
  type CommandEntry,
  type LogRecord,
  type RecordBody,
  type Value,
} from "../../src/grid/log-record.ts";
import { readPlain, type Plain } from "./plain-msgpack.ts";

const numRuns = Number(process.env["FC_RUNS"] ?? 200);

// What a space may hold: see src/processing-units/value.ts.
const text = fc.string({ unit: "binary", maxLength: 40 });
const name = text.filter((one) => one !== "__proto__"); // msgpackr renames it, for safety
const number = fc
  .oneof(fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }))
  .map((one) => one + 0); // there is no -0 in the log
const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "value" },
    fc.constant(null),
    fc.boolean(),
    number,
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    text,
    fc.array(tie("value"), { maxLength: 20, depthIdentifier: "value" }),
    fc.dictionary(name, tie("value"), {
      maxKeys: 20,
      depthIdentifier: "value",
      noNullPrototype: true,
    }),
  ),
})).value;

const position = fc.oneof(fc.nat(300), fc.maxSafeNat());
const change: fc.Arbitrary<Change> = fc.record({
  space: fc.constantFrom("purses", "reservations", "räume", ""),
  key: text,
  value,
});
const entry: fc.Arbitrary<CommandEntry> = fc.record({
  sender: fc.option(text),
  number: position,
  confirmed: position,
  attempt: position,
  changes: fc.array(change, { maxLength: 6 }),
  reply: value,
});
const entries = fc.array(entry, { maxLength: 4 });
const segment = fc.record({
  epoch: position,
  checkpoint: position,
  segment: position,
  encodedAt: position,
  bytes: position,
});
const body: fc.Arbitrary<RecordBody> = fc.oneof(
  fc.record({
    type: fc.constant("genesis" as const),
    genesis: fc.record({
      gridId: text,
      generation: position,
      partitions: position,
      partition: position,
    }),
  }),
  fc.record({ type: fc.constant("claim" as const), lane: text }),
  fc.record({ type: fc.constant("changes" as const), entries }),
  fc.record({
    type: fc.constant("checkpoint" as const),
    segments: fc.array(segment, { maxLength: 5 }),
    delta: fc.array(change, { maxLength: 6 }),
    entries,
    number: position,
    trimmedTo: position,
    logBytes: position,
  }),
  fc.record(
    { type: fc.constant("release" as const), final: fc.constant(true as const) },
    { requiredKeys: ["type"] },
  ),
  fc.record({ type: fc.constant("end" as const), successor: position }),
);
const record: fc.Arbitrary<LogRecord> = fc.record({
  position,
  epoch: position,
  token: text,
  timeMs: position,
  previous: fc.uint8Array({ minLength: 0, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  body,
});

/** A value as the second reader gives it: maps for objects; numbers may be of any width. */
function plain(one: Value): Plain {
  if (Array.isArray(one)) return one.map((item: Value) => plain(item));
  if (typeof one !== "object" || one === null) return one;
  return new Map(Object.entries(one).map(([key, item]) => [key, plain(item)]));
}

test("any record, head and segment is read as it was written", () => {
  fc.assert(
    fc.property(record, (one) => {
      expect(decodeRecord(encodeRecord(one))).toEqual(one);
    }),
    { numRuns },
  );
  fc.assert(fc.property(position, (one) => decodeHead(encodeHead(one)) === one));
  fc.assert(
    fc.property(fc.array(change), (changes) => {
      expect(decodeSegment(encodeSegment(changes))).toEqual(changes);
    }),
  );
});

test("a second reader of MessagePack understands every record, without extensions", () => {
  fc.assert(
    fc.property(record, (one) => {
      const stored = encodeRecord(one);
      expect(stored[0]).toBe(formatByte);
      const [type, ...rest] = readPlain(stored.subarray(1)) as Plain[];
      expect(type).toBe(recordTypes[one.body.type]);
      const { epoch, token, timeMs, previous } = one;
      expect(rest.slice(0, 5)).toEqual([one.position, epoch, token, timeMs, previous]);
      if (one.body.type !== "changes") return;
      const [names, packed] = rest[5] as [string[], Plain[][]];
      const unpacked = packed.map(([from, count, confirmed, attempt, flat, reply]) => {
        const list = flat as Plain[];
        const changes = [];
        for (let at = 0; at < list.length; at += 3) {
          changes.push([names[list[at] as number], list[at + 1], list[at + 2]]);
        }
        const sender = from === null ? null : names[from as number];
        return [sender, count, confirmed, attempt, changes, reply];
      });
      expect(unpacked).toEqual(
        one.body.entries.map((each) => [
          each.sender,
          each.number,
          each.confirmed,
          each.attempt,
          each.changes.map(({ space, key, value: to }) => [space, key, plain(to)]),
          plain(each.reply),
        ]),
      );
    }),
    { numRuns },
  );
});

test("numbers come back exactly: whole ones to 2^53, bigints of 64 bits as bigints", () => {
  const numbers = [2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER, 0.1];
  const both = [...numbers, ...numbers.map((one) => -one)];
  const bigints = [0n, 1n, -1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
  const changes = [{ space: "s", key: "k", value: [...both, ...bigints] }];
  expect(decodeSegment(encodeSegment(changes))).toEqual(changes);
});

test("a space's name stands once in a record, however many changes name it", () => {
  const space = "a space with a rather long name";
  const changes = Array.from({ length: 50 }, (_, key) => ({ space, key: String(key), value: 1 }));
  const stored = encodeSegment(changes);
  expect(stored.indexOf(space)).toBe(stored.lastIndexOf(space));
  expect(stored.length).toBeLessThan(space.length + 50 * 6 + 20);
});

test("a segment that is encoded in pieces is the one that is encoded at once", () => {
  fc.assert(
    fc.property(fc.array(fc.array(change)), (pieces) => {
      const segment = new SegmentEncoder();
      for (const piece of pieces) segment.add(piece);
      expect(segment.stored()).toEqual(encodeSegment(pieces.flat()));
    }),
  );
  const many = Array.from({ length: 2 ** 15 }, (_, key) => {
    return { space: "s", key: String(key), value: key };
  });
  const segment = new SegmentEncoder();
  for (let from = 0; from < many.length; from += 1000) segment.add(many.slice(from, from + 1000));
  expect(decodeSegment(segment.stored())).toEqual(many);
});

test("a sender's name stands once in a record, however many entries it has", () => {
  const sender = "8k3v0tq2m5xr7c1z";
  const entries = Array.from({ length: 50 }, (_, number) => {
    return { sender, number, confirmed: 0, attempt: 0, changes: [], reply: null };
  });
  const header = { position: 7, epoch: 1, token: "t", timeMs: 1, previous: Buffer.alloc(16) };
  const stored = encodeRecord({ ...header, body: { type: "changes", entries } });
  expect(stored.indexOf(sender)).toBe(stored.lastIndexOf(sender));
});

test("the checksum is the first 16 bytes of the SHA-256 of the whole stored value", () => {
  // FIPS 180-2, appendix B.1
  expect(checksum(Buffer.from("abc")).toString("hex")).toBe("ba7816bf8f01cfea414140de5dae2223");
  fc.assert(
    fc.property(record, fc.nat(), (one, seed) => {
      const stored = encodeRecord(one);
      const before = checksum(stored);
      const at = seed % stored.length;
      stored[at] = (stored[at] ?? 0) ^ 1;
      expect(checksum(stored)).not.toEqual(before);
    }),
  );
});

describe("what a newer version wrote is told from what is broken", () => {
  const claim: LogRecord = {
    position: 7,
    epoch: 7,
    token: "t",
    timeMs: 1,
    previous: Buffer.alloc(16),
    body: { type: "claim", lane: "lane-0" },
  };

  test("another format is null: record, head, segment", () => {
    for (const format of [0, 2, 255]) {
      for (const stored of [encodeRecord(claim), encodeHead(3), encodeSegment([])]) {
        stored[0] = format;
        expect(decodeRecord(stored)).toBeNull();
        expect(decodeHead(stored)).toBeNull();
        expect(decodeSegment(stored)).toBeNull();
      }
    }
    expect(decodeRecord(Buffer.of())).toBeNull();
  });

  test("an unknown type is null, and every number up to END is known", () => {
    const stored = encodeRecord(claim);
    expect(stored[1]).toBe(0x97); // an array of seven; the type is its first
    expect(stored[2]).toBe(recordTypes.claim);
    for (const type of [6, 7, 127]) {
      stored[2] = type;
      expect(decodeRecord(stored)).toBeNull();
    }
    expect(Object.values(recordTypes)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("a record that was cut off is no record", () => {
    fc.assert(
      fc.property(record, fc.nat(), (one, seed) => {
        const stored = encodeRecord(one);
        const cut = stored.subarray(0, seed % stored.length);
        if (cut.length === 0) expect(decodeRecord(cut)).toBeNull();
        else expect(() => decodeRecord(cut)).toThrow();
      }),
    );
  });
});

interface Fixture {
  readonly name: string;
  readonly kind: "record" | "head" | "segment";
  readonly hex: string;
  readonly decoded: unknown;
  /** An earlier version wrote it so; this one writes it otherwise. */
  readonly earlier?: boolean;
}

/** JSON has neither bytes nor bigints. */
function forJson(_key: string, one: unknown): unknown {
  if (typeof one === "bigint") return `${one}n`;
  const bytes = one as { type?: unknown; data?: unknown } | null;
  if (bytes?.type === "Buffer" && Array.isArray(bytes.data)) {
    return Buffer.from(bytes.data as number[]).toString("hex");
  }
  return one;
}

const fixtureFile = join(import.meta.dirname, "../fixtures/log-records.v1.json");
const fixtures = JSON.parse(readFileSync(fixtureFile, "utf8")) as Fixture[];

describe("bytes of format 1 are read for ever", () => {
  test.each(fixtures)("$kind: $name", ({ kind, hex, decoded }) => {
    const stored = Buffer.from(hex, "hex");
    const decode = { record: decodeRecord, head: decodeHead, segment: decodeSegment }[kind];
    expect(JSON.parse(JSON.stringify(decode(stored), forJson))).toEqual(decoded);
  });

  test("and what is written today is what was written then", () => {
    for (const { kind, hex, earlier = false } of fixtures) {
      if (earlier) continue;
      const stored = Buffer.from(hex, "hex");
      const again = {
        record: () => encodeRecord(decodeRecord(stored) ?? ({} as LogRecord)),
        head: () => encodeHead(decodeHead(stored) ?? -1),
        segment: () => encodeSegment(decodeSegment(stored) ?? []),
      }[kind]();
      expect(again.toString("hex")).toBe(hex);
    }
  });

  test("every type of record has a fixture", () => {
    const types = fixtures
      .filter(({ kind }) => kind === "record")
      .map(({ hex }) => decodeRecord(Buffer.from(hex, "hex"))?.body.type);
    expect(new Set(types)).toEqual(new Set(Object.keys(recordTypes)));
  });
});
