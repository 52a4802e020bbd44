// Hazelcast window: how many bytes may be on their way to one member, and who waits for room.
// Owns: the count and the queue. Does not own: calls, deadlines, what a member is.
// The bound has a reason beyond memory: what the client queues behind a full socket is never
// answered when that connection closes (measured), so little may ever queue there. A call that
// was given up still counts until the client settles it, or is replaced as a whole.

interface Waiting {
  readonly bytes: number;
  readonly start: () => void;
}

export class ByteWindow {
  readonly #bytesMax: number;
  #used = 0;
  #waiting: Waiting[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Starts at once where there is room (one call of any size fits an empty window), or later. */
  enter(bytes: number, start: () => void): void {
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#used += bytes;
      start();
    } else {
      this.#waiting.push({ bytes, start });
    }
  }

  /** Takes back an `enter` that has not started; false where it has. */
  withdraw(start: () => void): boolean {
    const index = this.#waiting.findIndex((waiting) => waiting.start === start);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    return true;
  }

  leave(bytes: number): void {
    this.#used -= bytes;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#hasRoom(next.bytes)) return;
      this.#waiting.shift();
      this.#used += next.bytes;
      next.start();
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#bytesMax;
  }
}
