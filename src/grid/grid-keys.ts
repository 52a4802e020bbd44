// Grid keys: where everything lies in a store. This format must not change under people.
// Owns: the key layout (partition u16, kind u8, number u64, big-endian) and the map names.
// Does not own: what the values say (log-record.ts, grid-directory.ts).
import { assert } from "../base/assert.ts";

const keyBytes = 11;

const kinds = {
  head: 0,
  record: 1,
  segment: 2,
  gridId: 16,
  pointer: 17,
  slot: 18,
  secret: 19,
} as const;

/** The map that holds the grid id and the generation pointer. */
export const directoryMapName = "grid";

/** The map of one generation: its logs, heads and segments. */
export function generationMapName(generation: number): string {
  return `grid.${String(generation)}`;
}

function key(partition: number, kind: number, number: bigint): Buffer {
  assert(Number.isInteger(partition) && partition >= 0 && partition <= 0xffff, "a partition");
  const bytes = Buffer.allocUnsafe(keyBytes);
  bytes.writeUInt16BE(partition, 0);
  bytes.writeUInt8(kind, 2);
  bytes.writeBigUInt64BE(number, 3);
  return bytes;
}

/** The key of record `position` of a partition's log. */
export function recordKey(partition: number, position: number): Buffer {
  assert(Number.isSafeInteger(position) && position >= 0, () => `position ${String(position)}`);
  return key(partition, kinds.record, BigInt(position));
}

/** The key of a partition's head: the position where reading its log starts. */
export function headKey(partition: number): Buffer {
  return key(partition, kinds.head, 0n);
}

// A segment's number packs (epoch, checkpoint, segment). An owner that has used up its
// checkpoints claims again: a new epoch has all of them.
const epochBits = 38;
const checkpointBits = 14;
const segmentBits = 12;

/** Checkpoints that one owner may try, and segments of one of them. */
export const checkpointsOfEpochMax: number = 2 ** checkpointBits;
export const segmentsOfCheckpointMax: number = 2 ** segmentBits;

/** The key of one checkpoint segment; each is used once in the life of a generation. */
export function segmentKey(
  partition: number,
  epoch: number,
  checkpoint: number,
  segment: number,
): Buffer {
  assert(epoch > 0 && epoch < 2 ** epochBits, () => `epoch ${String(epoch)}`);
  assert(checkpoint >= 0 && checkpoint < checkpointsOfEpochMax, "checkpoint number");
  assert(segment >= 0 && segment < segmentsOfCheckpointMax, "segment number");
  const ofEpoch = (BigInt(epoch) << BigInt(checkpointBits)) | BigInt(checkpoint);
  return key(partition, kinds.segment, (ofEpoch << BigInt(segmentBits)) | BigInt(segment));
}

/** The key of a slot of the roster, in a generation's map. */
export function slotKey(slot: number): Buffer {
  assert(Number.isInteger(slot) && slot >= 0, () => `slot ${String(slot)}`);
  return key(0, kinds.slot, BigInt(slot));
}

/** The key of secret `number`, which all lanes of the grid share, in a generation's map. */
export function secretKey(number: number): Buffer {
  assert(Number.isInteger(number) && number >= 0, () => `secret ${String(number)}`);
  return key(0, kinds.secret, BigInt(number));
}

export const gridIdKey: Buffer = key(0, kinds.gridId, 0n);
export const pointerKey: Buffer = key(0, kinds.pointer, 0n);

/** The partition that a key lies in: what an engine pins it by. */
export function partitionOfKey(bytes: Buffer): number {
  return bytes.readUInt16BE(0);
}
