// Log oracle: what must be true of a partition's log, judged from outside: from what lanes told
// their callers, and from the bytes that the members hold. It shares no code with the engine but
// the record format.
// Owns: the canonical log (what was ever acknowledged, or served upon), the invariants I1–I4, I7
// and I8 of docs/log-protocol.md §3, and the list of what broke them.
// Does not own: how the log is written; what holds beyond the failure bound (rewind-judge.ts).
import { must } from "../base/assert.ts";
import type { Failure, FailureCode } from "../base/failure.ts";
import { generationMapName, headKey, recordKey, segmentKey } from "../grid/grid-keys.ts";
import {
  checksum,
  decodeHead,
  decodeRecord,
  decodeSegment,
  entriesOf,
  type LogRecord,
} from "../grid/log-record.ts";
import type { AppendFate } from "../grid/log-state.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { FoldedState } from "./folded-state.ts";
import { storedKey, type Replica, type ReplicaStore } from "./replica-store.ts";
import { RewindJudge } from "./rewind-judge.ts";

/** The space that holds every entry's number: nothing that was applied is ever overwritten. */
export const numberSpace = "numbers";

/** What anybody was told. */
interface Known {
  readonly links: Link[];
  readonly folded: FoldedState;
  readonly acknowledged: Map<number, number>; // position → epoch
  readonly validClaims: Map<number, string>; // position → checksum
  readonly fates: Map<number, "durable" | AppendFate>;
}

/** A partition's progress row. */
interface DatabaseRow {
  readonly seq: number;
  readonly epoch: number;
  readonly chain: Buffer | null;
}

/** What a transaction writes. */
interface Pumped {
  readonly epoch: number;
  readonly records: readonly ChainedRecord[];
}

interface Link {
  readonly checksum: string;
  /** Digest of the fold of all records up to this one. */
  readonly digest: string;
}

const emptyKnown: Known = {
  links: [],
  folded: new FoldedState(),
  acknowledged: new Map(),
  validClaims: new Map(),
  fates: new Map(),
};

function copyOf({ links, folded, acknowledged, validClaims, fates }: Known): Known {
  return {
    links: [...links],
    folded: folded.clone(),
    acknowledged: new Map(acknowledged),
    validClaims: new Map(validClaims),
    fates: new Map(fates),
  };
}

function printOf({ links, acknowledged, validClaims, fates }: Known): string {
  const told = [...acknowledged, ...validClaims.keys(), ...fates];
  return `${links.map(({ checksum }) => checksum.slice(0, 8)).join()};${told.join()}`;
}

/** Codes with which a log may stop while the store stays within its failure bound. */
const lawfulStops: ReadonlySet<FailureCode> = new Set([
  "NOT_OWNER",
  "CLAIM_BEATEN",
  "SHUTTING_DOWN", // the run itself closed it
]);

export class LogOracle {
  readonly #partition: number;
  readonly #map: string;
  readonly #generation: number;
  readonly #copies: ReplicaStore;
  #rewinds: RewindJudge;
  /** Shared with clones until one of them learns more. */
  #known: Known = emptyKnown;
  #isShared = true;
  #print: string | null = null;
  #decoded = new WeakMap<Buffer, { record: LogRecord; checksum: string }>();
  /** What the database has; null: there is none, or it went back. */
  written: number | null = null;
  #row: DatabaseRow | null = null;
  #isRestored = false;
  /** Since the copies went back: the latest claim whose owner goes on writing. */
  #resumed: number | null = null;
  /** What was broken, in words; empty in a good run. */
  readonly violations: string[] = [];

  constructor(partition: number, generation: number, copies: ReplicaStore) {
    this.#partition = partition;
    this.#generation = generation;
    this.#copies = copies;
    this.#rewinds = new RewindJudge(partition, generation);
    this.#map = generationMapName(generation);
  }

  /** An oracle that knows the same and goes on by itself, over those copies. */
  clone(copies: ReplicaStore): LogOracle {
    const copy = new LogOracle(this.#partition, this.#generation, copies);
    copy.#rewinds = this.#rewinds.clone();
    copy.#known = this.#known;
    copy.#print = this.#print;
    this.#isShared = true;
    copy.#decoded = this.#decoded; // what bytes mean is the same for all
    copy.written = this.written;
    copy.#row = this.#row;
    copy.#isRestored = this.#isRestored;
    copy.#resumed = this.#resumed;
    copy.violations.push(...this.violations);
    return copy;
  }

  /** Equal for oracles that know the same. */
  get fingerprint(): string {
    this.#print ??= printOf(this.#known);
    return `${this.#print};${this.#rewinds.fingerprint};${this.written};${this.#resumed}`;
  }

  get acknowledgedRecords(): number {
    return this.#known.acknowledged.size;
  }

  /** A lane's checkpoint met what it cannot have met within the failure bound. */
  checkpointBroken(error: Failure): void {
    if (!this.#rewinds.isRewound) this.violate(`checkpoint: ${error.message}`);
  }

  violate(what: string): void {
    if (this.violations.length < 20) this.violations.push(what);
  }

  /** Beyond the failure bound: every copy goes back to this. Judged otherwise from here on. */
  rewind(to: Replica): void {
    this.#rewinds.rewound(this.#copies.replicas, to);
    this.#copies.rewind(to);
  }

  /** An owner is told that members changed. */
  warned(token: string): void {
    this.#rewinds.warned(token);
  }

  /** An owner begins to serve under `claim`, from what it loaded (head's record first). */
  serving(claim: ChainedRecord, loaded: readonly ChainedRecord[], state: FoldedState): void {
    const x = claim.record.position;
    this.#judge(claim);
    if (this.#rewinds.isRewound) return;
    for (const record of loaded) this.#know(record, "loaded");
    const before = this.#known.links[x - 1];
    if (before === undefined) this.violate(`I1: claim ${String(x)} serves without what precedes`);
    else if (before.digest !== state.digest) {
      this.violate(`I1: the state loaded for claim ${String(x)} is not the fold of the log`);
    }
    this.#know(claim, "claim");
    this.#learn().validClaims.set(x, claim.checksum.toString("hex"));
    for (const [position, epoch] of this.#known.acknowledged) {
      if (position > x && epoch < x) {
        this.violate(`I4: ${String(position)} of epoch ${String(epoch)} behind claim ${String(x)}`);
      }
    }
  }

  get lastAcknowledged(): number {
    return Math.max(0, ...this.#known.acknowledged.keys());
  }

  /** A read is answered by an append at `position`; `from` was acknowledged when it arrived. */
  read(position: number, from: number): void {
    if (position >= from || this.#rewinds.isRewound) return;
    this.violate(`LIN: a read is answered as of ${position}, ${from} was acknowledged before it`);
  }

  /** The last record that anybody was told of. */
  get lastKnown(): number {
    return this.#known.links.length - 1;
  }

  /** An owner told its callers that this record is durable. */
  acknowledged(record: ChainedRecord): void {
    const { position, epoch } = record.record;
    this.#judge(record);
    if (this.#rewinds.isRewound) return;
    this.#know(record, "acknowledged");
    this.#learn().acknowledged.set(position, epoch);
    for (const claim of this.#known.validClaims.keys()) {
      if (claim > epoch && claim < position) {
        this.violate(`I4: ${String(position)} acknowledged behind claim ${String(claim)}`);
      }
    }
  }

  /** What an entry's caller was told; each is told once. */
  settled(number: number, fate: "durable" | AppendFate): void {
    if (this.#known.fates.has(number))
      this.violate(`L9: entry ${String(number)} was settled twice`);
    this.#learn().fates.set(number, fate);
    if (this.#rewinds.isRewound) return; // what was in the log may be there no more
    if (fate === "notApplied" && this.#known.folded.has(numberSpace, String(number))) {
      this.violate(`I8: entry ${String(number)} is called not applied, and is in the log`);
    }
  }

  stopped(token: string, reason: Failure): void {
    if (lawfulStops.has(reason.code)) return;
    const wrong = this.#rewinds.stopped(token, reason, this.#primary);
    if (wrong !== null) this.violate(wrong);
  }

  /** A transaction of an owner took effect: records were written behind those that were there. */
  pumped({ seq, chain }: DatabaseRow, { epoch, records }: Pumped): void {
    const first = records[0]?.record;
    if (first === undefined || seq !== first.position - 1) return; // the fold tells
    if (chain !== null && !first.previous.equals(chain)) {
      this.violate(`I5: the database has ${first.position} behind another ${seq} than its log has`);
    }
    if (this.#resumed === null || epoch >= this.#resumed) return;
    const isThere = records.every(({ record, checksum: bytes }) => {
      return this.#read(this.#primary, record.position)?.checksum === bytes.toString("hex");
    });
    const owner = `the owner of ${this.#resumed}`;
    if (!isThere) this.violate(`I5: ${owner} goes on, and ${epoch} writes what is in no log`);
  }

  /** An owner found that the row is its own, and fits its log. */
  pumpResumed(epoch: number): void {
    if (this.#rewinds.isRewound) this.#resumed = Math.max(epoch, this.#resumed ?? 0);
  }

  /** What the database has now. */
  holds({ seq, epoch, chain }: DatabaseRow, digest: string): void {
    if (this.#rewinds.isRewound) return;
    this.#row = { seq, epoch, chain };
    if (!this.#isRestored) this.written = seq;
    const isClaim = this.#known.validClaims.has(epoch) || (epoch === 0 && seq === 0);
    if (!isClaim) this.violate(`I5: the row's epoch ${epoch} is no claim`);
    const link = this.#known.links[seq];
    if (link !== undefined && seq > 0) {
      if (chain?.toString("hex") !== link.checksum) this.violate(`I5: another ${seq} is written`);
      if (digest !== link.digest) this.violate(`I5: the tables are no fold up to ${seq}`);
    }
  }

  /** The database went back to a backup. */
  databaseRestored(row: DatabaseRow): void {
    this.#isRestored = true;
    this.written = null; // what was trimmed before is its loss
    this.#row = row;
  }

  /** A pump never goes on. Within the failure bound only behind another owner's back. */
  pumpHalted(epoch: number, { code, message }: Failure): void {
    if (this.#rewinds.isRewound) return;
    const isOvertaken = [...this.#known.validClaims.keys()].some((claim) => claim > epoch);
    if (code === "DATABASE_FENCED" && isOvertaken) return;
    if (code === "DATABASE_LOST" && this.#isRestored && this.#lacks()) return;
    this.violate(`I7: the pump of ${epoch} stops: ${code}: ${message}`);
  }

  /** Every live copy, taken as the primary, must hold everything (I1, I3). */
  audit(when: string): void {
    if (this.#rewinds.isRewound) return;
    for (const [index, replica] of this.#copies.replicas.entries()) {
      this.#auditReplica(replica, `${when}, copy ${String(index)}`);
    }
  }

  get #primary(): Replica {
    return must(this.#copies.replicas[0], "a live primary");
  }

  /** What is known, to be added to. */
  #learn(): Known {
    this.#print = null;
    if (!this.#isShared) return this.#known;
    this.#isShared = false;
    this.#known = copyOf(this.#known);
    return this.#known;
  }

  #judge(record: ChainedRecord): void {
    const wrong = this.#rewinds.told(record, this.#primary);
    if (wrong !== null) this.violate(wrong);
  }

  #know(record: ChainedRecord, how: string): void {
    const { position } = record.record;
    const bytes = record.checksum.toString("hex");
    const known = this.#known.links[position];
    if (known !== undefined) {
      if (known.checksum !== bytes) this.violate(`I2: two values at ${String(position)} (${how})`);
      return;
    }
    if (position !== this.#known.links.length) {
      this.violate(
        `I3: ${how} ${String(position)}, ${String(this.#known.links.length)} is unknown`,
      );
      return;
    }
    this.#foldEntries(record.record);
    this.#learn().links.push({ checksum: bytes, digest: this.#known.folded.digest });
  }

  #foldEntries({ position, body }: LogRecord): void {
    for (const entry of entriesOf(body)) {
      const number = String(entry.number);
      if (this.#known.folded.has(numberSpace, number))
        this.violate(`entry ${number} is there twice`);
      if (this.#known.fates.get(entry.number) === "notApplied") {
        this.violate(`I8: entry ${number}, called not applied, is at ${String(position)}`);
      }
      this.#learn().folded.apply(entry.changes);
    }
  }

  #auditReplica(replica: Replica, where: string): void {
    const headBytes = replica.get(storedKey(this.#map, headKey(this.#partition)));
    const head = headBytes === undefined ? null : decodeHead(headBytes);
    if (head === null) {
      this.violate(`I3: no head (${where})`);
      return;
    }
    const state = new FoldedState();
    const tail = this.#walk(replica, head, state, where);
    const known = this.#known.links[tail];
    if (known !== undefined && known.digest !== state.digest) {
      this.violate(`I1: fold up to ${String(tail)} differs (${where})`);
    }
    for (const position of this.#known.acknowledged.keys()) {
      if (position > tail) this.violate(`I1: acknowledged ${String(position)} is gone (${where})`);
    }
    this.#auditClaims(replica, where);
    this.#auditUnwritten(replica, where);
    this.#auditWritten(replica, head, where);
    this.#auditHole(replica, tail, where);
    for (const [number, fate] of this.#known.fates) {
      if (fate === "notApplied" && state.has(numberSpace, String(number))) {
        this.violate(`I8: entry ${String(number)}, called not applied, is in the log (${where})`);
      }
    }
  }

  /** Folds what a loader would find from head on; the position of the last record. */
  #walk(replica: Replica, head: number, state: FoldedState, where: string): number {
    let chain: string | null = null;
    for (let position = head; ; position++) {
      const found = this.#read(replica, position);
      if (found === null) {
        if (position === head) this.violate(`I3: head names ${String(head)} (${where})`);
        return position - 1;
      }
      const { record } = found;
      if (chain !== null && record.previous.toString("hex") !== chain) {
        this.violate(`I3: the chain is broken at ${String(position)} (${where})`);
        return position - 1;
      }
      chain = found.checksum;
      const known = this.#known.links[position];
      if (known !== undefined && known.checksum !== chain) {
        this.violate(`I2: another value at ${String(position)} (${where})`);
      }
      if (position === head) this.#foldBase(replica, record, state, where);
      state.applyEntries(entriesOf(record.body));
    }
  }

  #foldBase(replica: Replica, record: LogRecord, state: FoldedState, where: string): void {
    const { body, position } = record;
    if (body.type === "genesis") return;
    if (body.type !== "checkpoint") {
      this.violate(`I3: head names ${String(position)}, a ${body.type} (${where})`);
      return;
    }
    for (const { epoch, checkpoint, segment } of body.segments) {
      const key = segmentKey(this.#partition, epoch, checkpoint, segment);
      const stored = replica.get(storedKey(this.#map, key));
      if (stored === undefined) this.violate(`I3: segment of ${String(position)} (${where})`);
      else state.apply(decodeSegment(stored) ?? []);
    }
    state.apply(body.delta);
  }

  #auditClaims(replica: Replica, where: string): void {
    for (const [position, bytes] of this.#known.validClaims) {
      if (this.#read(replica, position)?.checksum !== bytes) {
        this.violate(`I6: claim ${String(position)} is gone (${where})`);
      }
    }
  }

  /** True where a record is gone that the row needs. */
  #lacks(): boolean {
    for (let at = (this.#row?.seq ?? 0) + 1; at <= this.lastKnown; at++) {
      if (this.#read(this.#primary, at) === null) return true;
    }
    return false;
  }

  /** I5: what is written and nobody was told of is in the log of every copy. */
  #auditWritten(replica: Replica, head: number, where: string): void {
    if (this.#row === null || this.#row.seq <= Math.max(this.lastKnown, head)) return;
    const { seq, chain } = this.#row;
    if (this.#read(replica, seq)?.checksum === chain?.toString("hex")) return;
    this.violate(`I5: the database has ${seq}, which is gone (${where})`);
  }

  /** The pump must find what the database lacks. */
  #auditUnwritten(replica: Replica, where: string): void {
    if (this.written === null) return;
    for (let position = this.written + 1; position < this.#known.links.length; position++) {
      const isThere =
        this.#read(replica, position)?.checksum === this.#known.links[position]?.checksum;
      if (!isThere && this.#known.acknowledged.has(position)) {
        this.violate(`I6: ${String(position)}, not written yet, is gone (${where})`);
      }
    }
  }

  #auditHole(replica: Replica, tail: number, where: string): void {
    const first = storedKey(this.#map, recordKey(this.#partition, tail + 1));
    const beyond = storedKey(this.#map, recordKey(this.#partition, Number.MAX_SAFE_INTEGER));
    for (const key of replica.keys()) {
      if (key >= first && key <= beyond) {
        this.violate(`I3: a record behind the hole at ${String(tail + 1)} (${where})`);
        return;
      }
    }
  }

  #read(replica: Replica, position: number): { record: LogRecord; checksum: string } | null {
    const stored = replica.get(storedKey(this.#map, recordKey(this.#partition, position)));
    if (stored === undefined) return null;
    let decoded = this.#decoded.get(stored);
    if (decoded === undefined) {
      const record = decodeRecord(stored);
      if (record === null) return null;
      decoded = { record, checksum: checksum(stored).toString("hex") };
      this.#decoded.set(stored, decoded);
    }
    return decoded;
  }
}
