// Roster card: what a lane says about itself in its slot of the roster. This format must not
// change under people: tests/grid/roster-card.test.ts reads bytes that earlier versions wrote.
// Owns: the card's fields, its encoding. Does not own: who writes it and when (roster.ts).
//
// A stored card is one format byte, then plain msgpack: a list of the fields, in the order of
// `pack`. A later version may add fields at the end; whatever else changes is another format.
import { Packr } from "msgpackr";
import { checksum } from "./log-record.ts";

const cardFormat = 1;

/** What an owner has in a partition. Epoch 0: it is claiming it. */
export interface OwnedPartition {
  readonly partition: number;
  readonly epoch: number;
  /** The last position that it acknowledged. */
  readonly acknowledged: number;
}

/** `left` is said by the slot itself: its lane has gone, and the slot may be taken. */
const states = ["joining", "ready", "leaving", "left"] as const;

export interface LaneCard {
  /** Unique among all lanes that ever lived; empty where the card cannot be read. */
  readonly incarnation: string;
  /** Id of the lane's process. */
  readonly unit: string;
  /** For people, and the same after a restart: "lane 0 of 127.0.0.1:7070". */
  readonly name: string;
  /** Where lanes of other units connect to, ws://host:port; null: they cannot. */
  readonly address: string | null;
  readonly release: string;
  /** Version of the formats that the lane reads and writes. */
  readonly format: number;
  readonly state: (typeof states)[number];
  /** How often a lane of this name joined within the last minutes, this time included. */
  readonly joins: number;
  /** The lane's wall clock when it wrote the card: milliseconds since 1970. */
  readonly wallMs: number;
  /** Goes up with every card of an incarnation. */
  readonly counter: number;
  readonly owned: readonly OwnedPartition[];
  /** What was acknowledged by others, in partitions that nobody serves since. */
  readonly witnessed: readonly OwnedPartition[];
  /** Which database the lane writes to; null where that is not known. */
  readonly database: string | null;
}

/** One slot of the roster that is, or was, a lane's. */
export interface RosterEntry {
  /** The lane's number among all lanes of the grid, from 0. */
  readonly slot: number;
  readonly card: LaneCard;
}

const packr = new Packr({ useRecords: false, variableMapSize: true });

function flat(list: readonly OwnedPartition[]): number[] {
  return list.flatMap(({ partition, epoch, acknowledged }) => [partition, epoch, acknowledged]);
}

function unflat(numbers: readonly number[]): OwnedPartition[] {
  const list: OwnedPartition[] = [];
  for (let at = 0; at + 2 < numbers.length; at += 3) {
    const [partition, epoch, acknowledged] = numbers.slice(at, at + 3) as [number, number, number];
    list.push({ partition, epoch, acknowledged });
  }
  return list;
}

type Packed = [
  incarnation: string,
  unit: string,
  name: string,
  address: string | null,
  release: string,
  format: number,
  state: number,
  joins: number,
  wallMs: number,
  counter: number,
  owned: number[],
  witnessed: number[],
  database?: string,
];

/** The stored value of a card. */
export function encodeCard(card: LaneCard): Buffer {
  const packed: Packed = [
    card.incarnation,
    card.unit,
    card.name,
    card.address,
    card.release,
    card.format,
    states.indexOf(card.state),
    card.joins,
    card.wallMs,
    card.counter,
    flat(card.owned),
    flat(card.witnessed),
  ];
  if (card.database !== null) packed.push(card.database);
  return Buffer.concat([Buffer.of(cardFormat), packr.pack(packed)]);
}

/** The card in a stored value, or null where it has a newer format or an unknown state. */
export function decodeCard(stored: Buffer): LaneCard | null {
  if (stored[0] !== cardFormat) return null;
  const packed = packr.unpack(stored.subarray(1)) as Packed;
  const [incarnation, unit, name, address, release, format, at, joins, wallMs, counter] = packed;
  const state = states[at];
  if (state === undefined) return null;
  const owned = unflat(packed[10]);
  const witnessed = unflat(packed[11]);
  const lane = { incarnation, unit, name, address, release, format, state, joins };
  return { ...lane, wallMs, counter, owned, witnessed, database: packed[12] ?? null };
}

/**
 * What is shown of a card that cannot be read: a lane that lives as long as its bytes change, that
 * joins and never gets ready. Its slot is never given to another.
 */
export function unreadCard(slot: number, stored: Buffer): LaneCard {
  return {
    incarnation: "",
    unit: "",
    name: `slot ${String(slot)}, written by a newer version`,
    address: null,
    release: "",
    format: stored[0] ?? 0,
    state: "joining",
    joins: Number.MAX_SAFE_INTEGER,
    wallMs: 0,
    counter: checksum(stored).readUIntBE(0, 6),
    owned: [],
    witnessed: [],
    database: null,
  };
}

/** Both lists as one: for each partition, ascending, the entry that acknowledged most. */
export function mergeOwned(
  one: readonly OwnedPartition[],
  other: readonly OwnedPartition[],
): OwnedPartition[] {
  const most = new Map<number, OwnedPartition>();
  for (const entry of [...one, ...other]) {
    const known = most.get(entry.partition);
    if (known === undefined || known.acknowledged < entry.acknowledged) {
      most.set(entry.partition, entry);
    }
  }
  return [...most.values()].sort((a, b) => a.partition - b.partition);
}
