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
  /** How a rebuild made it: its run, the generation that it replaces, what of that was written. */
  readonly rebuilt?: { readonly token: string; readonly base: number; readonly seq: number };
}

/** Names one live segment. */
export interface SegmentName {
  readonly epoch: number;
  readonly checkpoint: number;
  readonly segment: number;
  /** Position of the last durable record when its encoding began: later ones may be missing. */
  readonly encodedAt: number;
  /** Stored size. */
  readonly bytes: number;
}

/**
 * A checkpoint: its segments are folded in the order listed, then the delta, then the entries,
 * and that is the fold of the whole log up to and with this record.
 */
export interface CheckpointBody {
  readonly type: "checkpoint";
  /** Which attempt of its epoch it is: its own segments have that number. */
  readonly number: number;
  readonly segments: readonly SegmentName[];
  /** Final values of what changed since the encoding of its last segments began. */
  readonly delta: readonly Change[];
  /** The batch that waited when the record left: like the entries of a changes record. */
  readonly entries: readonly CommandEntry[];
  /** Records before this position were trimmed (claims and genesis are there still). */
  readonly trimmedTo: number;
  /** Stored size of the records from there on, without this one. */
  readonly logBytes: number;
}

export type RecordBody =
  | { readonly type: "genesis"; readonly genesis: GenesisBody }
  | { readonly type: "claim"; readonly lane: string }
  | { readonly type: "changes"; readonly entries: readonly CommandEntry[] }
  | CheckpointBody
  /**
   * `final`: nobody was there to take the partition over; whoever claims next may acknowledge
   * changes only once the database has its claim (docs/invariants.md, P12).
   */
  | { readonly type: "release"; readonly final?: true }
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

// Names of spaces and senders stand once per record: a change and an entry have the name's place.
function placeOf(names: string[], name: string): number {
  const place = names.indexOf(name);
  return place < 0 ? names.push(name) - 1 : place;
}

function packChanges(names: string[], changes: readonly Change[]): unknown[] {
  const flat: unknown[] = [];
  for (const { space, key, value } of changes) flat.push(placeOf(names, space), key, value);
  return flat;
}

function packEntries(names: string[], entries: readonly CommandEntry[]): unknown[] {
  return entries.map((entry) => {
    const changes = packChanges(names, entry.changes);
    const sender = entry.sender === null ? null : placeOf(names, entry.sender);
    return [sender, entry.number, entry.confirmed, entry.attempt, changes, entry.reply];
  });
}

function packCheckpoint(body: CheckpointBody): unknown[] {
  const names: string[] = [];
  return [
    body.segments.map((one) => [one.epoch, one.checkpoint, one.segment, one.encodedAt, one.bytes]),
    names,
    packChanges(names, body.delta),
    packEntries(names, body.entries),
    body.trimmedTo,
    body.logBytes,
    body.number,
  ];
}

function packBody(body: RecordBody): unknown {
  switch (body.type) {
    case "genesis":
      return body.genesis;
    case "claim":
      return { lane: body.lane };
    case "changes": {
      const names: string[] = [];
      return [names, packEntries(names, body.entries)];
    }
    case "checkpoint":
      return packCheckpoint(body);
    case "release":
      return body.final === true ? { final: true } : null;
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

function unpackChanges(names: readonly string[], flat: readonly Value[]): Change[] {
  const changes: Change[] = [];
  for (let at = 0; at < flat.length; at += 3) {
    const space = names[flat[at] as number];
    assert(space !== undefined, "a change names a space of its record");
    changes.push({ space, key: flat[at + 1] as string, value: flat[at + 2] as Value });
  }
  return changes;
}

/** Earlier versions wrote a sender's name itself, in each entry. */
function unpackSender(names: readonly string[], sender: unknown): string | null {
  if (typeof sender !== "number") return sender as string | null;
  const name = names[sender];
  assert(name !== undefined, "an entry names a sender of its record");
  return name;
}

function unpackEntries(names: readonly string[], packed: unknown): CommandEntry[] {
  return (packed as Packed[]).map((entry) => {
    const [sender, number, confirmed, attempt, flat, reply] = entry;
    return {
      sender: unpackSender(names, sender),
      number: number as number,
      confirmed: confirmed as number,
      attempt: attempt as number,
      changes: unpackChanges(names, flat as Value[]),
      reply: reply as Value,
    };
  });
}

function unpackCheckpoint(packed: Packed): CheckpointBody {
  const names = packed[1] as string[];
  const segments = (packed[0] as number[][]).map(
    ([epoch = 0, checkpoint = 0, segment = 0, encodedAt = 0, bytes = 0]) => ({
      epoch,
      checkpoint,
      segment,
      encodedAt,
      bytes,
    }),
  );
  // The first versions had entries there and nothing more, and wrote none but in tests.
  const isFirst = packed.length === 3;
  const delta = isFirst
    ? unpackEntries(names, packed[2]).flatMap(({ changes }) => changes)
    : unpackChanges(names, packed[2] as Value[]);
  return {
    type: "checkpoint",
    segments,
    delta,
    entries: isFirst ? [] : unpackEntries(names, packed[3]),
    trimmedTo: isFirst ? 1 : (packed[4] as number),
    logBytes: isFirst ? 0 : (packed[5] as number),
    number: isFirst ? 0 : (packed[6] as number),
  };
}

function unpackBody(type: number, packed: unknown): RecordBody | null {
  switch (type) {
    case recordTypes.genesis:
      return { type: "genesis", genesis: packed as GenesisBody };
    case recordTypes.claim:
      return { type: "claim", lane: (packed as { lane: string }).lane };
    case recordTypes.changes: {
      const [names, entries] = packed as Packed;
      return { type: "changes", entries: unpackEntries(names as string[], entries) };
    }
    case recordTypes.checkpoint:
      return unpackCheckpoint(packed as Packed);
    case recordTypes.release:
      return packed === null ? { type: "release" } : { type: "release", final: true };
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

/** The commands that a record journals: those of its batch, whatever else it carries. */
export function entriesOf(body: RecordBody): readonly CommandEntry[] {
  return body.type === "changes" || body.type === "checkpoint" ? body.entries : [];
}

/** How msgpack begins an array. */
function arrayHeader(length: number): Buffer {
  if (length < 16) return Buffer.of(0x90 | length);
  if (length < 2 ** 16) return Buffer.of(0xdc, length >> 8, length & 0xff);
  const header = Buffer.of(0xdd, 0, 0, 0, 0);
  header.writeUInt32BE(length, 1);
  return header;
}

/**
 * Encodes one checkpoint segment piece by piece: what was added is bytes, and no object any more,
 * so that a segment that fills slowly is nothing for the garbage collector to copy.
 */
export class SegmentEncoder {
  readonly #names: string[] = [];
  readonly #pieces: Buffer[] = [];
  #items = 0;
  #bytes = 0;

  /** Stored size of what was added, but for the names of its spaces. */
  get bytes(): number {
    return this.#bytes;
  }

  add(changes: readonly Change[]): void {
    const flat = packChanges(this.#names, changes);
    const piece = packr.pack(flat).subarray(arrayHeader(flat.length).length);
    this.#pieces.push(piece);
    this.#items += flat.length;
    this.#bytes += piece.length;
  }

  /** The stored value: the names, and one entry as `packEntries` makes it, without a sender. */
  stored(): Buffer {
    const [two, one, six] = [0x92, 0x91, 0x96]; // headers of arrays
    const nothing = 0xc0;
    return Buffer.concat([
      Buffer.of(formatByte, two),
      packr.pack(this.#names),
      Buffer.of(one, six, nothing, 0, 0, 0),
      arrayHeader(this.#items),
      ...this.#pieces,
      Buffer.of(nothing),
    ]);
  }
}

/** The stored value of one checkpoint segment: its entries as changes. */
export function encodeSegment(changes: readonly Change[]): Buffer {
  const segment = new SegmentEncoder();
  segment.add(changes);
  return segment.stored();
}

/** True where a stored segment has this version's format. */
export function isSegment(stored: Buffer): boolean {
  return stored[0] === formatByte;
}

/** The entries of a stored segment, or null where it has another format. */
export function decodeSegment(stored: Buffer): readonly Change[] | null {
  if (!isSegment(stored)) return null;
  const [names, entries] = packr.unpack(stored.subarray(1)) as Packed;
  return unpackEntries(names as string[], entries)[0]?.changes ?? [];
}
