// Pumped partition: what the pump knows of one partition, and which of its records it holds.
// Owns: the positions (written ≤ formed ≤ held to ≤ the log's tail), the records in between.
// Does not own: the database (pump.ts), how much all partitions together may hold.
// Invariants (docs/invariants.md):
//   D3. Records are handed on in order, without a gap, and only along the chain of checksums.
//   D6. A record that is not held is read from the log again; none is left out.
import { must } from "../base/assert.ts";
import { failure, type Failure, type Outcome } from "../base/failure.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { entriesOf, type Change } from "../grid/log-record.ts";
import { changeBytes } from "../grid/value-bytes.ts";
import { ParkedKeys } from "./parked-keys.ts";
import type { OwnerFacts } from "./progress-rules.ts";
import type { RefusalSearch } from "./refusal-search.ts";
import { changesOf } from "./rows.ts";

/** A partition's log, as far as the pump needs it. */
export interface PumpSource {
  readonly partition: number;
  /** Position of the claim under which it is owned. */
  readonly epoch: number;
  /** Position of the last durable record. */
  tail(): number;
  /** Records before this position were trimmed, and so were written. */
  trimmedTo(): number;
  /** Stored bytes of the records behind `position`, about. */
  bytesAfter(position: number): number;
  /** Stored records `from` to `to`; a missing one is GRID_LOST. */
  read(from: number, to: number): Promise<Outcome<ChainedRecord[]>>;
}

/**
 * `claim`: our epoch is to be written to the row; `check`: the row is to be read; `pump`: the
 * row is as we left it; `halted`: it never will be again.
 */
export type PumpPhase = "claim" | "check" | "pump" | "halted";

/** What is needed of a record: who holds the record itself holds all that its commands left. */
export interface HeldRecord {
  readonly position: number;
  readonly checksum: Buffer;
  readonly changes: readonly Change[];
  /** The last word of this owner. That of one before it is none: it has been claimed since. */
  readonly isLastWord: boolean;
  readonly bytes: number;
  /** When it was journaled, by the monotonic clock. */
  readonly atMs: number;
}

export class PumpedPartition {
  readonly source: PumpSource;
  readonly #generation: number;
  phase: PumpPhase = "claim";
  /** When the row was last seen or written, by the monotonic clock. */
  lookedAtMs = 0;
  /** When the first record that is not held was journaled, or (not read yet) it was attached. */
  unheldMs = 0;
  readonly parked = new ParkedKeys();
  /** Its content was refused: what is to be found out; null: nothing. */
  search: RefusalSearch | null = null;
  /** It has all the dead letters that it may have: nothing is written until some are gone. */
  isBlocked = false;
  /** From here on records that the row needs were not found in the log; null: none missed. */
  missedFrom: number | null = null;
  /** Who waits for the row to be read from now on, and by the read that is under way. */
  #asked: ((seq: number | null) => void)[] = [];
  #reading: ((seq: number | null) => void)[] = [];
  /** Bytes of the records held. */
  heldBytes = 0;
  #written = 0;
  #writtenChain: Buffer | null = null;
  /** Records after `written`, in order: those formed into batches first. */
  #held: HeldRecord[] = [];
  #formed = 0;
  #formedBytes = 0;
  #heldChain: Buffer | null = null;

  constructor(source: PumpSource, generation: number) {
    this.source = source;
    this.#generation = generation;
  }

  get number(): number {
    return this.source.partition;
  }

  get facts(): OwnerFacts {
    const { partition, epoch } = this.source;
    return { partition, epoch, generation: this.#generation, tail: this.source.tail() };
  }

  /** Position of the last record known to be in the database. */
  get written(): number {
    return this.#written;
  }

  /** What is journaled, and not known to be in the database. */
  get backlog(): { readonly records: number; readonly bytes: number } {
    // Until the row was read, what was trimmed tells how much must be in the database at least.
    const written = Math.max(this.#written, this.source.trimmedTo() - 1);
    return {
      records: Math.max(0, this.source.tail() - written),
      bytes: this.source.bytesAfter(written),
    };
  }

  /** When its oldest record that is not written was journaled; `nowMs` where all are. */
  oldestMs(nowMs: number): number {
    if (this.#written >= this.source.tail()) return nowMs;
    return this.#held[0]?.atMs ?? this.unheldMs;
  }

  get writtenChain(): Buffer | null {
    return this.#writtenChain;
  }

  get heldTo(): number {
    return this.#written + this.#held.length;
  }

  /** Position of the last record in a batch, written or on its way. */
  get formedTo(): number {
    return this.#written + this.#formed;
  }

  /** True where everything durable is in the database. */
  get isDone(): boolean {
    return this.phase === "pump" && this.#written >= this.source.tail();
  }

  /** True where durable records are not held, and may be. What is searched comes step by step. */
  get isBehind(): boolean {
    if (this.phase !== "pump" || this.isBlocked || this.heldTo >= this.source.tail()) return false;
    return this.search === null || this.formedTo === this.heldTo;
  }

  /** True where the log must be read before the next batch can be formed. */
  get isStarved(): boolean {
    return this.isBehind && this.formedTo === this.heldTo;
  }

  /**
   * Keeps a durable record where it is the next one; another is read from the log in its turn.
   * Fails where it does not continue the chain.
   */
  hold(chained: ChainedRecord, bytes: number, atMs: number): Failure | null {
    const { record, checksum } = chained;
    const { position, body, epoch } = record;
    if (position !== this.heldTo + 1) return null;
    if (this.#heldChain !== null && !record.previous.equals(this.#heldChain)) {
      const where = `partition ${this.number}: record ${position}`;
      return failure("GRID_LOST", `${where} does not continue the record before it`); // D3
    }
    const isLastWord =
      body.type === "release" && body.final === true && epoch === this.source.epoch;
    const changes = changesOf(record);
    this.#held.push({ position, checksum, changes, isLastWord, bytes, atMs });
    this.heldBytes += bytes;
    this.#heldChain = checksum;
    this.unheldMs = atMs; // what comes behind it is no older
    return null;
  }

  /** A durable record is not held: it is read from the log in its turn. */
  pass(position: number, atMs: number): void {
    if (position === this.heldTo + 1) this.unheldMs = atMs;
  }

  /** What is held and in no batch yet. */
  get unformed(): { readonly records: number; readonly bytes: number } {
    const records = this.#held.length - this.#formed;
    return { records, bytes: this.heldBytes - this.#formedBytes };
  }

  /** The next record for a batch, with its size; null where none is held. */
  peek(): HeldRecord | null {
    return this.#held[this.#formed] ?? null;
  }

  /** True where its next record may go in a transaction now. */
  get isReady(): boolean {
    if (this.phase !== "pump" || this.isBlocked || this.peek() === null) return false;
    if (this.search === null) return true;
    return this.#formed === 0 && !this.isSuspect; // step by step, until it is found
  }

  /** True where the changes of its next record are to be tried first. */
  get isSuspect(): boolean {
    const { search } = this;
    return this.phase === "pump" && search?.isOne === true && search.verdict === null;
  }

  /** The record that `peek` gave is part of a batch. */
  form(): void {
    const held = must(this.#held[this.#formed], "only a held record is formed");
    this.#formed++;
    this.#formedBytes += held.bytes;
  }

  /** Its next record cannot go for now: others have the memory, it is read again when it can. */
  block(): void {
    this.isBlocked = true;
    this.unheldMs = this.peek()?.atMs ?? this.unheldMs;
    this.#held.length = this.#formed;
    this.heldBytes = this.#formedBytes;
    this.#heldChain = this.#held.at(-1)?.checksum ?? this.#writtenChain;
  }

  /** Somebody waits for the row to be read again. */
  get isAsked(): boolean {
    return this.#asked.length > 0;
  }

  /** `told` once the row was read by a call that has not begun yet; null: this owner cannot say. */
  ask(told: (seq: number | null) => void): void {
    this.#asked.push(told);
  }

  /** The row is about to be read. */
  beginReading(): void {
    this.#reading.push(...this.#asked);
    this.#asked = [];
  }

  /** The row that was read stands at `seq`. */
  confirm(seq: number): void {
    const reading = this.#reading;
    this.#reading = [];
    for (const told of reading) told(seq);
  }

  /** Nobody is told of the row any more. */
  leaveUnconfirmed(): void {
    this.beginReading();
    const reading = this.#reading;
    this.#reading = [];
    for (const told of reading) told(null);
  }

  /** Forgets the batches under way: their records are formed again. */
  unform(): void {
    this.#formed = 0;
    this.#formedBytes = 0;
    this.parked.unform();
  }

  /**
   * The row is known to stand at `seq` with `chain`; `left` is told when each record that is held
   * no longer was journaled. Returns false where it was known before.
   */
  moveTo(seq: number, chain: Buffer | null, left: (atMs: number) => void): boolean {
    const moved = seq !== this.#written;
    const done = Math.max(0, Math.min(seq - this.#written, this.#held.length));
    const contiguous = seq >= this.#written && seq <= this.heldTo;
    if (contiguous) {
      for (const { bytes, atMs } of this.#held.splice(0, done)) {
        this.heldBytes -= bytes;
        if (this.#formed > 0) this.#formedBytes -= bytes;
        this.#formed = Math.max(0, this.#formed - 1);
        left(atMs);
      }
    } else {
      // Beyond what is held, or back behind it (the database was restored): begin anew there.
      this.release();
    }
    this.#written = seq;
    this.#writtenChain = chain;
    if (this.#held.length === 0) this.#heldChain = chain;
    return moved;
  }

  /** Forgets all records. */
  release(): void {
    this.unheldMs = this.#held[0]?.atMs ?? this.unheldMs;
    this.#held = [];
    this.unform();
    this.heldBytes = 0;
  }
}

/** Roughly what the pump holds of a record that was read back, as stored bytes. */
export function approximateBytes({ record }: ChainedRecord): number {
  let bytes = 64;
  for (const entry of entriesOf(record.body)) {
    bytes += 16;
    for (const change of entry.changes) bytes += changeBytes(change);
  }
  return bytes;
}
