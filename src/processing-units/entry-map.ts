// Entry map: entries by key, for millions of them. A plain Map doubles all at once when it is full,
// which stops a thread for 50 ms at a million entries and ends at 2^24 of them; this one grows by
// one small Map at a time.
// Owns: which of its Maps a key lies in. Does not own: what the entries are (partition-memory.ts).
// Source: linear hashing (W. Litwin, Linear hashing: a new tool for file and table addressing,
// VLDB 1980): the Maps are split in turn, one for so many entries, whichever is full.

/** Entries per Map, on average: splitting one takes well below a millisecond. */
const entriesPerMap = 4096;
/** What of a key is hashed: its end, where keys that are numbered differ. */
const hashedChars = 16;

/** FNV-1a over UTF-16 units, with its low bits mixed: they choose the Map. */
function hash(key: string): number {
  let mixed = 0x811c9dc5 ^ key.length;
  for (let at = Math.max(0, key.length - hashedChars); at < key.length; at++) {
    mixed = Math.imul(mixed ^ key.charCodeAt(at), 0x01000193);
  }
  return mixed ^ (mixed >>> 15);
}

export class EntryMap<V> {
  #first = new Map<string, V>();
  readonly #maps = [this.#first];
  /** Maps when this doubling began, and how many of them have been split since. */
  #base = 1;
  #split = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#mapOf(key).get(key);
  }

  set(key: string, value: V): void {
    const map = this.#mapOf(key);
    const before = map.size;
    map.set(key, value);
    if (map.size === before) return;
    this.#size++;
    if (this.#size > entriesPerMap * this.#maps.length) this.#grow();
  }

  delete(key: string): void {
    if (this.#mapOf(key).delete(key)) this.#size--;
  }

  /**
   * All entries, in no order. Entries may come and go meanwhile: one that is there all the time
   * comes at least once, and twice where it is moved.
   */
  *entries(): Generator<[string, V]> {
    for (const map of this.#maps) yield* map;
  }

  #mapOf(key: string): Map<string, V> {
    if (this.#maps.length === 1) return this.#first;
    return this.#maps[this.#numberOf(key)] ?? this.#first;
  }

  #numberOf(key: string): number {
    const mixed = hash(key);
    const number = mixed & (this.#base - 1);
    return number < this.#split ? mixed & (2 * this.#base - 1) : number;
  }

  /** Moves about half of the next Map's entries to a new one behind all others. */
  #grow(): void {
    const from = this.#maps[this.#split] ?? this.#first;
    const to = new Map<string, V>();
    this.#maps.push(to);
    this.#split++;
    for (const [key, value] of from) {
      if (this.#numberOf(key) !== this.#maps.length - 1) continue;
      to.set(key, value);
      from.delete(key);
    }
    if (this.#split < this.#base) return;
    this.#base *= 2;
    this.#split = 0;
  }
}
