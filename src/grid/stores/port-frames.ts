// Port frames: what passes between a PortStore and the store behind its port.
// Owns: the encoding of a batch of calls or answers as one block of bytes. Does not own: when a
// batch leaves, what a call means (port-store.ts). Both ends are threads of one process, so this
// is no format that must last.
//
// Objects are not posted: cloning them costs more than the bytes, and a Buffer that is a view
// drags its whole pool along. Each byte is copied once, into a block that is then handed over.
//   item = id f64, tag u8, number u32, parts u32, then each part: length u32, bytes
//   (a length of all ones: null)
import { assert } from "../../base/assert.ts";

/** A call (tag: which; number: deadline in ms) or an answer (tag: of which kind). */
export interface PortItem {
  readonly id: number;
  readonly tag: number;
  readonly number: number;
  readonly parts: readonly (Buffer | null)[];
}

const headBytes = 8 + 1 + 4 + 4;
const lengthBytes = 4;
const nullLength = 0xffff_ffff;

function itemBytes(item: PortItem): number {
  let bytes = headBytes;
  for (const part of item.parts) bytes += lengthBytes + (part?.length ?? 0);
  return bytes;
}

/** One block with all items; it has its own memory, so it can be transferred. */
export function encodeItems(items: readonly PortItem[]): Buffer<ArrayBuffer> {
  let total = 0;
  for (const item of items) total += itemBytes(item);
  const block = Buffer.allocUnsafeSlow(total);
  let at = 0;
  for (const item of items) {
    at = block.writeDoubleLE(item.id, at);
    at = block.writeUInt8(item.tag, at);
    at = block.writeUInt32LE(item.number, at);
    at = block.writeUInt32LE(item.parts.length, at);
    for (const part of item.parts) {
      at = block.writeUInt32LE(part?.length ?? nullLength, at);
      if (part !== null) at += part.copy(block, at);
    }
  }
  return block;
}

/** The items of a block. Their parts are views on it: it belongs to them now. */
export function decodeItems(bytes: Uint8Array): PortItem[] {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: PortItem[] = [];
  let at = 0;
  while (at < block.length) {
    const id = block.readDoubleLE(at);
    const tag = block.readUInt8(at + 8);
    const number = block.readUInt32LE(at + 9);
    const count = block.readUInt32LE(at + 13);
    at += headBytes;
    const parts: (Buffer | null)[] = [];
    for (let part = 0; part < count; part++) {
      const length = block.readUInt32LE(at);
      at += lengthBytes;
      if (length === nullLength) {
        parts.push(null);
      } else {
        parts.push(block.subarray(at, at + length));
        at += length;
      }
    }
    items.push({ id, tag, number, parts });
  }
  assert(at === block.length, "a block ends with an item");
  return items;
}
