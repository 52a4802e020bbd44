// murmur3: the hash that decides the partition of a routing key. It must never change.
// Source: MurmurHash3_x86_32 by Austin Appleby (public domain, smhasher).

const c1 = 0xcc9e2d51;
const c2 = 0x1b873593;

function mixBlock(block: number): number {
  const mixed = Math.imul(block, c1);
  return Math.imul((mixed << 15) | (mixed >>> 17), c2);
}

/** MurmurHash3, x86, 32 bits, as an unsigned number. */
export function murmur3(bytes: Uint8Array, seed = 0): number {
  const blocks = bytes.length >>> 2;
  let hash = seed | 0;
  for (let block = 0; block < blocks; block++) {
    const at = block << 2;
    hash ^= mixBlock(
      (bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24),
    );
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= blocks << 2; at--) tail = (tail << 8) | (bytes[at] ?? 0);
  hash ^= mixBlock(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const encoder = new TextEncoder();
const scratch = new Uint8Array(1024);

/** The partition of a routing key: murmur3 (seed 0) of its UTF-8 bytes, mod `partitions`. */
export function partitionOf(routingKey: string, partitions: number): number {
  if (routingKey.length * 3 > scratch.length) {
    return murmur3(encoder.encode(routingKey)) % partitions;
  }
  const { written } = encoder.encodeInto(routingKey, scratch);
  return murmur3(scratch.subarray(0, written)) % partitions;
}
