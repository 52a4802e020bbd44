// Pacer slot: the memory that a pacer and its thread share: for how long to sleep.
// Owns: asking and sleeping, from both sides. Does not own: the thread, what follows the sleep.
//
//   bytes 0–3   number of the question; who sleeps is woken when it changes
//   bytes 4–7   1: there are no more questions
//   bytes 8–15  milliseconds to sleep
import { systemClock } from "../base/clock.ts";

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
    for (let question = 0; ;) {
      // Its number says that there is a question, no wake-up does: `#wake` may be between its two
      // steps, and then wakes who has seen the number already.
      while (Atomics.load(this.#words, questionAt) === question) {
        Atomics.wait(this.#words, questionAt, question);
      }
      question = Atomics.load(this.#words, questionAt);
      if (Atomics.load(this.#words, endedAt) === 1) return;
      const endMs = systemClock.monotonicMs() + (this.#delayMs[0] ?? 0);
      for (;;) {
        const leftMs = Math.max(0, endMs - systemClock.monotonicMs());
        const woken = Atomics.wait(this.#words, questionAt, question, leftMs);
        if (woken === "timed-out") slept();
        if (woken !== "ok" || Atomics.load(this.#words, questionAt) !== question) break;
      }
    }
  }

  #wake(): void {
    Atomics.add(this.#words, questionAt, 1);
    Atomics.notify(this.#words, questionAt);
  }
}
