// Pacer slot: the memory that a pacer and its thread share: for how long to sleep.
// Owns: asking and sleeping, from both sides. Does not own: the thread, what follows the sleep.
//
//   bytes 0–3   number of the question; who sleeps is woken when it changes
//   bytes 4–7   1: there are no more questions
//   bytes 8–15  milliseconds to sleep

const questionAt = 0;
const endedAt = 1;

export class PacerSlot {
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #delayMs: Float64Array;

  /** A new one, or the other's. */
  constructor(shared = new SharedArrayBuffer(16)) {
    this.shared = shared;
    this.#words = new Int32Array(shared, 0, 2);
    this.#delayMs = new Float64Array(shared, 8, 1);
  }

  /** Asks the other side to sleep; what it sleeps now ends. */
  ask(delayMs: number): void {
    this.#delayMs[0] = delayMs;
    this.#wake();
  }

  /** Asks it to end. */
  end(): void {
    Atomics.store(this.#words, endedAt, 1);
    this.#wake();
  }

  /** Sleeps as it is asked to, until the end. `slept` follows each sleep that was not ended. */
  serve(slept: () => void): void {
    let question = 0;
    for (;;) {
      Atomics.wait(this.#words, questionAt, question);
      question = Atomics.load(this.#words, questionAt);
      if (Atomics.load(this.#words, endedAt) === 1) return;
      const delayMs = this.#delayMs[0] ?? 0;
      if (Atomics.wait(this.#words, questionAt, question, delayMs) === "timed-out") slept();
    }
  }

  #wake(): void {
    Atomics.add(this.#words, questionAt, 1);
    Atomics.notify(this.#words, questionAt);
  }
}
