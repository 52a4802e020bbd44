// Parked keys: which entries of one partition have dead letters, so that later changes follow them.
// Owns: the set as the database has it, and what transactions under way will add to it.
// Does not own: who makes a letter (pump-batch.ts), letters in the database (dead-letters.ts).
// Invariants (docs/invariants.md):
//   D12. Once a change of a key is a dead letter, later ones follow it, in order.
import { lettersListed, type DeadLetter, type ListedLetter, type ProgressRow } from "./database.ts";

export class ParkedKeys {
  /** As the row said, which must still say so when something is written. */
  #version = 0;
  #count = 0;
  #parked = new Set<string>();
  #newest: readonly ListedLetter[] = [];
  /** Letters in batches that are formed and not known to be written. */
  #formed: DeadLetter[] = [];
  #formedKeys = new Set<string>();

  get version(): number {
    return this.#version;
  }

  /** Letters that the database has. */
  get count(): number {
    return this.#count;
  }

  /** The last of them, the newest first. */
  get newest(): readonly ListedLetter[] {
    return this.#newest;
  }

  /** Those, and the ones that are on their way. */
  get countWithFormed(): number {
    return this.#count + this.#formed.length;
  }

  has(space: string, key: string): boolean {
    if (this.#parked.size + this.#formedKeys.size === 0) return false;
    const name = nameOf(space, key);
    return this.#parked.has(name) || this.#formedKeys.has(name);
  }

  /** The letter is part of a batch. */
  form(letter: DeadLetter): void {
    this.#formed.push(letter);
    this.#formedKeys.add(nameOf(letter.space, letter.key));
  }

  /** What was formed up to `seq` was written at `timeMs`; returns those letters. */
  written(seq: number, timeMs: number): DeadLetter[] {
    if (this.#formed.length === 0) return [];
    const letters = this.#formed.filter(({ position }) => position <= seq);
    for (const { space, key } of letters) this.#parked.add(nameOf(space, key));
    this.#count += letters.length;
    const listed = letters.map(({ value: _value, ...letter }) => ({ timeMs, ...letter }));
    this.#newest = [...listed.reverse(), ...this.#newest].slice(0, lettersListed);
    this.#formed = this.#formed.filter(({ position }) => position > seq);
    this.#formedKeys = new Set(this.#formed.map(({ space, key }) => nameOf(space, key)));
    return letters;
  }

  /**
   * The row was read while nothing was under way: what it says is so. Returns the letters formed
   * before which the database has now.
   */
  read({ seq, letters, deadLetters, parked, newest }: ProgressRow): DeadLetter[] {
    this.#version = letters;
    this.#count = deadLetters;
    this.#newest = newest;
    this.#parked = new Set(parked.map(({ space, key }) => nameOf(space, key)));
    const arrived = this.#formed.filter(({ position, space, key }) => {
      return position <= seq && this.#parked.has(nameOf(space, key));
    });
    this.unform();
    return arrived;
  }

  /** Forgets what was formed. */
  unform(): void {
    this.#formed = [];
    this.#formedKeys.clear();
  }
}

function nameOf(space: string, key: string): string {
  return `${space}\u0000${key}`; // a space's name has no such character
}
