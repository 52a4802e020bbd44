// Pump rest: how the pump's loop waits, and for what.
// Owns: the one wait that may be under way. Does not own: why it waits (pump.ts).
import type { Timers } from "../base/timers.ts";

/**
 * - `idle`: there is nothing to do; `gather`: a small transaction waits for company;
 * - `backoff`: the database is left alone; `flight`: transactions are under way.
 */
export type RestKind = "idle" | "gather" | "backoff" | "flight";

interface Wait {
  readonly kind: RestKind;
  end(): void;
}

export class PumpRest {
  readonly #timers: Timers;
  #wait: Wait | null = null;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  get kind(): RestKind | null {
    return this.#wait?.kind ?? null;
  }

  /** Resolves after so long, or when it is ended; null: only then. */
  for(kind: RestKind, restMs: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = restMs === null ? null : this.#timers.after(restMs, () => wait.end());
      const wait: Wait = {
        kind,
        end: () => {
          if (this.#wait !== wait) return;
          this.#wait = null;
          timer?.cancel();
          resolve();
        },
      };
      this.#wait = wait;
    });
  }

  /** Ends the wait where it is of one of these kinds. */
  end(...kinds: RestKind[]): void {
    if (this.#wait !== null && kinds.includes(this.#wait.kind)) this.#wait.end();
  }

  /** Lets the lane's event loop have its turn. */
  tick(): Promise<void> {
    return new Promise((resolve) => this.#timers.endOfTick(resolve));
  }
}
