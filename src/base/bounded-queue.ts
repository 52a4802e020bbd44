// BoundedQueue: first in, first out, with a limit that is always met with an answer.
// Owns: the ring. Does not own: what a caller does when the queue is full; `push` says so.
import { assert } from "./assert.ts";

export class BoundedQueue<T> {
  readonly #capacity: number;
  #items: (T | undefined)[];
  #head = 0;
  #length = 0;

  constructor(capacity: number) {
    assert(Number.isInteger(capacity) && capacity > 0, "a queue needs a capacity");
    this.#capacity = capacity;
    this.#items = new Array<T | undefined>(Math.min(capacity, 16));
  }

  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** False where the queue is full: the item was not taken. */
  push(item: T): boolean {
    if (this.#length === this.#capacity) return false;
    if (this.#length === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#length) % this.#items.length] = item;
    this.#length++;
    return true;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined; // let go of it
    this.#head = (this.#head + 1) % this.#items.length;
    this.#length--;
    return item;
  }

  #grow(): void {
    const grown = new Array<T | undefined>(Math.min(this.#capacity, this.#items.length * 2));
    for (let index = 0; index < this.#length; index++) {
      grown[index] = this.#items[(this.#head + index) % this.#items.length];
    }
    this.#items = grown;
    this.#head = 0;
  }
}
