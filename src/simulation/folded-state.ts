// Folded state: what a partition's entries are after a fold of changes, with a digest that does
// not depend on how one got there.
// Owns: the fold (last write wins, a null value deletes) and the digest.
// Does not own: which changes are folded, and in which order.
import type { Change, CommandEntry } from "../grid/log-record.ts";

export class FoldedState {
  readonly #entries = new Map<string, Change>();
  #high = 0;
  #low = 0;

  clone(): FoldedState {
    const copy = new FoldedState();
    for (const [key, change] of this.#entries) copy.#entries.set(key, change);
    copy.#high = this.#high;
    copy.#low = this.#low;
    return copy;
  }

  clear(): void {
    this.#entries.clear();
    this.#high = 0;
    this.#low = 0;
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const key = `${change.space}/${change.key}`;
      const old = this.#entries.get(key);
      if (old !== undefined) this.#toggle(key, old);
      if (change.value === null) {
        this.#entries.delete(key);
      } else {
        this.#entries.set(key, change);
        this.#toggle(key, change);
      }
    }
  }

  applyEntries(entries: readonly CommandEntry[]): void {
    for (const entry of entries) this.apply(entry.changes);
  }

  has(space: string, key: string): boolean {
    return this.#entries.has(`${space}/${key}`);
  }

  /** The change that makes an entry what it is; a delete where there is none. */
  change(space: string, key: string): Change {
    return this.#entries.get(`${space}/${key}`) ?? { space, key, value: null };
  }

  /** All entries, as the changes that make them. */
  changes(): Change[] {
    return [...this.#entries.values()];
  }

  /** Equal for equal entries, and (but for a chance in 2^64) only for them. */
  get digest(): string {
    return `${String(this.#entries.size)}:${String(this.#high)}:${String(this.#low)}`;
  }

  // Adding and removing are the same: the digest is the exclusive or over all entries.
  #toggle(key: string, change: Change): void {
    const text = `${key}=${JSON.stringify(change.value)}`;
    let high = 0x811c9dc5;
    let low = 0x9e3779b9;
    for (let index = 0; index < text.length; index++) {
      high = Math.imul(high ^ text.charCodeAt(index), 0x01000193);
      low = Math.imul(low + text.charCodeAt(index), 0x85ebca6b) ^ (low >>> 13);
    }
    this.#high ^= high;
    this.#low ^= low;
  }
}
