// Rebuild fill: what a rebuild writes into the map of the new generation: each partition begins
// with a checkpoint of what the database has, behind a genesis record that names the rebuild.
// Owns: step 6 of the rebuild's protocol: segments as they are read, then checkpoint record, head
// and genesis. Does not own: reading (data-pump), the pointer (rebuild-machine.ts).
// Invariants (docs/invariants.md):
//   G7. The pointer says open only of a map that its own run has written whole: segments, the
//       checkpoint record that names them, head, and genesis last, partition by partition.
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import {
  generationMapName,
  headKey,
  recordKey,
  segmentKey,
  segmentsOfCheckpointMax,
} from "./grid-keys.ts";
import {
  checksum,
  encodeHead,
  encodeRecord,
  SegmentEncoder,
  type Change,
  type SegmentName,
} from "./log-record.ts";
import { writePatiently, type PatiencePorts } from "./patient-store.ts";
import type { FencedRow, RebuildSink, WrittenPartition } from "./rebuild-ports.ts";
import type { ByteMap, Store } from "./store.ts";

/** What the genesis records of a rebuilt generation say, but for their partition. */
export interface RebuiltGrid {
  readonly gridId: string;
  readonly mine: FencedRow;
  readonly base: number;
  /** How far the database had come with the base. */
  readonly written: readonly WrittenPartition[];
  readonly timeMs: number;
}

/**
 * The checkpoint record stands behind genesis, and the first claim behind it: no claim is ever at
 * its position, so the keys of its segments are nobody else's.
 */
export const rebuiltCheckpointAt = 1;

/** The key of segment `index` of a rebuilt partition, and its name. */
export function rebuiltSegment(
  partition: number,
  index: number,
  bytes: number,
): { readonly key: Buffer; readonly name: SegmentName } {
  const checkpoint = Math.floor(index / segmentsOfCheckpointMax);
  const segment = index % segmentsOfCheckpointMax;
  const name = { epoch: rebuiltCheckpointAt, checkpoint, segment, encodedAt: 0, bytes };
  return { key: segmentKey(partition, rebuiltCheckpointAt, checkpoint, segment), name };
}

/** What makes a partition whole once its segments are there, in the order of writing. */
export function rebuiltValues(
  grid: RebuiltGrid,
  partition: number,
  segments: readonly SegmentName[],
): readonly (readonly [key: Buffer, value: Buffer])[] {
  const { gridId, mine, base, written, timeMs } = grid;
  const { generation, token, partitions } = mine;
  const seq = written.find((one) => one.partition === partition)?.seq ?? 0;
  const rebuilt = { token, base, seq };
  const genesis = encodeRecord({
    ...{ position: 0, epoch: 0, token, timeMs, previous: Buffer.alloc(0) },
    body: { type: "genesis", genesis: { gridId, generation, partitions, partition, rebuilt } },
  });
  const number = segments.at(-1)?.checkpoint ?? 0;
  const parts = { segments, delta: [], entries: [], trimmedTo: rebuiltCheckpointAt, logBytes: 0 };
  const checkpoint = encodeRecord({
    ...{ position: rebuiltCheckpointAt, epoch: rebuiltCheckpointAt, token, timeMs },
    previous: checksum(genesis),
    body: { type: "checkpoint", number, ...parts },
  });
  return [
    [recordKey(partition, rebuiltCheckpointAt), checkpoint],
    [headKey(partition), encodeHead(rebuiltCheckpointAt)],
    [recordKey(partition, 0), genesis],
  ];
}

/** So many changes are encoded at once: a segment grows beyond its size by no more than these. */
const pieceChanges = 64;

interface OpenSegment {
  encoder: SegmentEncoder;
  readonly names: SegmentName[];
}

export class RebuildFill implements RebuildSink {
  readonly #ports: PatiencePorts;
  readonly #grid: RebuiltGrid;
  readonly #map: ByteMap;
  readonly #segmentBytes: number;
  readonly #partitions: OpenSegment[];
  #entries = 0;
  #bytes = 0;

  constructor(options: PatiencePorts & { readonly store: Store; readonly grid: RebuiltGrid }) {
    const { generation, partitions } = options.grid.mine;
    this.#ports = options;
    this.#grid = options.grid;
    this.#map = options.store.map(generationMapName(generation));
    const share = Math.floor(limits.rebuildBufferBytes / partitions);
    this.#segmentBytes = Math.min(limits.segmentBytes, share);
    this.#partitions = Array.from({ length: partitions }, () => {
      return { encoder: new SegmentEncoder(), names: [] };
    });
  }

  /** Entries taken in. */
  get entries(): number {
    return this.#entries;
  }

  /** Stored size of the segments written. */
  get bytes(): number {
    return this.#bytes;
  }

  async take(partition: number, changes: readonly Change[]): Promise<Outcome<null>> {
    const open = this.#partitions[partition];
    assert(open !== undefined, () => `partition ${String(partition)} is one of the new generation`);
    for (let from = 0; from < changes.length; from += pieceChanges) {
      const piece = changes.slice(from, from + pieceChanges);
      assert(
        piece.every(({ value }) => value !== null),
        "what is read is there",
      );
      open.encoder.add(piece);
      this.#entries += piece.length;
      if (open.encoder.bytes < this.#segmentBytes) continue;
      const written = await this.#flush(partition, open);
      if (!written.ok) return written;
    }
    return ok(null);
  }

  /** All is read: makes every partition whole. Fails with STORE_UNREACHABLE, GRID_FOREIGN. */
  async finish(): Promise<Outcome<null>> {
    const made = await Promise.all(
      this.#partitions.map(async (open, partition) => {
        const flushed = await this.#flush(partition, open);
        if (!flushed.ok) return flushed;
        for (const [key, value] of rebuiltValues(this.#grid, partition, open.names)) {
          const written = await this.#write(key, value);
          if (!written.ok) return written;
        }
        return ok(null);
      }),
    );
    return made.find((outcome) => !outcome.ok) ?? ok(null);
  }

  async #flush(partition: number, open: OpenSegment): Promise<Outcome<null>> {
    if (open.encoder.bytes === 0) return ok(null);
    const value = open.encoder.stored();
    const { key, name } = rebuiltSegment(partition, open.names.length, value.length);
    // Other calls go on while this one waits: from here on they fill the next segment.
    open.encoder = new SegmentEncoder();
    open.names.push(name);
    this.#bytes += value.length;
    return this.#write(key, value);
  }

  async #write(key: Buffer, value: Buffer): Promise<Outcome<null>> {
    const beaten = await writePatiently(this.#ports, this.#map, key, value);
    if (!beaten.ok || beaten.value === null) return beaten as Outcome<null>;
    // A number is one run's (G5): only a store or a database that went back can bring this about.
    const map = generationMapName(this.#grid.mine.generation);
    return failed("GRID_FOREIGN", `map ${map} holds data of another rebuild; run it once more`);
  }
}
