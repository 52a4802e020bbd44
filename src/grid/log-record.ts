// Log record: the stored form of one position of a partition's log. It must not change under
// people: tests/grid/log-record.test.ts reads bytes that earlier versions wrote.
// Owns: the record's types, its encoding and its checksum. Does not own: who writes it and when.
//
// A stored value is one format byte, then plain msgpack (no record extension, no shared
// structures: any library reads it). Records: [type, position, epoch, token, timeMs, previous,
// body], where `previous` is the checksum of the record before, so that a log is a chain.
import { hash } from "node:crypto";
import { Packr, RESERVE_START_SPACE } from "msgpackr";
import { assert } from "../base/assert.ts";

export const formatByte = 1;

/** All types that any version of this format may meet; an unknown one stops the partition. */
export const recordTypes = {
  genesis: 0,
  claim: 1,
  changes: 2,
  checkpoint: 3,
  release: 4,
  end: 5,
} as const;
export type RecordType = keyof typeof recordTypes;

/** A value of a space: plain data, msgpack's own types only. */
export type Value =
  null | boolean | number | bigint | string | readonly Value[] | { readonly [name: string]: Value };

/** One change of an entry; a null value deletes it. */
export interface Change {
  readonly space: string;
  readonly key: string;
  readonly value: Value;
}

/** What one command did. The fields before `changes` number commands between lanes. */
export interface CommandEntry {
  readonly sender: string | null;
  readonly number: number;
  readonly confirmed: number;
  readonly attempt: number;
  readonly changes: readonly Change[];
  readonly reply: Value;
}

export interface GenesisBody {
  readonly gridId: string;
  readonly generation: number;
  readonly partitions: number;
  readonly partition: number;
}

/** Names one live segment and the position at which it was encoded. */
export interface SegmentName {
  readonly epoch: number;
  readonly checkpoint: number;
  readonly segment: number;
  readonly encodedAt: number;
}

export type RecordBody =
  | { readonly type: "genesis"; readonly genesis: GenesisBody }
  | { readonly type: "claim"; readonly lane: string }
  | { readonly type: "changes"; readonly entries: readonly CommandEntry[] }
  | {
      readonly type: "checkpoint";
      readonly segments: readonly SegmentName[];
      readonly delta: readonly CommandEntry[];
    }
  | { readonly type: "release" }
  | { readonly type: "end"; readonly successor: number };

export interface RecordHeader {
  readonly position: number;
  /** Position of the claim under which it was written; 0 in genesis. */
  readonly epoch: number;
  /** Lane incarnation and attempt: tells two writers apart, never alone proves whose it is. */
  readonly token: string;
  /** Milliseconds since 1970; never goes back within a log. */
  readonly timeMs: number;
  /** Checksum of the record before; empty in genesis. */
  readonly previous: Buffer;
}

export interface LogRecord extends RecordHeader {
  readonly body: RecordBody;
}

const packr = new Packr({ useRecords: false, variableMapSize: true });

const checksumBytes = 16;

/** First 16 bytes of the SHA-256 of a whole stored value. */
export function checksum(stored: Buffer): Buffer {
  // As text, one character a byte: a Buffer made by the hash itself takes 0.3 µs longer.
  return Buffer.from(hash("sha256", stored, "latin1").slice(0, checksumBytes), "latin1");
}

// Space names stand once per record; a change names its space by its place in that list.
function packEntries(entries: readonly CommandEntry[]): unknown[] {
  const spaces: string[] = [];
  const packed = entries.map((entry) => {
    const changes: unknown[] = [];
    for (const change of entry.changes) {
      let space = spaces.indexOf(change.space);
      if (space < 0) space = spaces.push(change.space) - 1;
      changes.push(space, change.key, change.value);
    }
    return [entry.sender, entry.number, entry.confirmed, entry.attempt, changes, entry.reply];
  });
  return [spaces, packed];
}

function packBody(body: RecordBody): unknown {
  switch (body.type) {
    case "genesis":
      return body.genesis;
    case "claim":
      return { lane: body.lane };
    case "changes":
      return packEntries(body.entries);
    case "checkpoint":
      return [
        body.segments.map((name) => [name.epoch, name.checkpoint, name.segment, name.encodedAt]),
        ...packEntries(body.delta),
      ];
    case "release":
      return null;
    case "end":
      return { successor: body.successor };
  }
}

/** The stored value of a record. */
export function encodeRecord(record: LogRecord): Buffer {
  const { type } = record.body;
  const stored = packr.pack(
    [
      recordTypes[type],
      record.position,
      record.epoch,
      record.token,
      record.timeMs,
      record.previous,
      packBody(record.body),
    ],
    // Room for the format byte; a copy behind one would take 0.5 µs longer.
    RESERVE_START_SPACE + 1,
  );
  stored[0] = formatByte;
  return stored;
}

type Packed = readonly unknown[];

function unpackEntries(spaces: unknown, packed: unknown): CommandEntry[] {
  const names = spaces as string[];
  return (packed as Packed[]).map((entry) => {
    const [sender, number, confirmed, attempt, flat, reply] = entry;
    const list = flat as Value[];
    const changes: Change[] = [];
    for (let at = 0; at < list.length; at += 3) {
      const space = names[list[at] as number];
      assert(space !== undefined, "a change names a space of its record");
      changes.push({ space, key: list[at + 1] as string, value: list[at + 2] as Value });
    }
    return {
      sender: sender as string | null,
      number: number as number,
      confirmed: confirmed as number,
      attempt: attempt as number,
      changes,
      reply: reply as Value,
    };
  });
}

function unpackBody(type: number, packed: unknown): RecordBody | null {
  switch (type) {
    case recordTypes.genesis:
      return { type: "genesis", genesis: packed as GenesisBody };
    case recordTypes.claim:
      return { type: "claim", lane: (packed as { lane: string }).lane };
    case recordTypes.changes: {
      const [spaces, entries] = packed as Packed;
      return { type: "changes", entries: unpackEntries(spaces, entries) };
    }
    case recordTypes.checkpoint: {
      const [segments, spaces, delta] = packed as Packed;
      const names = (segments as [number, number, number, number][]).map(
        ([epoch, checkpoint, segment, encodedAt]) => ({ epoch, checkpoint, segment, encodedAt }),
      );
      return { type: "checkpoint", segments: names, delta: unpackEntries(spaces, delta) };
    }
    case recordTypes.release:
      return { type: "release" };
    case recordTypes.end:
      return { type: "end", successor: (packed as { successor: number }).successor };
    default:
      return null;
  }
}

/**
 * The record in a stored value, or null where it has another format or an unknown type: then
 * the log was written by a newer version, and the partition must stop.
 */
export function decodeRecord(stored: Buffer): LogRecord | null {
  if (stored[0] !== formatByte) return null;
  const [type, position, epoch, token, timeMs, previous, packed] = packr.unpack(
    stored.subarray(1),
  ) as Packed;
  const body = unpackBody(type as number, packed);
  if (body === null) return null;
  return {
    position: position as number,
    epoch: epoch as number,
    token: token as string,
    timeMs: timeMs as number,
    previous: Buffer.from(previous as Uint8Array),
    body,
  };
}

/** The stored value of a head: its position only. */
export function encodeHead(position: number): Buffer {
  const packed = packr.pack(position);
  return Buffer.concat([Buffer.of(formatByte), packed]);
}

/** The position in a stored head, or null where it has another format. */
export function decodeHead(stored: Buffer): number | null {
  if (stored[0] !== formatByte) return null;
  const position: unknown = packr.unpack(stored.subarray(1));
  return typeof position === "number" ? position : null;
}

/** The stored value of one checkpoint segment: its entries as changes. */
export function encodeSegment(changes: readonly Change[]): Buffer {
  const entry = { sender: null, number: 0, confirmed: 0, attempt: 0, changes, reply: null };
  return Buffer.concat([Buffer.of(formatByte), packr.pack(packEntries([entry]))]);
}

/** The entries of a stored segment, or null where it has another format. */
export function decodeSegment(stored: Buffer): readonly Change[] | null {
  if (stored[0] !== formatByte) return null;
  const [spaces, entries] = packr.unpack(stored.subarray(1)) as Packed;
  return unpackEntries(spaces, entries)[0]?.changes ?? [];
}
