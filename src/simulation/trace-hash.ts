// Trace hash: one number for everything that happened in a run, in its order.
// Owns: the running hash. Two runs of one seed must end with the same one: what differs between
// them was not decided by the seed, and then a failing seed would not fail again.

export class TraceHash {
  #high = 0x811c9dc5;
  #low = 0x01000193;

  /** Adds a number; fractions count to a thousandth. */
  number(value: number): void {
    const scaled = Math.round(value * 1000);
    this.#mix(scaled | 0);
    this.#mix((scaled / 0x1_0000_0000) | 0);
  }

  text(value: string): void {
    for (let index = 0; index < value.length; index++) this.#mix(value.charCodeAt(index));
    this.#mix(0x10000);
  }

  bytes(value: Uint8Array): void {
    for (const byte of value) this.#mix(byte);
    this.#mix(0x10000);
  }

  /** The hash so far, as 16 hexadecimal digits. */
  get digest(): string {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193);
    this.#low = Math.imul(this.#low ^ value ^ (this.#high >>> 15), 0x85ebca6b);
  }
}
