// Partition log: drives the log machine of one partition against a store, and groups commands.
// Owns: calling the store with deadlines and backoff; the batch that forms while an append is in
// flight (group commit); reading stored records again for the pump.
// Does not own: the protocol (log-machine.ts), what changes mean (processing-units), SQL.
// Invariants (docs/invariants.md):
//   L8. One append is in flight at a time; what arrives meanwhile forms the next batch, in order.
//   L9. Every entry given is settled exactly once: durable, or stopped with what became of it.
//   L10. An answer that the machine cannot have meant, or a listener that throws, stops the
//       partition, with what is in flight unknown: another lane takes over, and nothing wrong is
//       built upon.
//   L11. A call that waits to be repeated when members change waits for the check (log-check.ts).
import { assert, must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failpoint } from "../base/failpoints.ts";
import { failed, failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import { recordKey } from "./grid-keys.ts";
import { fateInFlight } from "./log-check.ts";
import { canAppend, stepLog } from "./log-machine.ts";
import {
  checksum,
  decodeRecord,
  decodeSegment,
  type Change,
  type CheckpointBody,
  type CommandEntry,
  type LogRecord,
  type RecordBody,
} from "./log-record.ts";
import {
  initialLogState,
  type AppendFate,
  type LogConfig,
  type LogEvent,
  type LogOutput,
  type LogState,
  type LogStep,
} from "./log-state.ts";
import type { Definite } from "./log-moves.ts";
import type { LogAnswer, LogCall } from "./log-write.ts";
import type { ByteMap } from "./store.ts";

/** A record with the checksum of its stored value: a link of the chain. */
export interface ChainedRecord {
  readonly record: LogRecord;
  readonly checksum: Buffer;
}

/**
 * What happens to a log, told to the partition that it belongs to. One that throws stops the log
 * (L10); but `stopped` must not: nobody would be told.
 */
export interface PartitionLogListener<E extends CommandEntry> {
  /** Forget everything folded: loading begins (anew). */
  reset(): void;
  /** Entries of a checkpoint segment, to be folded. */
  segment(changes: readonly Change[]): void;
  /** A record below the claim, to be folded; `bytes` is its stored size. */
  loaded(record: ChainedRecord, bytes: number): void;
  /** The partition may serve; `claim` is the record it serves under. */
  serving(claim: ChainedRecord): void;
  /** A record is on every copy, with the entries that it carries, in order. */
  durable(record: ChainedRecord, entries: readonly E[], bytes: number): void;
  /**
   * The log stopped for good. `inFlight` are the entries of the append under way, with their
   * fate; `waiting` those that never left, which are definitely not applied.
   */
  stopped(reason: Failure, inFlight: readonly E[], fate: AppendFate, waiting: readonly E[]): void;
}

/** A store that does not answer: since when, on the log's clock, and what it last said. */
export interface StoreSilence {
  readonly sinceMs: number;
  readonly why: string;
}

/** A checkpoint record without the batch that it carries. */
export type CheckpointParts = Omit<CheckpointBody, "type" | "entries">;

interface Waiting<E> {
  readonly entry: E;
  readonly bytes: number;
}

export class PartitionLog<E extends CommandEntry> {
  readonly #map: ByteMap;
  readonly #timers: Timers;
  readonly #clock: Clock;
  readonly #listener: PartitionLogListener<E>;
  readonly #config: LogConfig;
  #state: LogState;
  #closed = false;
  #repeats = 0;
  #silence: StoreSilence | null = null;
  #backoff: TimerHandle | null = null;
  #inFlight: E[] = [];
  #waiting: Waiting<E>[] = [];
  #composers: ((position: number) => RecordBody)[] = [];
  #checkpoint: (() => CheckpointParts | null) | null = null;
  /** Loaded and not folded yet, a slice for each tick; null: nothing is. */
  #folding: LogOutput[][] | null = null;
  /** The answer that came meanwhile. */
  #heldAnswer: LogEvent | null = null;
  #flushScheduled = false;

  constructor(options: {
    map: ByteMap;
    timers: Timers;
    clock: Clock;
    config: LogConfig;
    listener: PartitionLogListener<E>;
  }) {
    this.#map = options.map;
    this.#timers = options.timers;
    this.#clock = options.clock;
    this.#config = options.config;
    this.#listener = options.listener;
    this.#state = initialLogState(options.config);
  }

  /** The machine's state; a snapshot, as states are never changed in place. */
  get state(): LogState {
    return this.#state;
  }

  /** Commands given and not yet settled. */
  get unsettled(): number {
    return this.#inFlight.length + this.#waiting.length;
  }

  /** Commands in the append that is out: the oldest of those not yet settled. */
  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Since when the store has said nothing definite to what is out, and why; null: it answers. */
  get silence(): StoreSilence | null {
    return this.#silence;
  }

  /** Begins to take over. The listener is told how it ends. */
  open(): void {
    this.#dispatch({ kind: "open" });
  }

  /**
   * Adds one entry to the partition's next batch, which leaves at the end of the tick or, while
   * an append is in flight, after it. `bytes` is an upper bound of the entry's encoded size.
   */
  append(entry: E, bytes: number): void {
    assert(!this.#closed, "a closed log takes nothing");
    assert(bytes <= limits.recordBytesMax, "an entry fits a record");
    this.#waiting.push({ entry, bytes });
    this.#scheduleFlush();
  }

  /**
   * Appends one record that is not a batch (a checkpoint, a release), ahead of what waits.
   * `compose` is called when the record leaves, with its position: all records before it are
   * durable and were told to the listener. Its `durable` comes with no entries.
   */
  appendRecord(compose: (position: number) => RecordBody): void {
    assert(!this.#closed, "a closed log takes nothing");
    this.#composers.push(compose);
    this.#scheduleFlush();
  }

  /**
   * Appends a checkpoint record, which carries all that waits then: memory is ahead of the log by
   * just that. `compose` is called when the record leaves; null: not now, the batch leaves alone.
   * Where more waits than one record carries, other batches leave first.
   */
  appendCheckpoint(compose: () => CheckpointParts | null): void {
    assert(!this.#closed && this.#checkpoint === null, "one checkpoint at a time, of an open log");
    this.#checkpoint = compose;
    this.#scheduleFlush();
  }

  /**
   * The grid's members changed, or the connection to them: sees whether the log's end is there,
   * before anything more is acknowledged, and then, between appends, whether all before it is.
   * If not, the log stops with GRID_LOST and says what is missing. At any time, any number.
   */
  check(): void {
    if (this.#closed) return;
    this.#dispatch({ kind: "check" });
    if (this.#backoff === null || this.#state.phase.name !== "append") return;
    // This append is not out: its outcome was unknown. It is not repeated before the check.
    this.#backoff.cancel();
    this.#backoff = null;
    const answer = { known: false } as const;
    this.#dispatch({ kind: "answer", answer, wallMs: this.#clock.wallMs() });
  }

  /** Stops: what is in flight is unknown, what waits is not applied. The listener is told. */
  close(reason: Failure): void {
    if (this.#closed) return;
    this.#stopped(reason, this.#fateInFlight());
  }

  /**
   * Records `from`…`to` (at most limits.logReadRecords of them), read from the store. The chain
   * between them is not checked here. A missing record: GRID_LOST; an unknown outcome as it is.
   */
  async read(from: number, to: number): Promise<Outcome<ChainedRecord[]>> {
    assert(to - from < limits.logReadRecords, "a reader reads in slices");
    const keys: Buffer[] = [];
    for (let position = from; position <= to; position++) {
      keys.push(recordKey(this.#config.partition, position));
    }
    const answer = await this.#map.getMany(keys, limits.storeReadMs);
    if (!answer.ok) return answer;
    const records: ChainedRecord[] = [];
    for (const [index, stored] of answer.value.entries()) {
      const where = `record ${String(from + index)}`;
      if (stored === null) return failed("GRID_LOST", `${where} is missing`);
      const record = decodeRecord(stored);
      if (record === null) return failed("GRID_FORMAT", `${where} is of a newer version`);
      records.push({ record, checksum: checksum(stored) });
    }
    return ok(records);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || !canAppend(this.#state)) return;
    this.#flushScheduled = true;
    this.#timers.endOfTick(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed || !canAppend(this.#state)) return;
    const compose = this.#composers.shift();
    if (compose !== undefined) {
      this.#tell(() => {
        const body = compose(this.#state.next);
        this.#dispatch({ kind: "append", body, wallMs: this.#clock.wallMs() });
      });
      return;
    }
    if (this.#checkpoint !== null && this.#flushCheckpoint(this.#checkpoint)) return;
    if (this.#waiting.length > 0) this.#flushBatch();
  }

  /** False where it does not leave now. */
  #flushCheckpoint(compose: () => CheckpointParts | null): boolean {
    const bytes = this.#waiting.reduce((sum, waiting) => sum + waiting.bytes, 0);
    if (bytes > limits.recordBytesMax) return false;
    this.#checkpoint = null;
    const composed: CheckpointParts[] = [];
    this.#tell(() => {
      const parts = compose();
      if (parts !== null) composed.push(parts);
    });
    const [parts] = composed;
    if (parts === undefined) return false;
    if (this.#config.rules.carryBatch) {
      this.#inFlight = this.#waiting.map((waiting) => waiting.entry);
      this.#waiting = [];
    }
    const body = { type: "checkpoint", ...parts, entries: this.#inFlight } as const;
    this.#dispatch({ kind: "append", body, wallMs: this.#clock.wallMs() });
    return true;
  }

  #flushBatch(): void {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes;
      if (count > 0 && bytes > limits.recordBytesMax) break;
      count++;
    }
    const leaving = count === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, count);
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count);
    this.#inFlight = leaving.map((waiting) => waiting.entry);
    const body = { type: "changes", entries: this.#inFlight } as const;
    this.#dispatch({ kind: "append", body, wallMs: this.#clock.wallMs() });
  }

  #dispatch(event: LogEvent): void {
    const before = this.#state.call;
    let step: LogStep;
    try {
      step = stepLog(this.#state, event);
    } catch (error) {
      this.#broken(error); // an assertion, or stored bytes that are not msgpack
      return;
    }
    const { state, outputs } = step;
    this.#state = state;
    if (state.call !== before) this.#repeats = 0;
    else if (event.kind === "answer") this.#repeats++;
    if (this.#folds(outputs)) return;
    for (const output of outputs) {
      if (this.#closed) return; // a listener closed the log
      this.#handle(output);
    }
    this.#flush();
    if (this.#closed || this.#state.look === null || !canAppend(this.#state)) return;
    this.#dispatch({ kind: "look" });
  }

  /**
   * Loading goes on in slices, two segments or one read of records in a tick, so that the lane's
   * other partitions have their turn; the next read is on its way meanwhile.
   */
  #folds(outputs: readonly LogOutput[]): boolean {
    const slices = slicesOf(outputs);
    if (slices.length === 0) return false;
    this.#folding = slices;
    for (const output of outputs) if (output.kind === "call") this.#handle(output);
    this.#foldLater();
    return true;
  }

  #foldLater(): void {
    this.#timers.endOfTick(() => {
      for (const output of this.#folding?.shift() ?? []) if (!this.#closed) this.#handle(output);
      if (this.#closed) return;
      if (this.#folding !== null && this.#folding.length > 0) {
        this.#foldLater();
        return;
      }
      this.#timers.endOfTick(() => {
        this.#goOnLoading();
      });
    });
  }

  /** The next read is decoded in a tick of its own. */
  #goOnLoading(): void {
    this.#folding = null;
    const held = this.#heldAnswer;
    this.#heldAnswer = null;
    if (held !== null && !this.#closed) this.#dispatch(held);
  }

  #handle(output: LogOutput): void {
    switch (output.kind) {
      case "call":
        this.#call(output.call);
        break;
      case "reset":
        this.#tell(() => this.#listener.reset());
        break;
      case "segment":
        this.#tell(() => {
          const changes = decodeSegment(output.stored);
          this.#listener.segment(must(changes, "the format was seen"));
        });
        break;
      case "loaded": {
        const { record, checksum: link, bytes } = output;
        this.#tell(() => this.#listener.loaded({ record, checksum: link }, bytes));
        break;
      }
      case "serving": {
        failpoint("log.claimed");
        const { claim, checksum: link } = output;
        this.#tell(() => this.#listener.serving({ record: claim, checksum: link }));
        break;
      }
      case "durable": {
        failpoint("log.durable");
        const entries = this.#inFlight;
        this.#inFlight = [];
        // The next batch leaves before the replies of this one; what speaks of it, after them.
        if (this.#composers.length === 0 && this.#checkpoint === null) this.#flush();
        const { record, checksum: link, bytes } = output;
        this.#tell(() => this.#listener.durable({ record, checksum: link }, entries, bytes));
        break;
      }
      case "stopped":
        this.#stopped(output.failure, output.append);
        break;
    }
  }

  #fateInFlight(): AppendFate {
    const fate = fateInFlight(this.#state.phase);
    return fate === "none" && this.#inFlight.length > 0 ? "notApplied" : fate; // not encoded
  }

  #tell(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#broken(error);
    }
  }

  /** L10 */
  #broken(error: unknown): void {
    if (this.#closed) throw error; // it was told that the log stopped: nobody else is there
    const { name } = this.#state.phase;
    const what = `partition ${String(this.#config.partition)}, ${name}: ${String(error)}`;
    this.#stopped(failure("PARTITION_STOPPED", what), this.#fateInFlight());
  }

  #stopped(reason: Failure, fate: AppendFate): void {
    this.#closed = true;
    this.#backoff?.cancel();
    const inFlight = this.#inFlight;
    const waiting = this.#waiting.map((one) => one.entry);
    this.#inFlight = [];
    this.#waiting = [];
    this.#folding = null;
    this.#listener.stopped(reason, inFlight, fate, waiting);
  }

  #call(call: LogCall): void {
    if (this.#repeats === 0) {
      this.#issue(call);
      return;
    }
    // The store did not say. Ask again with the identical bytes, more slowly each time.
    const backoffMs = limits.storeBackoffMsMin * 2 ** Math.min(this.#repeats - 1, 20);
    this.#backoff = this.#timers.after(Math.min(backoffMs, limits.storeBackoffMsMax), () => {
      this.#backoff = null;
      this.#issue(call);
    });
  }

  #issue(call: LogCall): void {
    if (call.op === "putIfAbsent") failpoint("log.append");
    void callStore(this.#map, call).then((outcome) => {
      if (this.#closed) return;
      if (outcome.ok) this.#silence = null;
      else {
        const sinceMs = this.#silence?.sinceMs ?? this.#clock.monotonicMs();
        this.#silence = { sinceMs, why: outcome.failure.message };
      }
      const answer = answerOf(outcome);
      const event = { kind: "answer", answer, wallMs: this.#clock.wallMs() } as const;
      if (this.#folding !== null) this.#heldAnswer = event;
      else this.#dispatch(event);
    });
  }
}

function answerOf(outcome: Outcome<Definite>): LogAnswer {
  return outcome.ok ? { known: true, value: outcome.value } : { known: false };
}

function writeMs(value: Buffer): number {
  return limits.storeWriteMs + limits.storeWriteMsPer64KiB * Math.floor(value.length / 65_536);
}

/** The call itself, with the deadline that every call of a log has. */
export function callStore(map: ByteMap, call: LogCall): Promise<Outcome<Definite>> {
  switch (call.op) {
    case "get":
      return map.get(call.key, limits.storeReadMs);
    case "getMany":
      return map.getMany(call.keys, limits.storeReadMs);
    case "putIfAbsent":
      return map.putIfAbsent(call.key, call.value, writeMs(call.value));
    case "replaceIfSame":
      return map.replaceIfSame(call.key, call.expected, call.value, writeMs(call.value));
  }
}

/** What loading folds, in slices of about one read: with two the lane goes round twice for it. */
function slicesOf(outputs: readonly LogOutput[]): LogOutput[][] {
  const slices: LogOutput[][] = [];
  let bytes = 0;
  for (const output of outputs) {
    if (output.kind !== "segment" && output.kind !== "loaded") continue;
    const size = output.kind === "segment" ? output.stored.length : output.bytes;
    const last = slices.at(-1);
    if (last === undefined || bytes + size > limits.logReadBytes) {
      slices.push([output]);
      bytes = size;
    } else {
      last.push(output);
      bytes += size;
    }
  }
  return slices;
}
