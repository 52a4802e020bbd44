// Micro records: what bytes cost: records and their checksums, and a duration in a histogram.
// Owns: the operations. Does not own: how they are measured (micro-operation.ts).
import { isDeepStrictEqual } from "node:util";
import { createHash } from "node:crypto";
import { assert, must } from "../src/base/assert.ts";
import { Histogram } from "../src/base/histogram.ts";
import {
  checksum,
  decodeRecord,
  encodeRecord,
  entriesOf,
  type CommandEntry,
  type LogRecord,
} from "../src/grid/log-record.ts";
import { bidEntry } from "./micro-bids.ts";
import { countRight, type MicroGroup, type MicroOperation } from "./micro-operation.ts";

const timeMs = 1_700_000_000_000;
const sender = "3f2a9c1d7b604e58";

export function recordGroup(): MicroGroup {
  const one = record([smallEntry(0)]);
  const sixteen = record(Array.from({ length: 16 }, (_, number) => smallEntry(number)));
  const bid = record([bidEntry()]);
  const operations = [
    ...codec("one command", one),
    ...codec("sixteen commands", sixteen),
    ...codec("one bid", bid),
    checksumOf("one command", encodeRecord(one)),
    checksumOf("sixteen commands", encodeRecord(sixteen)),
    histogram(),
  ];
  const facts = {
    "record of one command, bytes": encodeRecord(one).length,
    "record of sixteen commands, bytes": encodeRecord(sixteen).length,
    "record of one bid, bytes": encodeRecord(bid).length,
  };
  return { operations, facts };
}

/** A command of another lane that changes one entry. */
export function smallEntry(number: number): CommandEntry {
  const key = `sku-${String(number).padStart(6, "0")}`;
  const value = { sku: key, quantity: 1_000_000 - number, sold: number, place: "shelf 12, left" };
  const changes = [{ space: "stock", key, value }];
  return { sender, number, confirmed: 0, attempt: 0, changes, reply: { left: number } };
}

function record(entries: readonly CommandEntry[]): LogRecord {
  const previous = createHash("sha256").update("the record before").digest().subarray(0, 16);
  const body = { type: "changes", entries } as const;
  return { position: 4711, epoch: 17, token: "3f2a9c1d7b604e58.1", timeMs, previous, body };
}

function codec(what: string, given: LogRecord): MicroOperation[] {
  const stored = encodeRecord(given);
  const count = entriesOf(given.body).length;
  const check = (): string => {
    assert(isDeepStrictEqual(decodeRecord(encodeRecord(given)), given), "a record comes back");
    return stored.toString("base64");
  };
  const decodesWell = (): boolean => {
    const { body } = must(decodeRecord(stored), "of this format");
    return entriesOf(body).length === count;
  };
  return [
    {
      name: `encode a record of ${what}`,
      check,
      run: (calls) => countRight(calls, () => encodeRecord(given).length === stored.length),
    },
    {
      name: `decode a record of ${what}`,
      check,
      run: (calls) => countRight(calls, decodesWell),
    },
  ];
}

function checksumOf(what: string, stored: Buffer): MicroOperation {
  const first = createHash("sha256").update(stored).digest()[0];
  return {
    name: `checksum of a record of ${what}`,
    check() {
      const own = checksum(stored);
      const expected = createHash("sha256").update(stored).digest().subarray(0, 16);
      assert(own.equals(expected), "the first half of the SHA-256");
      return own.toString("hex");
    },
    run: (calls) => countRight(calls, () => checksum(stored)[0] === first),
  };
}

const durations = 1024;

function histogram(): MicroOperation {
  const measured = new Histogram();
  // From 10 µs to 100 ms, none twice in a row.
  const ms = Float64Array.from({ length: durations }, (_, at) => 0.01 * 10 ** ((at * 389) % 4.001));
  return {
    name: "histogram: record one duration",
    check() {
      const checked = new Histogram();
      for (let at = 1; at <= 1000; at++) checked.recordMs(at);
      const { count, p50, p99, max } = checked.summaryMs();
      const near = (value: number, exact: number) => Math.abs(value - exact) <= exact / 1000;
      assert(count === 1000, "all are counted");
      assert(near(p50, 500) && near(p99, 990) && near(max, 1000), "with three digits");
      return JSON.stringify({ count, p50, p99, max });
    },
    run(calls) {
      measured.reset();
      for (let call = 0; call < calls; call++) measured.recordMs(ms[call % durations] ?? 0);
      return measured.count;
    },
  };
}
