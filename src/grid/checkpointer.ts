// Checkpointer: drives the checkpoint machine of one partition against its store, log and memory.
// Owns: when a checkpoint is worth it, encoding in slices, calling the store, what the partition
// takes in the grid. Does not own: the protocol (checkpoint-machine.ts, checkpoint-trim.ts), the
// log, what entries mean, what the database has (it asks).
// Invariants (docs/invariants.md):
//   K1. The record's delta and batch are read from one moment of the memory: nothing runs between.
//   L10. An answer that the machine cannot have meant stops the partition.
import { failpoint } from "../base/failpoints.ts";
import { failure, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import {
  composeCheckpoint,
  encodeNext,
  isLastRound,
  mayBegin,
  stepCheckpoint,
} from "./checkpoint-machine.ts";
import type { CheckpointMemory } from "./checkpoint-memory.ts";
import {
  initialCheckpointState,
  noFacts,
  withRecord,
  type CheckpointCall,
  type CheckpointEvent,
  type CheckpointFacts,
  type CheckpointOutput,
  type CheckpointState,
} from "./checkpoint-state.ts";
import { LogBytes } from "./log-bytes.ts";
import type { Definite } from "./log-moves.ts";
import type { SegmentName } from "./log-record.ts";
import type { LogRules } from "./log-rules.ts";
import type { LogAnswer } from "./log-write.ts";
import { callStore, type ChainedRecord, type CheckpointParts } from "./partition-log.ts";
import type { ByteMap } from "./store.ts";

/** When and in which pieces; production has those of limits.ts. */
export interface CheckpointSizes {
  /** A checkpoint is worth it from so many bytes of log, and from half of the state's. */
  readonly logBytesMin: number;
  /** Before a hand-over, from so many. */
  readonly handOverBytesMin: number;
  readonly segmentBytes: number;
  readonly deltaBytesMax: number;
  /** Live segments that take more than so many times the state are written anew. */
  readonly sharedTimesMax: number;
}

const productionSizes: CheckpointSizes = {
  logBytesMin: limits.checkpointLogBytesMin,
  handOverBytesMin: limits.logReadBytes,
  segmentBytes: limits.segmentBytes,
  deltaBytesMax: limits.checkpointDeltaBytesMax,
  sharedTimesMax: 2,
};

export interface CheckpointerOptions {
  /** The partition's log, as far as it is needed here. */
  readonly log: { appendCheckpoint(compose: () => CheckpointParts | null): void };
  readonly map: ByteMap;
  /** The memory as it is now: loading may begin anew with another. */
  readonly memory: () => CheckpointMemory;
  readonly timers: Timers;
  readonly partition: number;
  readonly rules: LogRules;
  /**
   * The last position that the database has, its row read now and found to be this owner's; null:
   * not known, nothing is trimmed. Without a database: Infinity.
   */
  readonly confirmWritten: () => Promise<number | null>;
  /** What the partition may take in the grid, segments and log. */
  readonly gridBytesMax: number;
  /** The partition must stop for this reason, and may be opened again. */
  readonly broken: (reason: Failure) => void;
  readonly sizes?: CheckpointSizes;
}

/** Trimming is worth a look at the database from so many records on, or where it ends. */
const trimRecordsMin = 256;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #sizes: CheckpointSizes;
  #facts: CheckpointFacts | null = null;
  #state: CheckpointState | null = null;
  #logBytes = new LogBytes();
  #segmentBytes = 0;
  #bytesSinceBase = 0;
  /** After one that was given up: so many bytes since the base before the next try. */
  #retryAtBytes = 0;
  #last = 0;
  #encodedAt = 0;
  #writtenHint: number | null = null;
  #asks = 0;
  #repeats = 0;
  #backoff: TimerHandle | null = null;
  #waiters: (() => void)[] = [];
  /** A checkpoint of this owner is under way: head's next move is to it. */
  #isOurs = false;
  #closed = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#sizes = options.sizes ?? productionSizes;
  }

  /** The machine's state, once the partition serves; states are never changed in place. */
  get state(): CheckpointState | null {
    return this.#state;
  }

  /** About how many bytes the partition takes in the grid. */
  get bytes(): number {
    return this.#logBytes.total + this.#segmentBytes;
  }

  /** Bytes of the log behind a position, about. */
  bytesAfter(position: number): number {
    return this.#logBytes.after(position);
  }

  /** Records before this position were trimmed: what kept them has let go of them. */
  get trimmedTo(): number {
    return this.#state?.trimmedTo ?? this.#facts?.trimmedTo ?? 0;
  }

  /** True where the partition takes more than it may: it must not grow. */
  get isFull(): boolean {
    return this.bytes > this.#options.gridBytesMax;
  }

  /** Bytes of log that a new owner would load behind the newest checkpoint. */
  get bytesSinceCheckpoint(): number {
    return this.#bytesSinceBase;
  }

  /** Loading begins (anew). */
  reset(): void {
    this.#facts = null;
    this.#logBytes = new LogBytes();
    this.#bytesSinceBase = 0;
  }

  /** A record was loaded; in order. */
  loaded({ record }: ChainedRecord, bytes: number): void {
    const { position, epoch, body } = record;
    if (body.type === "checkpoint" && this.#facts === null) {
      this.#logBytes.add(body.trimmedTo, position, body.logBytes);
    }
    this.#facts ??= noFacts(position);
    this.#facts = withRecord(this.#facts, position, epoch, body, this.#options.rules);
    this.#logBytes.trimTo(this.#facts.trimmedTo);
    this.#count(record.position, body.type === "checkpoint", bytes);
  }

  /** The partition serves under this claim: what the owner before left is finished. */
  serving({ record }: ChainedRecord): void {
    const { position: epoch, body } = record;
    const { partition, rules } = this.#options;
    const facts = withRecord(this.#facts ?? noFacts(0), epoch, epoch, body, rules);
    this.#count(epoch, false, 0);
    this.#state = initialCheckpointState({ partition, epoch, rules }, facts);
    this.#segmentBytes = bytesOf(facts.base?.segments ?? []) + bytesOf(facts.garbage);
    this.#dispatch({ kind: "serve" });
  }

  /** A record of this owner is durable; in order. `bytes` is its stored size. */
  durable({ record }: ChainedRecord, bytes: number): void {
    if (this.#closed || this.#state === null) return;
    const isCheckpoint = record.body.type === "checkpoint";
    this.#count(record.position, isCheckpoint, bytes);
    if (isCheckpoint) this.#dispatch({ kind: "durable", position: record.position });
    else this.#next();
  }

  /** The pump went on: the database has the records up to `position`, as far as is known. */
  written(position: number): void {
    this.#writtenHint = position;
    this.#next();
  }

  /**
   * A checkpoint now, if so little log as before a hand-over is worth one: `whenDone` is called
   * once head has moved, or it was given up, or it is not worth it.
   */
  request(whenDone: () => void): void {
    this.#waiters.push(whenDone);
    if (this.#closed) this.#answerWaiters();
    else this.#next();
  }

  /** Nothing more is done. What was sent goes on, and does no harm. */
  close(): void {
    this.#closed = true;
    this.#backoff?.cancel();
    this.#answerWaiters();
  }

  #count(position: number, isCheckpoint: boolean, bytes: number): void {
    this.#last = position;
    this.#logBytes.add(position, position + 1, bytes);
    this.#bytesSinceBase = isCheckpoint ? 0 : this.#bytesSinceBase + bytes;
    if (isCheckpoint) this.#retryAtBytes = 0;
  }

  /** What is worth doing now, where nothing is under way. */
  #next(): void {
    const state = this.#state;
    if (this.#closed || state === null) return;
    if (state.phase.name === "ended") this.#answerWaiters();
    if (!mayBegin(state)) return;
    if (this.#isWorthIt())
      this.#dispatch({ kind: "begin", everything: this.#isFullWorthIt(state) });
    else {
      this.#answerWaiters();
      if (state.phase.name === "idle" && this.#canTrim(state)) this.#dispatch({ kind: "trim" });
    }
  }

  #isWorthIt(): boolean {
    const { logBytesMin, handOverBytesMin } = this.#sizes;
    const bytes = this.#bytesSinceBase;
    if (this.#waiters.length > 0) return bytes >= handOverBytesMin;
    if (bytes < Math.max(logBytesMin, this.#retryAtBytes)) return false;
    const isTight = this.bytes > this.#options.gridBytesMax / 2;
    return isTight || bytes >= this.#options.memory().bytes / 2;
  }

  /** Segments that say over and over what changed outweigh the state, or are very many. */
  #isFullWorthIt({ base }: CheckpointState): boolean {
    if (base === null) return true;
    const { bytes } = this.#options.memory();
    const segments = bytes / this.#sizes.segmentBytes;
    return (
      bytesOf(base.segments) > this.#sizes.sharedTimesMax * bytes ||
      base.segments.length > 64 + 4 * segments
    );
  }

  #canTrim({ isSettled, trimmedTo, head }: CheckpointState): boolean {
    const hint = this.#writtenHint;
    if (!isSettled || hint === null || trimmedTo >= head) return false;
    const records = Math.min(head, hint + 1) - trimmedTo;
    return records >= Math.min(trimRecordsMin, head - trimmedTo);
  }

  #dispatch(event: CheckpointEvent): void {
    const before = this.#state;
    if (before === null || this.#closed) return;
    this.#guard(() => {
      const { state, outputs } = stepCheckpoint(before, event);
      this.#state = state;
      if (state.call !== before.call) this.#repeats = 0;
      else if (event.kind === "answer") this.#repeats++;
      if (state.base !== before.base || state.garbage !== before.garbage) {
        this.#segmentBytes = bytesOf(state.base?.segments ?? []) + bytesOf(state.garbage);
      }
      for (const output of outputs) this.#handle(output);
      this.#next();
    });
  }

  #handle(output: CheckpointOutput): void {
    const { log, memory, partition } = this.#options;
    switch (output.kind) {
      case "call":
        this.#call(output.call);
        break;
      case "encode":
        this.#isOurs = true;
        this.#options.timers.endOfTick(() => this.#guard(() => this.#encode(output.begins)));
        break;
      case "append":
        log.appendCheckpoint(() => this.#compose());
        break;
      case "encoded":
        memory().encoded();
        break;
      case "givenUp":
        memory().givenUp();
        this.#isOurs = false;
        this.#retryAtBytes = this.#bytesSinceBase + this.#sizes.logBytesMin / 4;
        this.#answerWaiters();
        break;
      case "moved":
        this.#writtenHint = Infinity; // it is asked anew
        if (this.#isOurs) this.#answerWaiters();
        this.#isOurs = false;
        break;
      case "askWritten":
        this.#askWritten();
        break;
      case "trimmed":
        this.#logBytes.trimTo(output.to);
        break;
      case "exhausted": {
        const where = `partition ${String(partition)}`;
        this.#break(failure("PARTITION_STOPPED", `${where} claims again: new checkpoint numbers`));
        break;
      }
    }
  }

  #encode(begins: "everything" | "marked" | null): void {
    if (this.#closed || this.#state === null) return;
    const memory = this.#options.memory();
    if (begins !== null) {
      memory.beginRound(begins === "everything");
      this.#encodedAt = this.#last;
    }
    // A state too large for so many segments has larger ones.
    const segmentBytes = Math.max(this.#sizes.segmentBytes, memory.bytes / 2048);
    const deltaBytesMax = this.#deltaBytesMax(this.#state);
    this.#dispatch(encodeNext(memory, this.#encodedAt, { segmentBytes, deltaBytesMax }));
  }

  #deltaBytesMax(state: CheckpointState): number {
    return isLastRound(state) ? limits.recordBytesMax : this.#sizes.deltaBytesMax;
  }

  /** K1: called as the record leaves, with the batch that waits. */
  #compose(): CheckpointParts | null {
    const state = this.#state;
    if (this.#closed || state === null) return null;
    const parts = composeCheckpoint(state, this.#options.memory(), this.#deltaBytesMax(state));
    if (parts === null) this.#dispatch({ kind: "tooMuch" });
    return parts === null ? null : { ...parts, logBytes: this.#logBytes.total };
  }

  #askWritten(): void {
    const ask = ++this.#asks;
    const told = (position: number | null): void => {
      if (ask !== this.#asks) return;
      this.#writtenHint = position;
      this.#dispatch({ kind: "written", position });
    };
    this.#options.confirmWritten().then(told, () => {
      told(null);
    });
  }

  #answerWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const whenDone of waiters) whenDone();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      const name = this.#state?.phase.name ?? "";
      const what = `partition ${String(this.#options.partition)}, ${name}: ${String(error)}`;
      this.#break(failure("PARTITION_STOPPED", what)); // L10
    }
  }

  #break(reason: Failure): void {
    if (this.#closed) return;
    this.close();
    this.#options.broken(reason);
  }

  #call(call: CheckpointCall): void {
    if (this.#repeats === 0) {
      this.#issue(call);
      return;
    }
    const backoffMs = limits.storeBackoffMsMin * 2 ** Math.min(this.#repeats - 1, 20);
    this.#backoff = this.#options.timers.after(
      Math.min(backoffMs, limits.storeBackoffMsMax),
      () => {
        this.#issue(call);
      },
    );
  }

  #issue(call: CheckpointCall): void {
    void callCheckpoint(this.#options.map, call).then((outcome) => {
      const answer: LogAnswer = outcome.ok
        ? { known: true, value: outcome.value }
        : { known: false };
      this.#dispatch({ kind: "answer", answer });
    });
  }
}

function bytesOf(segments: readonly SegmentName[]): number {
  let bytes = 0;
  for (const segment of segments) bytes += segment.bytes;
  return bytes;
}

async function callCheckpoint(map: ByteMap, call: CheckpointCall): Promise<Outcome<Definite>> {
  if (call.op !== "deleteMany") return callStore(map, call);
  failpoint("log.trim");
  const outcomes = await Promise.all(call.keys.map((key) => map.delete(key, limits.storeReadMs)));
  return outcomes.find((outcome) => !outcome.ok) ?? { ok: true, value: null };
}
