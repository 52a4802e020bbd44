// Cluster log oracle: what must be true of one partition's log in a cluster, judged from outside:
// from what lanes acknowledge and serve, from what clients are told, and from the bytes that the
// members hold. It shares no code with the engine but the record format.
// Owns: the canonical log (what was ever acknowledged, or served upon), its fold, the rules about
// one log. Does not own: the database (cluster-tables.ts), what clients saw of one another's
// effects (the checkers).
import { must } from "../base/assert.ts";
import { generationMapName, headKey, recordKey, segmentKey } from "../grid/grid-keys.ts";
import {
  checksum,
  decodeHead,
  decodeRecord,
  decodeSegment,
  entriesOf,
  type Change,
  type CheckpointBody,
  type LogRecord,
} from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { ClusterFold } from "./cluster-fold.ts";
import { storedKey, type Replica, type ReplicaStore } from "./replica-store.ts";

export interface ClusterLogOracleOptions {
  readonly partition: number;
  readonly generation: number;
  readonly copies: ReplicaStore;
  /** Spaces that are left out of the fold. */
  readonly unfolded: ReadonlySet<string>;
  /** The name of the effect that a change is of; null: of none. */
  effectIn(change: Change): string | null;
  /** An effect is journaled; each effect once. */
  onEffect(effect: string, position: number): void;
  violate(what: string): void;
}

/** What is known of one position. */
export interface KnownRecord {
  readonly checksum: Buffer;
  readonly epoch: number;
  readonly timeMs: number;
  readonly type: LogRecord["body"]["type"];
  readonly changes: readonly Change[];
}

interface Stored {
  readonly record: LogRecord;
  readonly checksum: Buffer;
}

export class ClusterLogOracle {
  readonly #options: ClusterLogOracleOptions;
  readonly #map: string;
  readonly #records: KnownRecord[] = [];
  readonly #fold: ClusterFold;
  readonly #acknowledged = new Map<number, number>(); // position → epoch
  readonly #claims = new Set<number>();
  /** Commands that are journaled, as "sender number". */
  readonly #commands = new Set<string>();
  readonly #decoded = new WeakMap<Buffer, Stored>();

  constructor(options: ClusterLogOracleOptions) {
    this.#options = options;
    this.#fold = new ClusterFold(options.unfolded);
    this.#map = generationMapName(options.generation);
  }

  /** Everything that is known to be in the log, by position. */
  get records(): readonly KnownRecord[] {
    return this.#records;
  }

  get tail(): number {
    return this.#records.length - 1;
  }

  /** What the whole log folds to. */
  get fold(): ClusterFold {
    return this.#fold;
  }

  /** True where this command of that sender is journaled. */
  hasCommand(sender: string, number: number): boolean {
    return this.#commands.has(`${sender} ${String(number)}`);
  }

  isClaim(position: number): boolean {
    return this.#claims.has(position);
  }

  /** A lane begins to serve under the claim at `epoch`: all before it is on every copy. */
  serving(epoch: number): void {
    for (let position = this.#records.length; position <= epoch; position++) {
      const stored = this.#read(this.#primary, position);
      if (stored === null) {
        this.#violate(`epoch ${String(epoch)} is served, and record ${String(position)} is gone`);
        return;
      }
      this.#know(stored.record, stored.checksum);
    }
    const claim = must(this.#records[epoch], "it was read just now");
    if (claim.type !== "claim") this.#violate(`epoch ${String(epoch)} is not a claim`);
    this.#claims.add(epoch);
    for (const [position, under] of this.#acknowledged) {
      if (position > epoch && under < epoch) this.#behind(position, under, epoch);
    }
  }

  /** True where the owner before did not hand over. */
  isTakenOver(epoch: number): boolean {
    return epoch > 1 && this.#records[epoch - 1]?.type !== "release";
  }

  /** True where nothing behind `epoch` is known yet: then the fold is what its owner loaded. */
  isNewest(epoch: number): boolean {
    return this.#records.length === epoch + 1;
  }

  /** An owner told its callers that this record is durable. */
  acknowledged({ record, checksum: link }: ChainedRecord): void {
    const { position, epoch } = record;
    const known = this.#records[position];
    if (known === undefined) {
      if (position !== this.#records.length) {
        this.#violate(`${String(position)} is acknowledged, ${String(this.tail + 1)} is unknown`);
        return;
      }
      this.#know(record, link);
    } else if (!known.checksum.equals(link)) {
      this.#violate(`two values at ${String(position)} were acknowledged`);
    }
    this.#acknowledged.set(position, epoch);
    for (const claim of this.#claims) {
      if (claim > epoch && claim < position) this.#behind(position, epoch, claim);
    }
  }

  /** True where every record from there on are stored: claims always are, others are trimmed. */
  holdsFrom(position: number): boolean {
    for (let each = position; each <= this.tail; each++) {
      const key = recordKey(this.#options.partition, each);
      if (!this.#primary.has(storedKey(this.#map, key))) return false;
    }
    return true;
  }

  /** Every live copy, taken as the primary, must hold everything. */
  audit(when: string): void {
    for (const [index, replica] of this.#options.copies.replicas.entries()) {
      this.#auditReplica(replica, `${when}, copy ${String(index)}`);
    }
  }

  #behind(position: number, epoch: number, claim: number): void {
    const which = `${String(position)} of epoch ${String(epoch)}`;
    this.#violate(`${which} is acknowledged behind claim ${String(claim)}`);
  }

  #violate(what: string): void {
    this.#options.violate(what);
  }

  get #primary(): Replica {
    return must(this.#options.copies.replicas[0], "a live primary");
  }

  #know(record: LogRecord, link: Buffer): void {
    const { position, epoch, timeMs, body, previous } = record;
    const before = this.#records[position - 1];
    if (before !== undefined) {
      if (!before.checksum.equals(previous)) this.#violate(`broken chain at ${String(position)}`);
      if (timeMs < before.timeMs) this.#violate(`time goes back at ${String(position)}`);
    }
    this.#knowCommands(record);
    const changes = entriesOf(body).flatMap((entry) => entry.changes);
    this.#records.push({ checksum: link, epoch, timeMs, type: body.type, changes });
    for (const change of changes) {
      const effect = this.#options.effectIn(change);
      if (effect !== null) this.#options.onEffect(effect, position);
    }
    this.#fold.apply(changes);
    if (body.type === "checkpoint") this.#checkFold(body, position);
  }

  #knowCommands({ body, position }: LogRecord): void {
    for (const { sender, number } of entriesOf(body)) {
      if (sender === null) continue;
      const command = `${sender} ${String(number)}`;
      if (this.#commands.has(command)) {
        this.#violate(`command ${command} is journaled again at ${String(position)}`);
      }
      this.#commands.add(command);
    }
  }

  /** A checkpoint says what the whole log up to and with it folds to. */
  #checkFold(body: CheckpointBody, position: number): void {
    const fold = new ClusterFold(this.#options.unfolded);
    for (const { epoch, checkpoint, segment } of body.segments) {
      const key = segmentKey(this.#options.partition, epoch, checkpoint, segment);
      const stored = this.#primary.get(storedKey(this.#map, key));
      if (stored === undefined) {
        this.#violate(`a segment of checkpoint ${String(position)} is gone`);
        return;
      }
      fold.apply(decodeSegment(stored) ?? []);
    }
    fold.apply(body.delta);
    fold.apply(body.entries.flatMap((entry) => entry.changes));
    const difference = this.#fold.difference(fold);
    if (difference !== null) {
      this.#violate(`checkpoint ${String(position)} is not the fold of the log: ${difference}`);
    }
  }

  #auditReplica(replica: Replica, where: string): void {
    const { partition } = this.#options;
    const headBytes = replica.get(storedKey(this.#map, headKey(partition)));
    const head = headBytes === undefined ? null : decodeHead(headBytes);
    if (head === null) {
      this.#violate(`no head (${where})`);
      return;
    }
    const tail = this.#walk(replica, head, where);
    for (const position of this.#acknowledged.keys()) {
      if (position > tail) this.#violate(`acknowledged ${String(position)} is gone (${where})`);
    }
    for (const position of this.#claims) {
      const stored = this.#read(replica, position);
      const known = this.#records[position];
      if (known === undefined || stored?.checksum.equals(known.checksum) !== true) {
        this.#violate(`claim ${String(position)} is gone (${where})`);
      }
    }
  }

  /** Follows the chain as a loader does; the position of the last record. */
  #walk(replica: Replica, head: number, where: string): number {
    let previous: Buffer | null = null;
    for (let position = head; ; position++) {
      const found = this.#read(replica, position);
      if (found === null) {
        if (position === head) this.#violate(`head names ${String(head)} (${where})`);
        return position - 1;
      }
      if (previous !== null && !found.record.previous.equals(previous)) {
        this.#violate(`the chain is broken at ${String(position)} (${where})`);
        return position - 1;
      }
      previous = found.checksum;
      const known = this.#records[position];
      if (known !== undefined && !known.checksum.equals(previous)) {
        this.#violate(`another value at ${String(position)} (${where})`);
      }
      if (position === head) this.#auditHead(replica, found.record, where);
    }
  }

  #auditHead(replica: Replica, { body, position }: LogRecord, where: string): void {
    if (body.type === "genesis") return;
    if (body.type !== "checkpoint") {
      this.#violate(`head names ${String(position)}, a ${body.type} (${where})`);
      return;
    }
    for (const { epoch, checkpoint, segment } of body.segments) {
      const key = segmentKey(this.#options.partition, epoch, checkpoint, segment);
      if (!replica.has(storedKey(this.#map, key))) {
        this.#violate(`a segment of head's checkpoint ${String(position)} is gone (${where})`);
      }
    }
  }

  #read(replica: Replica, position: number): Stored | null {
    const bytes = replica.get(storedKey(this.#map, recordKey(this.#options.partition, position)));
    if (bytes === undefined) return null;
    let stored = this.#decoded.get(bytes);
    if (stored === undefined) {
      const record = decodeRecord(bytes);
      if (record === null) return null;
      stored = { record, checksum: checksum(bytes) };
      this.#decoded.set(bytes, stored);
    }
    return stored;
  }
}
