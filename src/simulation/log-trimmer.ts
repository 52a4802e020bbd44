// Log trimmer: steps 12 and 13 of the log's protocol as a lane of the simulation does them: a
// segment, a checkpoint record through the owner's log, head, then the trim behind it.
// Owns: the order of these, and the wrong orders that tests plant to see them caught.
// Does not own: the log; what the entries mean.
// It writes its whole state as fresh segments each time; sharing them comes with the engine's own
// checkpoints, which take this module's place.
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { delay, type Timers } from "../base/timers.ts";
import { headKey, recordKey, segmentKey } from "../grid/grid-keys.ts";
import {
  decodeHead,
  encodeHead,
  encodeSegment,
  type CommandEntry,
  type RecordBody,
  type SegmentName,
} from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import {
  answerWrite,
  confirmCall,
  startWrite,
  writeCall,
  type LogCall,
} from "../grid/log-write.ts";
import { callStore, type PartitionLog } from "../grid/partition-log.ts";
import type { ByteMap } from "../grid/store.ts";
import type { FoldedState } from "./folded-state.ts";

/** Wrong engines: each of these loses acknowledged writes, and a test shows it. */
export interface TrimmerBugs {
  readonly trimClaims: boolean;
  readonly trimBeforeHead: boolean;
  readonly blindHead: boolean;
  readonly unconfirmedHead: boolean;
  readonly unconfirmedSegments: boolean;
}

export const noTrimmerBugs: TrimmerBugs = {
  trimClaims: false,
  trimBeforeHead: false,
  blindHead: false,
  unconfirmedHead: false,
  unconfirmedSegments: false,
};

/** What an owner knows of the records from its head on. */
export interface KnownRecord {
  readonly type: RecordBody["type"];
  readonly entries: readonly CommandEntry[];
  readonly segments: readonly SegmentName[];
}

export interface OwnedLog {
  readonly log: PartitionLog<CommandEntry>;
  readonly map: ByteMap;
  readonly timers: Timers;
  readonly partition: number;
  readonly epoch: number;
  readonly state: FoldedState;
  readonly records: ReadonlyMap<number, KnownRecord>;
  /** Position of the last durable record. */
  readonly last: number;
  /** A broken assertion of the trimmer. */
  broken(error: unknown): void;
}

const segmentCount = 2;

export class LogTrimmer {
  readonly #owned: OwnedLog;
  readonly #bugs: TrimmerBugs;
  #head: number;
  #attempts = 0;
  #awaited: { position: number; segments: readonly SegmentName[] } | null = null;
  /** One checkpoint at a time. */
  busy = false;

  constructor(owned: OwnedLog, bugs: TrimmerBugs) {
    this.#owned = owned;
    this.#bugs = bugs;
    this.#head = owned.log.state.head;
  }

  /** Begins a checkpoint; once its record is durable, `durable` goes on with head and trim. */
  begin(canAppend: () => boolean): void {
    this.busy = true;
    this.#checkpoint(canAppend).catch((error: unknown) => this.#owned.broken(error));
  }

  /** A record is durable; the checkpoint's own is followed by head and trim. */
  durable(position: number): void {
    if (this.#awaited?.position !== position) return;
    const { segments } = this.#awaited;
    this.#awaited = null;
    this.#advance(position, segments).catch((error: unknown) => this.#owned.broken(error));
  }

  async #checkpoint(canAppend: () => boolean): Promise<void> {
    const { log, state, partition, epoch, last: encodedAt } = this.#owned;
    const checkpoint = this.#attempts++;
    const changes = state.changes();
    const segments: SegmentName[] = [];
    for (let segment = 0; segment < segmentCount; segment++) {
      const part = changes.filter((_, index) => index % segmentCount === segment);
      const key = segmentKey(partition, epoch, checkpoint, segment);
      await this.#write(key, encodeSegment(part));
      segments.push({ epoch, checkpoint, segment, encodedAt, bytes: 0 });
    }
    if (!canAppend()) return;
    log.appendRecord((position) => {
      this.#awaited = { position, segments };
      const delta = this.#entriesSince(encodedAt).flatMap(({ changes }) => changes);
      const nothing = { number: checkpoint, entries: [], trimmedTo: 1, logBytes: 0 };
      return { type: "checkpoint", segments, delta, ...nothing };
    });
  }

  async #advance(to: number, segments: readonly SegmentName[]): Promise<void> {
    const from = this.#head;
    if (this.#bugs.trimBeforeHead) this.#trim(from, to, segments);
    if (await this.#moveHead(from, to)) {
      this.#head = to;
      this.#trim(from, to, segments);
    }
    this.busy = false;
  }

  #entriesSince(position: number): CommandEntry[] {
    const entries: CommandEntry[] = [];
    for (let next = position + 1; next <= this.#owned.last; next++) {
      entries.push(...(this.#owned.records.get(next)?.entries ?? []));
    }
    return entries;
  }

  /** True where head is durably at `to` by this owner's doing; false where it is beyond. */
  async #moveHead(from: number, to: number): Promise<boolean> {
    const key = headKey(this.#owned.partition);
    const mine = encodeHead(to);
    if (this.#bugs.blindHead) {
      await this.#put(key, mine);
      return true;
    }
    let old = encodeHead(from);
    for (;;) {
      const call = { op: "replaceIfSame", key, expected: old, value: mine } as const;
      if ((await this.#ask(call)) === true) return true;
      const found = (await this.#ask({ op: "get", key })) as Buffer | null;
      const head = found === null ? null : decodeHead(found);
      assert(found !== null && head !== null, "head is there");
      if (head > to) return false;
      if (head < to) {
        old = found; // a predecessor's late move, or ours that a crash took back
        continue;
      }
      if (this.#bugs.unconfirmedHead) return true;
      if ((await this.#ask(confirmCall(key, mine))) === true) return true;
    }
  }

  /** Deletes may be lost, late or repeated: nobody waits for them. */
  #trim(from: number, to: number, live: readonly SegmentName[]): void {
    const { map, partition, records } = this.#owned;
    const remove = (key: Buffer): void => {
      void map.delete(key, limits.storeReadMs);
    };
    for (let position = Math.max(1, from); position < to; position++) {
      const record = records.get(position);
      if (record === undefined) continue;
      if (record.type !== "claim" || this.#bugs.trimClaims) remove(recordKey(partition, position));
      for (const name of record.segments) {
        if (live.some((kept) => isSame(kept, name))) continue;
        remove(segmentKey(partition, name.epoch, name.checkpoint, name.segment));
      }
    }
  }

  async #write(key: Buffer, value: Buffer): Promise<void> {
    const rules = { ...everyRule, confirmOwn: !this.#bugs.unconfirmedSegments };
    let state = startWrite(key, value);
    for (;;) {
      const answer = (await this.#ask(writeCall(state))) as null | boolean | Buffer;
      const step = answerWrite(state, answer, rules);
      assert(step.kind !== "beaten", "a segment's key is used once");
      if (step.kind === "durable") return;
      state = step.state;
    }
  }

  async #ask(call: LogCall): Promise<null | boolean | Buffer | readonly (Buffer | null)[]> {
    const { map, timers } = this.#owned;
    for (;;) {
      const answer = await callStore(map, call);
      if (answer.ok) return answer.value;
      await delay(timers, limits.storeBackoffMsMin);
    }
  }

  async #put(key: Buffer, value: Buffer): Promise<void> {
    const { map, timers } = this.#owned;
    while (!(await map.put(key, value, limits.storeReadMs)).ok) {
      await delay(timers, limits.storeBackoffMsMin);
    }
  }
}

function isSame(one: SegmentName, other: SegmentName): boolean {
  return (
    one.epoch === other.epoch &&
    one.checkpoint === other.checkpoint &&
    one.segment === other.segment
  );
}
