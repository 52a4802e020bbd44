// Rewind judge: what must be true beyond the failure bound, when all copies of a partition go back
// to an earlier state, or are emptied: nobody can promise then that nothing is lost, but an owner
// that was told that members changed acknowledges nothing more on top of a loss, and nobody calls
// something lost that is there.
// Owns: what each owner told its callers, and what the copies lost of it.
// Does not own: what must be true within the bound (log-oracle.ts).
import type { Failure } from "../base/failure.ts";
import { generationMapName, headKey, recordKey } from "../grid/grid-keys.ts";
import { checksum, decodeHead, decodeRecord, type LogRecord } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import { storedKey, type Replica } from "./replica-store.ts";

/** A record that an owner told of: its claim, or one that it acknowledged. */
interface Told {
  readonly token: string;
  readonly position: number;
  readonly checksum: string;
}

interface Rewind {
  /** Whose records were lost, told of or not. */
  readonly writers: ReadonlySet<string>;
  /** Who had told of any. */
  readonly served: ReadonlySet<string>;
  /** What was told of, and was lost. */
  readonly gone: readonly Told[];
  /** Genesis or head are others than before. */
  readonly isDeeper: boolean;
  /** Owners that were told since then that members changed, and of how many records they told. */
  readonly warned: ReadonlyMap<string, number>;
}

/** Records before the last one that an owner sees before it goes on. */
const seenAtOnce = 4;
/** Records of which it may tell while it looks at the others. */
const toldMeanwhileMax = 8;

export class RewindJudge {
  readonly #partition: number;
  readonly #generation: number;
  readonly #map: string;
  // Never changed in place: a clone shares them.
  #told: readonly Told[] = [];
  #rewind: Rewind | null = null;

  constructor(partition: number, generation: number) {
    this.#partition = partition;
    this.#generation = generation;
    this.#map = generationMapName(generation);
  }

  clone(): RewindJudge {
    const copy = new RewindJudge(this.#partition, this.#generation);
    copy.#told = this.#told;
    copy.#rewind = this.#rewind;
    return copy;
  }

  /** Equal for judges that go on alike. */
  get fingerprint(): string {
    if (this.#rewind === null) return "";
    const { writers, served, gone, warned, isDeeper } = this.#rewind;
    const told = [...gone, ...this.#told].map((one) => `${one.token}${one.position}`);
    return [...writers, "", ...served, "", ...warned, isDeeper, ...told].join();
  }

  get isRewound(): boolean {
    return this.#rewind !== null;
  }

  /** All copies become another: what they lose by it. */
  rewound(before: readonly Replica[], after: Replica): void {
    const writers = new Set<string>();
    for (const [key, value] of before.flatMap((replica) => [...replica])) {
      if (after.get(key)?.equals(value) === true) continue;
      const record = this.#recordIn(key, value);
      if (record !== null) writers.add(record.token);
    }
    this.#rewind = {
      writers,
      served: new Set(this.#told.map(({ token }) => token)),
      gone: this.#told.filter((one) => !this.#isThere(one, after)),
      isDeeper: before.some((replica) => this.#isDeeper(replica, after)),
      warned: new Map(),
    };
  }

  /** An owner is told that members changed. */
  warned(token: string): void {
    if (this.#rewind === null) return;
    this.#rewind = { ...this.#rewind, warned: new Map([...this.#rewind.warned, [token, 0]]) };
  }

  /** An owner tells of a record. What is wrong with that, or null. */
  told({ record, checksum: link }: ChainedRecord, primary: Replica): string | null {
    const { token, position } = record;
    this.#told = [...this.#told, { token, position, checksum: link.toString("hex") }];
    const rewind = this.#rewind;
    const count = rewind?.warned.get(token);
    if (rewind === null || count === undefined) return null;
    this.#rewind = { ...rewind, warned: new Map([...rewind.warned, [token, count + 1]]) };
    const missing = this.#missing(rewind.gone, token, primary);
    // The last few are seen before anything is told; the others a few at a time, in between.
    if (missing === undefined) return null;
    if (missing.position < position - seenAtOnce && count < toldMeanwhileMax) return null;
    const what = `its ${String(missing.position)} is lost`;
    return `L11: ${token}, told of a change, tells of ${String(position)} while ${what}`;
  }

  /** An owner, or who wanted to be one, stopped. What is wrong with that, or null. */
  stopped(token: string, reason: Failure, primary: Replica): string | null {
    const wrong = `I7: ${reason.code}, and ${token} lost nothing: ${reason.message}`;
    if (this.#rewind === null || reason.code !== "GRID_LOST") return wrong;
    const { writers, served, isDeeper } = this.#rewind;
    if (isDeeper || writers.has(token)) return null;
    // Who did not serve then may have seen any hole. Who did may have lost a record later, to
    // somebody's late trim of what lay behind a head that went back.
    if (!served.has(token)) return null;
    return this.#missing(this.#told, token, primary) === undefined ? wrong : null;
  }

  /** The last of an owner's records from head on that is there no more. */
  #missing(among: readonly Told[], token: string, primary: Replica): Told | undefined {
    const head = primary.get(storedKey(this.#map, headKey(this.#partition)));
    const from = head === undefined ? 0 : (decodeHead(head) ?? 0);
    return among.findLast(
      (one) => one.token === token && one.position >= from && !this.#isThere(one, primary),
    );
  }

  #isDeeper(before: Replica, after: Replica): boolean {
    const head = storedKey(this.#map, headKey(this.#partition));
    const isSame = (key: string): boolean =>
      before.get(key)?.equals(after.get(key) ?? Buffer.alloc(0)) === true;
    return !isSame(this.#keyOf(0)) || !isSame(head);
  }

  #isThere(one: Told, replica: Replica): boolean {
    const stored = replica.get(this.#keyOf(one.position));
    return stored !== undefined && checksum(stored).toString("hex") === one.checksum;
  }

  #keyOf(position: number): string {
    return storedKey(this.#map, recordKey(this.#partition, position));
  }

  #recordIn(key: string, value: Buffer): LogRecord | null {
    const isRecord = key >= this.#keyOf(0) && key <= this.#keyOf(Number.MAX_SAFE_INTEGER);
    return isRecord ? decodeRecord(value) : null;
  }
}
