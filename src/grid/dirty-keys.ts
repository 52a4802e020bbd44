// Dirty keys: which entries changed since they were last encoded into a checkpoint's segments.
// Owns: the marks, in rounds: a checkpoint encodes what was marked before a round, while what
// changes meanwhile is marked for the next round, or for the checkpoint record's delta.
// Does not own: the entries themselves, and when a round begins (checkpoint-machine.ts).
// Invariants (docs/invariants.md):
//   K2. A mark is gone only once a durable checkpoint record names a segment whose encoding began
//       after the mark was made. What a record's delta said is in no segment: it stays marked.

/** Keys by space. */
export type KeySet = ReadonlyMap<string, ReadonlySet<string>>;
type OpenSet = Map<string, Set<string>>;

export class DirtyKeys {
  /** The marks of each round; the last set is open. One set: no checkpoint is being made. */
  #rounds: OpenSet[] = [new Map<string, Set<string>>()];
  #open: OpenSet = new Map();

  constructor() {
    this.#open = this.#rounds[0] ?? this.#open;
  }

  clone(): DirtyKeys {
    const copy = new DirtyKeys();
    copy.#rounds = this.#rounds.map(
      (round) => new Map([...round].map(([space, keys]) => [space, new Set(keys)])),
    );
    copy.#open = copy.#rounds.at(-1) ?? copy.#open;
    return copy;
  }

  /** Equal for equal marks. */
  get fingerprint(): string {
    const rounds = this.#rounds.map((round) =>
      [...round].flatMap(([space, keys]) => [...keys].map((key) => `${space}/${key}`)).sort(),
    );
    return rounds.map((names) => names.join()).join(";");
  }

  mark(space: string, key: string): void {
    let keys = this.#open.get(space);
    if (keys === undefined) {
      keys = new Set();
      this.#open.set(space, keys);
    }
    keys.add(key);
  }

  /** What was marked since the last round began, or before there was one. */
  get open(): KeySet {
    return this.#open;
  }

  /** A round of encoding begins: gives what was marked before it. */
  beginRound(): KeySet {
    const before = this.#open;
    this.#open = new Map();
    this.#rounds.push(this.#open);
    return before;
  }

  /** The checkpoint is in the log: what its rounds encoded is clean. */
  encoded(): void {
    this.#rounds = [this.#open]; // K2
  }

  /** The checkpoint was given up: what its rounds encoded is named by no record. */
  giveUp(): void {
    const [first, ...later] = this.#rounds;
    if (first === undefined || later.length === 0) return;
    this.#rounds = [first];
    this.#open = first;
    for (const round of later) {
      for (const [space, keys] of round) for (const key of keys) this.mark(space, key);
    }
  }

  /** All is clean: what follows is marked anew. */
  clear(): void {
    this.#open = new Map();
    this.#rounds = [this.#open];
  }
}
