// Rivals loop: a closed loop, with a fixed number of questions under way in this process; each
// answer makes room for one.
// Owns: what is under way, what was answered, how long it took. Does not own: the questions.
// Answers of one tick are replaced together in the next one, as requests come from sockets: a
// rival that answers at once cannot keep the event loop for itself.
import { Histogram } from "../src/base/histogram.ts";

export class RivalsLoop {
  readonly #outstanding: number;
  readonly #ask: (answer: (what: string) => void) => void;
  /** Of answers, from the question on. */
  latency = new Histogram();
  answers = 0;
  /** How often each answer came. */
  readonly byAnswer = new Map<string, number>();
  #underWay = 0;
  #stopped = false;
  #refilling = false;
  #drained: (() => void) | null = null;

  /** `ask` answers once for each call, at once or later, with the word to count. */
  constructor(outstanding: number, ask: (answer: (what: string) => void) => void) {
    this.#outstanding = outstanding;
    this.#ask = ask;
  }

  start(): void {
    while (this.#underWay < this.#outstanding) this.#begin();
  }

  /** Begins no more; resolves when all that is under way is answered. */
  stop(): Promise<void> {
    this.#stopped = true;
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#underWay === 0) resolve();
    });
  }

  #begin(): void {
    this.#underWay++;
    const startedMs = performance.now();
    this.#ask((what) => {
      this.latency.recordMs(performance.now() - startedMs);
      this.#answered(what);
    });
  }

  #answered(what: string): void {
    this.#underWay--;
    this.answers++;
    this.byAnswer.set(what, (this.byAnswer.get(what) ?? 0) + 1);
    if (this.#stopped) {
      if (this.#underWay === 0) this.#drained?.();
    } else if (!this.#refilling) {
      this.#refilling = true;
      setImmediate(() => {
        this.#refilling = false;
        if (!this.#stopped) this.start();
      });
    }
  }
}
