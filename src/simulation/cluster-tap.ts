// Cluster tap: what one lane asks of the store and is answered, seen from outside: that is where
// the rare paths of its logs, its checkpoints and its slot show.
// Owns: how a path is told from calls and answers. Does not own: the counters (cluster-probes.ts),
// what is right (the oracle). It changes nothing of what passes.
import type { Outcome } from "../base/failure.ts";
import { headKey, recordKey, segmentKey, slotKey } from "../grid/grid-keys.ts";
import { decodeHead, recordTypes } from "../grid/log-record.ts";
import type { ByteMap, Store } from "../grid/store.ts";
import type { ClusterDiary } from "./cluster-diary.ts";
import type { ClusterProbes } from "./cluster-probes.ts";

const kindAt = 2;
const headKind = headKey(0)[kindAt];
const recordKind = recordKey(0, 0)[kindAt];
const segmentKind = segmentKey(0, 1, 0, 0)[kindAt];
const slotKind = slotKey(0)[kindAt];

/** A stored record is a format byte, the length of a list, and the record's type. */
function typeOf(record: Buffer): number {
  return record[2] ?? -1;
}

export interface ClusterTapOptions {
  readonly store: Store;
  readonly probes: ClusterProbes;
  readonly diary: ClusterDiary;
  /** For people: which lane it is. */
  readonly name: string;
  /** Partitions with a checkpoint that has no record yet, and whose it is; of all lanes. */
  readonly checkpointing: Map<number, string>;
  nowMs(): number;
  /** Its process ended in the middle of something: what it does after that never leaves it. */
  readonly isDead: () => boolean;
}

export class ClusterTap implements Store {
  readonly #options: ClusterTapOptions;
  /** The call of each log that has no definite answer yet. */
  readonly #unanswered = new Map<string, Buffer>();
  /** The newest claim that is stored, by partition. */
  readonly #claims = new Map<number, number>();
  /** When the newest heartbeat that is known to be stored was sent. */
  beatAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterTapOptions) {
    this.#options = options;
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }

  map(name: string): ByteMap {
    const map = this.#alive(this.#options.store.map(name));
    return {
      get: async (key, deadlineMs) => {
        const outcome = await map.get(key, deadlineMs);
        if (key[kindAt] === headKind) this.#headRead(key, outcome);
        return outcome;
      },
      getMany: (keys, deadlineMs) => map.getMany(keys, deadlineMs),
      put: (key, value, deadlineMs) => map.put(key, value, deadlineMs),
      putIfAbsent: async (key, value, deadlineMs) => {
        this.#asked(key, value);
        const outcome = await map.putIfAbsent(key, value, deadlineMs);
        if (outcome.ok) this.#stored(key, value, outcome.value);
        return outcome;
      },
      replaceIfSame: async (key, expected, value, deadlineMs) => {
        const sentMs = this.#options.nowMs();
        const outcome = await map.replaceIfSame(key, expected, value, deadlineMs);
        if (outcome.ok) this.#replaced(key, expected, value, outcome.value, sentMs);
        return outcome;
      },
      delete: (key, deadlineMs) => {
        if (key[kindAt] === recordKind) this.#options.probes.reached("record trimmed");
        return map.delete(key, deadlineMs);
      },
    };
  }

  #alive(map: ByteMap): ByteMap {
    const { isDead } = this.#options;
    const never = new Promise<never>(() => undefined);
    return {
      get: (...call) => (isDead() ? never : map.get(...call)),
      getMany: (...call) => (isDead() ? never : map.getMany(...call)),
      put: (...call) => (isDead() ? never : map.put(...call)),
      putIfAbsent: (...call) => (isDead() ? never : map.putIfAbsent(...call)),
      replaceIfSame: (...call) => (isDead() ? never : map.replaceIfSame(...call)),
      delete: (...call) => (isDead() ? never : map.delete(...call)),
    };
  }

  #asked(key: Buffer, value: Buffer): void {
    if (key[kindAt] !== recordKind) return;
    const place = key.toString("latin1");
    if (this.#unanswered.get(place)?.equals(value) === true) {
      this.#options.probes.reached("append repeated after an unknown outcome");
    }
    this.#unanswered.set(place, value);
  }

  #stored(key: Buffer, value: Buffer, found: Buffer | null): void {
    const { probes, diary, name, checkpointing } = this.#options;
    const partition = key.readUInt16BE(0);
    if (key[kindAt] === segmentKind && found === null) {
      probes.reached("segment stored");
      checkpointing.set(partition, name);
    }
    if (key[kindAt] !== recordKind) return;
    const position = Number(key.readBigUInt64BE(3));
    const type = typeOf(value);
    if (found !== null) {
      if (found.equals(value)) return;
      this.#unanswered.delete(key.toString("latin1"));
      probes.reached(type === recordTypes.claim ? "claim race lost" : "append fenced");
      diary.note(partition, () => `${name} finds another record at ${String(position)}`);
      return;
    }
    this.#unanswered.delete(key.toString("latin1"));
    this.#written(partition, position, type);
  }

  /** A record of this lane's is on every copy. */
  #written(partition: number, position: number, type: number): void {
    const { probes, diary, name, checkpointing } = this.#options;
    if (type === recordTypes.checkpoint) {
      probes.reached("checkpoint recorded");
      checkpointing.delete(partition);
    }
    if (type === recordTypes.claim) {
      this.#claims.set(partition, position);
      const before = checkpointing.get(partition);
      if (before !== undefined && before !== name) {
        probes.reached("take-over during a checkpoint");
        checkpointing.delete(partition);
      }
    }
    const names = Object.entries(recordTypes);
    const word = names.find(([, number]) => number === type)?.[0] ?? "record";
    diary.note(partition, () => `${name} stored ${word} ${String(position)}`);
  }

  #headRead(key: Buffer, outcome: Outcome<Buffer | null>): void {
    if (!outcome.ok || outcome.value === null) return;
    const partition = key.readUInt16BE(0);
    const claim = this.#claims.get(partition);
    const head = decodeHead(outcome.value) ?? 0;
    if (claim === undefined || head < claim) return;
    this.#claims.delete(partition);
    // Later it is this owner's own checkpoint that head names.
    const isOwn = this.#ownHeads.get(partition) === head;
    if (!isOwn) this.#options.probes.reached("claim void: head had moved past it");
  }

  readonly #ownHeads = new Map<number, number>();

  #replaced(key: Buffer, expected: Buffer, value: Buffer, isSame: boolean, sentMs: number): void {
    const { probes } = this.#options;
    const kind = key[kindAt];
    if (kind === slotKind) {
      if (isSame) this.beatAtMs = sentMs;
    } else if (kind === headKind) {
      const partition = key.readUInt16BE(0);
      const head = decodeHead(value) ?? 0;
      if (isSame && !expected.equals(value)) probes.reached("head moved");
      this.#ownHeads.set(partition, head);
    } else if (kind === recordKind) {
      const place = key.toString("latin1");
      if (this.#unanswered.get(place)?.equals(value) !== true) return;
      if (!isSame) {
        probes.reached("own record vanished before it was confirmed");
        return;
      }
      probes.reached("own record found and confirmed");
      this.#unanswered.delete(place);
      this.#written(key.readUInt16BE(0), Number(key.readBigUInt64BE(3)), typeOf(value));
    }
  }
}
